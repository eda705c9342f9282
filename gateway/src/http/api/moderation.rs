//! What moderators do, for other servers: an action carried out, and the log of what was done.
//!
//! Decides how the log is paged. What an action holds is read as the native protocol reads it, and carried out as there.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    fault::Fault,
    guard::Caller,
    read::{Asked, InRoom, json, page_limit, whole},
    state::Api,
};
use crate::{
    moderation::{Action, Record},
    protocols::native::{self, Person},
    rooms::{ProtocolId, Unavailable},
};

/// Bytes of a request: the id of a person, every character of it escaped.
const BYTES: usize = 8192;
/// Items of a page, unless the request says how many.
const PAGE: u32 = 50;

/// An action, as the native protocol's `moderate` has it. Read there.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what native reads")]
pub(super) struct Moderate {
    /// `mute`, `unmute`, `kick`, `ban`, `unban`, `slow`, `readonly`, `delete` or `purge`.
    #[schema(example = "mute")]
    action: String,
    /// The id of the person whom it is about. For all but `slow`, `readonly` and `delete`.
    #[schema(min_length = 1, max_length = 512, example = "u2")]
    person: Option<String>,
    /// How long it lasts; 0 or none until it is undone. Of `slow`: the pause between two messages of a person, at most
    /// 21,600, and 0 ends it.
    #[schema(maximum = 31_622_400, example = 600)]
    seconds: Option<u64>,
    /// Of `ban`: also the addresses that the person is connected from.
    address: Option<bool>,
    /// Of `readonly`: whether it begins or ends.
    on: Option<bool>,
    /// Of `delete`: the message.
    #[schema(minimum = 1)]
    seq: Option<u64>,
}

/// The action is carried out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Moderated {}

/// Carries out a moderator's action in a room, by the name of the token.
///
/// The answer comes when the action is kept. It is in force on every gateway and in every protocol within 250 ms. Messages
/// that `delete` and `purge` name are gone by then.
#[utoipa::path(
    post,
    path = "/v1/rooms/{room}/moderation",
    tag = "moderation",
    params(("room" = String, Path, description = "1 to 128 bytes", min_length = 1, max_length = 128)),
    request_body = Moderate,
    responses((status = 200, description = "The action is carried out", body = Moderated), Fault)
)]
pub(super) async fn moderate(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InRoom(room): InRoom,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Moderated>, Fault> {
    let body = whole(&headers, body, BYTES).await?;
    let action = native::action(json::<&RawValue>(&body)?.get())?;
    api.moderating.act(caller.author(), ProtocolId::Native, &room, action).await?;
    Ok(Json(Moderated {}))
}

/// Which actions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only actions with a lower `number`. Default: the newest.
    #[param(minimum = 0)]
    before: Option<u64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
}

/// What moderators did, the newest action first.
#[derive(Serialize, ToSchema)]
pub(super) struct Log<'a> {
    #[schema(value_type = Vec<Shown>)]
    actions: Vec<Logged<'a>>,
    /// Older ones exist: ask again with `before` set to the lowest `number`.
    more: bool,
}

/// An action of the log. Its own fields are written as the log keeps them.
#[derive(Serialize)]
struct Logged<'a> {
    number: u64,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    room: &'a str,
    by: Person<'a>,
    #[serde(flatten)]
    action: &'a Action,
}

/// An action that was carried out.
#[derive(ToSchema)]
#[schema(as = Logged)]
#[expect(dead_code, reason = "describes what Logged writes")]
struct Shown<'a> {
    /// 1, 2, 3, … in the ChatRoom.
    number: u64,
    /// When, in milliseconds since 1970.
    time: u64,
    /// When it ends, in milliseconds since 1970. Absent where it has no end.
    until: Option<u64>,
    room: String,
    /// Who did it. The id of a token is `api:` and its name.
    by: Person<'a>,
    /// As in a request; or `ban_address`, which a gateway wrote because of a `ban` with `address`.
    action: String,
    person: Option<String>,
    seconds: Option<u64>,
    /// Of `ban`: true. Of `ban_address`: the address.
    #[schema(value_type = Option<serde_json::Value>)]
    address: (),
    on: Option<bool>,
    seq: Option<u64>,
}

/// Reads what moderators did in all rooms, the newest action first. The log reaches back 10,000 actions.
#[utoipa::path(
    get,
    path = "/v1/moderation/log",
    tag = "moderation",
    params(Which),
    responses((status = 200, description = "A page", body = Log), Fault)
)]
pub(super) async fn log(
    State(api): State<Arc<Api>>,
    Asked(Which { before, limit }): Asked<Which>,
) -> Result<Response, Fault> {
    let limit = page_limit(limit, PAGE)?;
    let (records, more) = page(&api, before, limit).await.map_err(|error| {
        tracing::debug!(%error, "failed to read the log of moderation for the server API");
        Fault::unavailable("the log cannot be read now")
    })?;
    Ok(Json(Log { actions: records.iter().map(Logged::from).collect(), more }).into_response())
}

/// Some actions, and whether there are older ones.
async fn page(api: &Api, before: Option<u64>, limit: u32) -> Result<(Vec<Record>, bool), Unavailable> {
    let records = api.moderating.log(before, limit).await?;
    let more = match records.last() {
        Some(oldest) => !api.moderating.log(Some(oldest.number), 1).await?.is_empty(),
        None => false,
    };
    Ok((records, more))
}

impl<'a> From<&'a Record> for Logged<'a> {
    fn from(Record { number, time, until, act }: &'a Record) -> Self {
        Self {
            number: *number,
            time: *time,
            until: *until,
            room: act.room.as_str(),
            by: Person::from(&act.by),
            action: &act.action,
        }
    }
}
