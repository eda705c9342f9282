//! Logging in, looking people up, contacts and conversations.

use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;

use super::{
    desk::{Desk, Outcome, Refused, answer, done, unexpected},
    image::image,
    request::Fields,
};
use crate::directory::people::{
    To,
    social::{Person, Query, Reply},
};

/// A person as the clients know one.
#[derive(Serialize)]
struct Row<'a> {
    user_id: u64,
    user_name: &'a str,
    user_img: String,
}

impl<'a> From<&'a Person> for Row<'a> {
    fn from(Person { id, name }: &'a Person) -> Self {
        Self { user_id: *id, user_name: name, user_img: image(*id) }
    }
}

fn rows(people: &[Person]) -> Response {
    answer(people.iter().map(Row::from).collect::<Vec<_>>())
}

/// Without a name nobody is logged in: it is how the client's log-out asks, which leaves once it is answered.
pub(super) async fn login(desk: Arc<Desk>, fields: Fields) -> Outcome {
    #[derive(Serialize)]
    struct Nobody {}
    if !fields.has(&["name", "user_name"]) {
        return Ok(answer(Nobody {}));
    }
    let person = desk.login(fields.name(&["name", "user_name"])?).await?;
    Ok(answer(Row::from(&person)))
}

pub(super) async fn row(desk: Arc<Desk>, fields: Fields) -> Outcome {
    Ok(rows(&desk.people(Query::Person { user: fields.id("user_id")? }).await?))
}

pub(super) async fn contacts(desk: Arc<Desk>, fields: Fields) -> Outcome {
    Ok(rows(&desk.people(Query::Contacts { user: fields.id("user_id")? }).await?))
}

pub(super) async fn search(desk: Arc<Desk>, fields: Fields) -> Outcome {
    let Some(text) = fields.part("user_name")? else { return Ok(rows(&[])) };
    let text = text.into();
    let _turn = desk.turn().await?;
    Ok(rows(&desk.people(Query::FindPeople { text }).await?))
}

pub(super) async fn befriend(desk: Arc<Desk>, fields: Fields) -> Outcome {
    let query = Query::Befriend { user: fields.id("user_id")?, contact: fields.id("contacter_id")? };
    match desk.ask(query).await? {
        Reply::Done => Ok(done()),
        _ => Err(Refused::Failed("添加失败")),
    }
}

pub(super) async fn conversations(desk: Arc<Desk>, fields: Fields) -> Outcome {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Item {
        Contact { contacter_id: String },
        Block { block_id: String },
    }
    let item = |with: &To| match with {
        To::Person(id) => Item::Contact { contacter_id: id.to_string() },
        To::Block(id) => Item::Block { block_id: id.to_string() },
    };
    match desk.ask(Query::Conversations { user: fields.id("user_id")? }).await? {
        Reply::Conversations(list) => Ok(answer(list.iter().map(item).collect::<Vec<_>>())),
        other => Err(unexpected(&other)),
    }
}
