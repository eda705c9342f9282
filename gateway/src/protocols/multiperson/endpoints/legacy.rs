//! What clients from before November 2021 ask: they know ids and names by other words.

use std::sync::Arc;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    desk::{Desk, Outcome, unavailable},
    request::Fields,
};
use crate::{directory::people::social::Query, protocols::multiperson::encoding::broadcast};

/// Messages that are shown.
const MESSAGES: u32 = 100;
/// Bytes of them; older ones are left out.
const BYTES: usize = 1 << 20;

pub(super) async fn add(desk: Arc<Desk>, fields: Fields) -> Outcome {
    #[derive(Serialize)]
    struct User<'a> {
        name: &'a str,
        id: u64,
    }
    #[derive(Serialize)]
    struct Added<'a> {
        user: User<'a>,
    }
    let person = desk.login(fields.name(&["name", "user_name"])?).await?;
    Ok(Json(Added { user: User { name: &person.name, id: person.id } }).into_response())
}

/// Some of those who have logged in.
pub(super) async fn users(desk: Arc<Desk>, _: Fields) -> Outcome {
    #[derive(Serialize)]
    struct User<'a> {
        id: u64,
        username: &'a str,
    }
    #[derive(Serialize)]
    struct Users<'a> {
        #[serde(rename = "useList")]
        list: Vec<User<'a>>,
    }
    let _turn = desk.turn().await?;
    let people = desk.people(Query::FindPeople { text: "".into() }).await?;
    let list = people.iter().map(|person| User { id: person.id, username: &person.name }).collect();
    Ok(Json(Users { list }).into_response())
}

/// The newest frames of the broadcast room, the oldest of them first.
pub(super) async fn messages(desk: Arc<Desk>, _: Fields) -> Outcome {
    #[derive(Serialize)]
    struct Messages {
        #[serde(rename = "messageList")]
        list: Vec<Box<RawValue>>,
    }
    let entries = desk.recent.messages(&desk.room, MESSAGES).await.map_err(|away| unavailable(&away))?;
    let mut bytes = 0;
    let frames = entries.iter().rev().map(|entry| broadcast(entry).into_owned()).take_while(|frame| {
        bytes += frame.len();
        bytes <= BYTES
    });
    let json = |frame| RawValue::from_string(String::from_utf8(frame).ok()?).ok();
    let mut list: Vec<_> = frames.filter_map(json).collect();
    list.reverse();
    Ok::<Response, _>(Json(Messages { list }).into_response())
}
