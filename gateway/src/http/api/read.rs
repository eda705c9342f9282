//! What every route reads of a request: the room in its path, its headers, its query and its body, each with its bound.
//!
//! Decides how a fault is named; what a message must hold is decided in `shapes`.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Path, Query},
};
use http::{HeaderMap, header, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};

use super::{fault::Fault, shapes};
use crate::{protocols::native, rooms::RoomName};

/// The header that names a message.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The room in the path.
#[derive(Debug)]
pub(super) struct InRoom(pub(super) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for InRoom {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(room) = path.map_err(|_| Fault::bad_request("room is not UTF-8"))?;
        Ok(Self(native::check_room(&room)?))
    }
}

/// The query, as `T`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Fault::bad_request(rejection.body_text())),
        }
    }
}

/// How many items a page has: `asked`, or `default` where the request does not say.
pub(super) fn page_limit(asked: Option<u32>, default: u32) -> Result<u32, Fault> {
    let limit = asked.unwrap_or(default);
    if (1..=100).contains(&limit) { Ok(limit) } else { Err(Fault::bad_request("limit is 1 to 100")) }
}

/// What the header `Idempotency-Key` names the message.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Fault> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Fault::bad_request("Idempotency-Key is not UTF-8"))?;
    Ok(Some(shapes::key(text)?))
}

/// Refuses a body of another type than `wanted`, where the request names one.
pub(super) fn content_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Fault> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = given.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(wanted.as_bytes()) { Ok(()) } else { Err(Fault::media_type(wanted)) }
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Fault> {
    content_type(headers, "application/json")?;
    to_bytes(body, limit).await.map_err(|error| {
        let long =
            std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if long {
            Fault::too_large(format!("a request has at most {limit} bytes"))
        } else {
            Fault::bad_request("the body did not come whole")
        }
    })
}

/// The JSON in `bytes`, as `T`.
pub(super) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| Fault::bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_body_of_another_type_is_refused() {
        let named = |text| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
        for fine in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(content_type(&named(fine), "application/json").is_ok(), "{fine}");
        }
        assert!(content_type(&HeaderMap::new(), "application/json").is_ok());
        for other in ["application/x-www-form-urlencoded", "application/jsonl", ""] {
            assert!(content_type(&named(other), "application/json").is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let headers = HeaderMap::new();
        let read = |length| whole(&headers, Body::from(vec![b' '; length]), 100);
        assert_eq!(read(100).await.unwrap().len(), 100);
        assert_eq!(read(101).await.unwrap_err(), Fault::too_large("a request has at most 100 bytes"));
    }
}
