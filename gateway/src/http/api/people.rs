//! Who is in a room, over all gateways and protocols.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    fault::Fault,
    read::{Asked, InRoom, page_limit},
    state::Api,
};
use crate::{
    fanout::session::{Answer, Ask},
    protocols::native::{self, Person},
};

/// People that are named where the request does not say how many, and at most.
const PEOPLE: u32 = 100;

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMany {
    /// People that are named at most.
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<u32>,
}

/// The members of a room.
#[derive(Serialize, ToSchema)]
pub(super) struct Members<'a> {
    room: &'a str,
    /// Connections: a person may have several.
    count: u64,
    /// Each person once.
    people: Vec<Person<'a>>,
    /// There are others: beyond the limit, or on a gateway that did not answer within half a second.
    more: bool,
}

/// Names the people in a room, over all gateways and protocols. What it says is at most a second old.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}/members",
    tag = "people",
    params(("room" = String, Path, description = "1 to 128 bytes", min_length = 1, max_length = 128), HowMany),
    responses((status = 200, description = "Who is there", body = Members), Fault)
)]
pub(super) async fn members(
    State(api): State<Arc<Api>>,
    InRoom(room): InRoom,
    Asked(HowMany { limit }): Asked<HowMany>,
) -> Result<Response, Fault> {
    let limit = page_limit(limit, PEOPLE)?;
    match api.asker.ask(Ask::People { room: room.clone(), limit }).await {
        Some(Answer::People { count, people, more }) => {
            let people = native::people(&people);
            Ok(Json(Members { room: room.as_str(), count, people, more }).into_response())
        }
        _ => Err(Fault::unavailable("the members cannot be named now")),
    }
}
