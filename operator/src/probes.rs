//! `/livez`, `/readyz` and `/metrics`.
//!
//! Alive means: the runtime turns. Ready means: the API server was reached, and the process leads or waits to.

use crate::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::TcpListener;

/// What the probes answer; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<State>);

#[derive(Debug, Default)]
struct State {
    ready: AtomicBool,
    passes: AtomicU64,
}

impl Health {
    /// The API server was reached.
    pub fn ready(&self) {
        self.0.ready.store(true, Ordering::Relaxed);
    }

    /// A pass ended.
    pub fn beat(&self) {
        self.0.passes.fetch_add(1, Ordering::Relaxed);
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
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(move || readyz(health.clone())))
        .route("/metrics", get(move || text(metrics.clone())));
    Ok(async move { axum::serve(listener, app).await })
}

async fn readyz(health: Health) -> Response {
    let passes = health.0.passes.load(Ordering::Relaxed);
    match health.0.ready.load(Ordering::Relaxed) {
        true => format!("ok, {passes} passes").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the API server was not reached yet").into_response(),
    }
}

async fn text(metrics: Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
