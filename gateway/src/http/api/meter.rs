//! Counts the requests of each route by the class of their status, and how long they take. Shown by `http/metrics`.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use crate::redis::seconds;

/// A route, as `POST /v1/messages`; `none` for paths that there are not.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfRoute {
    route: String,
}

/// A route and the first digit of a status, as `2xx`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfAnswer {
    route: String,
    status: &'static str,
}

/// The counts. Clones share them.
#[derive(Clone, Debug)]
pub struct Meter {
    pub answers: Family<OfAnswer, Counter>,
    /// Until the head of the answer.
    pub durations: Family<OfRoute, Histogram>,
    /// Messages that were handed to the bus.
    pub messages: Counter,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            answers: Family::default(),
            durations: Family::new_with_constructor(seconds),
            messages: Counter::default(),
        }
    }
}

impl Meter {
    /// Counts messages.
    pub(super) fn published(&self, messages: u64) {
        self.messages.inc_by(messages);
    }
}

/// Measures a request.
pub(super) async fn measure(State(meter): State<Arc<Meter>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map(|path| format!("{} {}", request.method(), path.as_str()));
    let answer = next.run(request).await;
    // Methods that a path does not take are the caller's words, of which there may be any number.
    let route =
        route.filter(|_| answer.status() != StatusCode::METHOD_NOT_ALLOWED).unwrap_or_else(|| "none".to_owned());
    let status = match answer.status().as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    meter.durations.get_or_create(&OfRoute { route: route.clone() }).observe(began.elapsed().as_secs_f64());
    meter.answers.get_or_create(&OfAnswer { route, status }).inc();
    answer
}
