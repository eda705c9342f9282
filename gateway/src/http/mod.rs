//! The accept loop, upgrades, HTTP endpoints, the admin port and the web page.
//!
//! Decides who may connect and to which protocol; everything after the upgrade is the reactors'.

pub mod admin;
pub mod drain;
mod extensions;
pub mod gate;
pub mod head;
pub mod listen;
pub mod metrics;
pub mod peer;
pub mod refusals;
pub mod site;
pub mod upgrade;
pub mod web;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};

/// A short plain-text answer.
pub(crate) fn plain(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
