//! The accept loop, upgrades, HTTP endpoints, the admin port and the web page.
//!
//! Decides who may connect and to which protocol; everything after the upgrade is the reactors'.

pub mod admin;
pub mod api;
pub mod client;
pub mod drain;
mod extensions;
pub mod fast_upgrade;
pub mod gate;
mod host;
pub mod listen;
pub mod metrics;
pub mod origins;
pub mod peer;
mod peers;
mod pinned;
pub mod proxies;
pub mod refusals;
pub mod routes;
pub mod upgrade;
pub mod web;

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};

use crate::protocols::Clock;

/// A short plain-text answer.
pub(crate) fn plain(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The answer, after which the connection closes.
pub(crate) fn closing(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix(&self) -> u64 {
        unix_millis()
    }

    fn monotonic(&self) -> u64 {
        monotonic_micros()
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Microseconds on a monotonic clock.
pub(crate) fn monotonic_micros() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Not zero at the beginning: zero is what rates take for "long ago".
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
}
