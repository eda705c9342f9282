//! `/livez`, `/readyz` and `/metrics`.
//!
//! Alive means: the runtime turns and, while the process leads, passes come to an end. Ready means: the API server was
//! reached, and the process leads or waits to.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::{deadlines::STALLED, metrics::Metrics};

/// What the probes answer; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    ready: bool,
    /// Of a leader, by scope: when a pass ended last, or when there was nothing to do.
    beats: BTreeMap<Scope, Instant>,
}

/// A namespace that is watched by itself; `None` when all are watched together.
type Scope = Option<String>;

impl Health {
    /// The API server was reached.
    pub fn ready(&self) {
        self.0.lock().ready = true;
    }

    /// A pass in this scope ended, or there is no ChatRoom in it. The first beat says that the process leads there. A scope
    /// that is stuck is not hidden by the others.
    pub fn beat(&self, scope: &Scope) {
        self.0.lock().beats.insert(scope.clone(), Instant::now());
    }

    fn longest_silence(&self) -> Option<Duration> {
        self.0.lock().beats.values().map(Instant::elapsed).max()
    }
}

/// Listens, and answers for as long as it is polled.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    health: Health,
) -> Result<impl Future<Output = Result<(), std::io::Error>>, std::io::Error> {
    let listener = bind(listen).await?;
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

/// `[::]` serves IPv4 as well, but a node without IPv6 has no such address.
async fn bind(listen: SocketAddr) -> Result<TcpListener, std::io::Error> {
    match TcpListener::bind(listen).await {
        Err(_) if listen.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        bound => bound,
    }
}

async fn livez(health: Health) -> Response {
    match health.longest_silence() {
        Some(silence) if silence > STALLED => {
            let words = format!("no pass has ended for {} s", silence.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, words).into_response()
        }
        _ => "ok".into_response(),
    }
}

async fn readyz(health: Health) -> Response {
    if health.0.lock().ready {
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
