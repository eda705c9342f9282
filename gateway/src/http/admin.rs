//! The admin port: probes, metrics, status and drain. For the operator, the kubelet and Prometheus; never routed to
//! by an ingress.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use parlor_crds::contract::{BusStatus, DrainRequest, GatewayStatus, RefusalStatus, ShardStatus};
use subtle::ConstantTimeEq;

use crate::{
    bus::{Bus, Health, Refusal, Shard},
    fanout::{hub::Hub, reactor::Reactors},
    http::{drain::Drain, gate::Gate, metrics::Metrics, plain},
};

/// What the admin port shows and steers.
pub struct Admin {
    /// Pod name, or host name outside a cluster.
    pub name: String,
    pub reactors: Arc<Reactors>,
    pub hub: Hub,
    pub bus: Arc<dyn Bus>,
    pub gate: Gate,
    pub drain: Drain,
    pub ready: Ready,
    pub metrics: Metrics,
    pub access: DrainAccess,
    /// `spec.drain.rate` as it is now, for drains that name none.
    pub drain_rate: Box<dyn Fn() -> u32 + Send + Sync>,
    /// Fingerprint of the generated password of Redis as it is now, if there is one.
    pub redis_password: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Set once the gateway has reached its bus; stays set, because an outage that all gateways share must not empty the
/// Service.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// The gateway can serve.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True from the first [`Ready::set`] on.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Who may drain.
#[derive(Clone)]
pub enum DrainAccess {
    /// Who holds the token, which is read again for every request: it may be rotated.
    Token(Arc<ReadToken>),
    /// Anyone who reaches the port: it listens on loopback only.
    Loopback,
    /// Nobody: the port is open to the network and no token is set.
    Closed,
}

/// Reads the token of `/drain` as it is now; `None` where it cannot be read.
pub type ReadToken = dyn Fn() -> Option<Arc<[u8]>> + Send + Sync;

type Shared = State<Arc<Admin>>;

/// The admin port's endpoints.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/drain", post(start_drain).delete(cancel_drain))
        .with_state(admin)
}

/// What the port answers before the gateway knows its bus: alive, not ready.
pub fn starting() -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .fallback(async || plain(StatusCode::SERVICE_UNAVAILABLE, "waiting for Redis\n"))
}

async fn readyz(State(admin): Shared) -> Response<Body> {
    match admin.unready() {
        None => plain(StatusCode::OK, "ok\n"),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(admin): Shared) -> Response<Body> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("writing metrics: {error}\n")),
    }
}

async fn status(State(admin): Shared) -> Json<GatewayStatus> {
    Json(admin.status())
}

async fn start_drain(State(admin): Shared, headers: HeaderMap, body: Bytes) -> Response<Body> {
    if let Err(refused) = admin.access.check(&headers) {
        return refused;
    }
    let request = if body.is_empty() { Ok(DrainRequest::default()) } else { serde_json::from_slice(&body) };
    match request {
        Err(error) => plain(StatusCode::BAD_REQUEST, format!("drain request: {error}\n")),
        Ok(DrainRequest { rate: Some(0), .. }) => plain(StatusCode::BAD_REQUEST, "drain request: rate: at least 1\n"),
        Ok(DrainRequest { rate, connections }) => {
            let rate = rate.unwrap_or_else(|| (admin.drain_rate)());
            match connections {
                Some(connections) => admin.drain.give_away(connections, rate),
                None => admin.drain.start(rate),
            }
            (StatusCode::ACCEPTED, Json(admin.status())).into_response()
        }
    }
}

async fn cancel_drain(State(admin): Shared, headers: HeaderMap) -> Response<Body> {
    if let Err(refused) = admin.access.check(&headers) {
        return refused;
    }
    match admin.drain.cancel() {
        Ok(()) => Json(admin.status()).into_response(),
        Err(error) => plain(StatusCode::CONFLICT, format!("{error}\n")),
    }
}

