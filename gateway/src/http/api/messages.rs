//! One message published, and the messages of a room read.

use std::sync::Arc;

use axum::{Extension, Json, body::Body, extract::State, response::IntoResponse};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    fault::Fault,
    guard::Caller,
    read::{Asked, InRoom, idempotency_key, json, page_limit, whole},
    shapes::{Messages, Publish, Published},
    state::Api,
};
use crate::protocols::native::{self, Item};

/// Bytes of a request beside the message's body: who it is from, and the names of the fields.
const AROUND: usize = 4096;
/// Items of a page, unless the request says how many.
const PAGE: u32 = 50;
/// Bytes of a page, beyond which older items are left for the next one.
const PAGE_BYTES: usize = 1 << 20;

/// Publishes a message in a room.
///
/// The answer comes when the message is kept: where Redis has replicas, two copies hold it. With an `Idempotency-Key` the
/// same request may be sent again for ten minutes, to any gateway, and the message is stored once.
#[utoipa::path(
    post,
    path = "/v1/rooms/{room}/messages",
    tag = "messages",
    params(
        ("room" = String, Path, description = "1 to 128 bytes", min_length = 1, max_length = 128),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the message for its author, 1 to 128 bytes", min_length = 1, max_length = 128),
    ),
    request_body = Publish,
    responses((status = 200, description = "The message is kept", body = Published), Fault)
)]
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InRoom(room): InRoom,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Published>, Fault> {
    let key = idempotency_key(&headers)?;
    let body = whole(&headers, body, api.body_limit.0 + AROUND).await?;
    let message = json::<Publish<'_>>(&body)?.message(room, key, &caller, api.body_limit)?;
    let appended = api.poster.post(message).await?;
    api.meter.published(1);
    Ok(Json(appended.into()))
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only messages with a lower `seq`. Default: the newest.
    #[param(minimum = 0)]
    before: Option<u64>,
    /// How many at most. A page may have fewer if they are large.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
}

/// Reads the newest messages of a room, or those before one of them.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}/messages",
    tag = "messages",
    params(("room" = String, Path, description = "1 to 128 bytes", min_length = 1, max_length = 128), Which),
    responses((status = 200, description = "A page, the oldest message first", body = Messages), Fault)
)]
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    InRoom(room): InRoom,
    Asked(Which { before, limit }): Asked<Which>,
) -> Result<impl IntoResponse, Fault> {
    let limit = page_limit(limit, PAGE)?;
    let page = api.recent.page(&room, before, limit).await.map_err(|error| {
        tracing::debug!(%error, "failed to read messages for the server API");
        Fault::unavailable("the room cannot be read now")
    })?;
    let left_out = page.entries.len() - native::fitting(&page.entries, PAGE_BYTES);
    let answer = Messages {
        room: room.as_str(),
        epoch: native::epoch(page.head.epoch),
        items: page.entries[left_out..].iter().map(|entry| Item::for_person(entry, None)).collect(),
        more: page.more || left_out > 0,
    };
    Ok(Json(answer).into_response())
}
