//! The rooms in which something was said, page by page.
//!
//! Decides what a page holds and what the place behind it looks like: a partition, and a place in it that the bus named.

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{fault::Fault, read::Asked, state::Api};
use crate::rooms::Partition;

/// Rooms after which a page ends. What the bus lists at once is not taken apart, so a page may have some more.
const PAGE: usize = 100;

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// `next` of the page before. Default: the beginning.
    after: Option<String>,
}

/// Some rooms.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    /// Give it as `after` to read the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A room in which something was said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Room {
    room: String,
    /// The number of its newest message.
    seq: u64,
}

/// A place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PageStart {
    partition: Partition,
    after: Option<String>,
}

/// Lists the rooms in which something was said and that are not forgotten, in no order.
///
/// A page has some hundred rooms. A room that is there all the time is listed; while rooms are made one may be listed twice,
/// and a failover of Redis between two pages may leave some out. Rooms that have members and no message are not listed.
#[utoipa::path(
    get,
    path = "/v1/rooms",
    tag = "messages",
    params(From),
    responses((status = 200, description = "A page", body = Rooms), Fault)
)]
pub(super) async fn rooms(
    State(api): State<Arc<Api>>,
    Asked(From { after }): Asked<From>,
) -> Result<Json<Rooms>, Fault> {
    let mut place = match after {
        None => PageStart::partition(0),
        Some(text) => Some(PageStart::read(&text).ok_or(Fault::bad_request("after is next of a page"))?),
    };
    let mut rooms = Vec::new();
    while let Some(at) = place.as_ref().filter(|_| rooms.len() < PAGE) {
        let listed = api.recent.rooms(at.partition, at.after.as_deref()).await.map_err(|error| {
            tracing::debug!(%error, "failed to list rooms for the server API");
            Fault::unavailable("the rooms cannot be listed now")
        })?;
        rooms.extend(listed.rooms.into_iter().map(|(room, seq)| Room { room: room.to_string(), seq }));
        place = match listed.next {
            Some(next) => Some(PageStart { partition: at.partition, after: Some(next) }),
            None => PageStart::partition(at.partition.index() + 1),
        };
    }
    Ok(Json(Rooms { rooms, next: place.map(|place| place.write()) }))
}

impl PageStart {
    /// The beginning of a partition, if there is one.
    fn partition(index: usize) -> Option<Self> {
        Partition::at(index).map(|partition| Self { partition, after: None })
    }

    fn write(&self) -> String {
        let after = self.after.as_deref().map_or_else(String::new, |after| format!(":{after}"));
        URL_SAFE_NO_PAD.encode(format!("{}{after}", self.partition.index()))
    }

    fn read(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (index, after) = text.split_once(':').map_or((&*text, None), |(index, after)| (index, Some(after)));
        Some(Self { after: after.map(str::to_owned), ..Self::partition(index.parse().ok()?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = |index, after: Option<&str>| PageStart {
            after: after.map(str::to_owned),
            ..PageStart::partition(index).unwrap()
        };
        for place in [place(0, None), place(63, Some("a:b")), place(7, Some("日本"))] {
            assert_eq!(PageStart::read(&place.write()), Some(place));
        }
        for wrong in ["", "!", "NjQ", "LTE"] {
            assert_eq!(PageStart::read(wrong), None, "{wrong}");
        }
    }
}
