//! `/livez`, `/readyz` and `/metrics`.
//!
//! Alive means: the runtime turns and, while the process leads, passes come to an end. Ready means: the API server was
//! reached, and the process leads or waits to.

use crate::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// Longest time without the end of a pass: the longest pass (120 s), the longest pause (60 s), and half as much again.
const STALLED_AFTER: Duration = Duration::from_secs(270);

/// What the probes answer; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    ready: bool,
    /// Of a leader: when a pass ended last, or when there was nothing to do.
    beat: Option<Instant>,
}

impl Health {
    /// The API server was reached.
    pub fn ready(&self) {
        self.change(|state| state.ready = true);
    }

    /// The process leads from now on.
    pub fn leads(&self) {
        self.change(|state| state.beat = Some(Instant::now()));
    }

    /// A pass ended, or there is no ChatRoom to make one over.
    pub fn beat(&self) {
        self.change(|state| state.beat = state.beat.map(|_| Instant::now()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens, and answers for as long as it is polled.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    health: Health,
) -> Result<impl Future<Output = Result<(), std::io::Error>>, std::io::Error> {
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving probes and metrics");
    let app = Router::new()
        .route(
            "/livez",
            get({
                let health = health.clone();
                move || livez(health.clone())
            }),
        )
        .route("/readyz", get(move || readyz(health.clone())))
        .route("/metrics", get(move || text(metrics.clone())));
    Ok(async move { axum::serve(listener, app).await })
}

async fn livez(health: Health) -> Response {
    match health.state().beat.map(|beat| beat.elapsed()) {
        Some(silence) if silence > STALLED_AFTER => {
            let words = format!("no pass has ended for {} s", silence.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
        _ => "ok".into_response(),
    }
}

async fn readyz(health: Health) -> Response {
    if health.state().ready {
        return "ok".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the API server was not reached yet").into_response()
}

async fn text(metrics: Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