impl Admin {
    fn unready(&self) -> Option<&'static str> {
        if !self.ready.is_set() {
            Some("waiting for the bus\n")
        } else if self.drain.status().is_some() {
            Some("draining\n")
        } else {
            None
        }
    }

    fn status(&self) -> GatewayStatus {
        GatewayStatus {
            gateway: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.unready().is_none(),
            connections: count(self.reactors.connections()),
            connections_limit: count(self.gate.limit()),
            refused: self.gate.refused(),
            rooms: count(self.hub.rooms()),
            drain: self.drain.status(),
            bus: match self.bus.health() {
                Health::Replicated => BusStatus::Replicated,
                Health::Unreplicated => BusStatus::Unreplicated,
                Health::Memory => BusStatus::Memory,
                Health::Unavailable => BusStatus::Unavailable,
            },
            refusal: self.bus.refusal().map(refusal),
            shards: self.bus.shards().into_iter().map(shard).collect(),
            redis_password: (self.redis_password)(),
        }
    }
}

impl DrainAccess {
    fn check(&self, headers: &HeaderMap) -> Result<(), Response<Body>> {
        // Any page that is open on the same machine reaches loopback, and no page has business here.
        if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Err(plain(StatusCode::FORBIDDEN, "web pages may not drain a gateway\n"));
        }
        match self {
            Self::Loopback => Ok(()),
            Self::Closed => Err(plain(StatusCode::FORBIDDEN, "no drain token is configured, and this port is open\n")),
            Self::Token(token) => {
                let given =
                    headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                if given.zip(token()).is_some_and(|(given, token)| given.ct_eq(&*token).into()) {
                    Ok(())
                } else {
                    Err(plain(StatusCode::UNAUTHORIZED, "the drain token is missing or wrong\n"))
                }
            }
        }
    }
}

fn refusal(Refusal { reason, since }: Refusal) -> RefusalStatus {
    RefusalStatus { reason, seconds: since.elapsed().as_secs() }
}

fn shard(Shard { primary, behind, refusal: refused }: Shard) -> ShardStatus {
    let behind_ms = u64::try_from(behind.as_millis()).unwrap_or(u64::MAX);
    ShardStatus { primary, behind_ms, writable: refused.is_none(), refusal: refused.map(refusal) }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn bearer(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    fn token(text: &'static [u8]) -> DrainAccess {
        DrainAccess::Token(Arc::new(move || Some(Arc::<[u8]>::from(text))))
    }

    #[test]
    fn only_the_holder_of_the_token_drains() {
        let access = token(b"s3cret");
        assert!(access.check(&bearer("Bearer s3cret")).is_ok());
        for wrong in ["Bearer s3creT", "Bearer s3cre", "Bearer s3cret1", "s3cret", "Bearer "] {
            let refused = access.check(&bearer(wrong)).expect_err(wrong);
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_rotated_token_counts_from_the_next_request_on() {
        let token = Arc::new(parking_lot::Mutex::new(Some(Arc::<[u8]>::from(*b"old"))));
        let read = Arc::clone(&token);
        let access = DrainAccess::Token(Arc::new(move || read.lock().clone()));
        assert!(access.check(&bearer("Bearer old")).is_ok());
        *token.lock() = Some(Arc::from(*b"new"));
        assert!(access.check(&bearer("Bearer old")).is_err() && access.check(&bearer("Bearer new")).is_ok());
        *token.lock() = None;
        assert!(access.check(&bearer("Bearer new")).is_err(), "a token that cannot be read lets nobody in");
    }

    #[test]
    fn no_web_page_drains_a_gateway() {
        for name in ["origin", "sec-fetch-site"] {
            let mut headers = bearer("Bearer s3cret");
            headers.insert(name, HeaderValue::from_static("https://evil.example"));
            for access in [DrainAccess::Loopback, token(b"s3cret")] {
                assert_eq!(access.check(&headers).expect_err(name).status(), StatusCode::FORBIDDEN, "{name}");
            }
        }
    }

    #[test]
    fn an_open_port_without_a_token_cannot_be_drained() {
        let refused = DrainAccess::Closed.check(&bearer("Bearer anything")).expect_err("closed");
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
}
