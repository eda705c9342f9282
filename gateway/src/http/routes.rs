//! What a listener serves: upgrades by its scope, everything else by its router.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use http::{HeaderValue, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{
    http::{
        client::Addresses,
        closing,
        fast_upgrade::asks_for_websocket,
        host::Host,
        listen::{Site, Talk},
        monotonic_micros,
        peer::Peer,
        plain,
        upgrade::{Scope, Upgrades, banned},
    },
    rooms::rates::Rate,
};

/// A request whose body has not come by then, or whose answer is not there, is given up: a peer that drips its body
/// would keep its place for ever. Posts fail sooner when the bus is unavailable.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// The same on the admin port, where nothing waits for Redis.
const ADMIN_ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// The public side of a gateway, as one listener shows it.
pub struct Public {
    pub upgrades: Arc<Upgrades>,
    pub scope: Scope,
    /// Serves what is no upgrade: the page and the protocols' HTTP endpoints.
    pub router: Router,
    /// Requests of one connection; those above it wait.
    pub rate: Rate,
    pub addresses: Addresses,
}

impl Site for Public {
    fn take(&self, peer: Peer) -> Option<Peer> {
        self.upgrades.take(self.scope, peer)
    }

    async fn call(&self, talk: &Talk, request: Request<Incoming>) -> Response<Body> {
        let refusals = &self.upgrades.refusals;
        if asks_for_websocket(request.headers()) {
            return self.upgrades.answer(self.scope, talk.ends, request);
        }
        if request.version() >= Version::HTTP_11 && Host::of(request.headers()).is_none() {
            refusals.count(None, "host");
            return closing(plain(StatusCode::BAD_REQUEST, "a request names one valid Host\n"));
        }
        talk.paced(self.rate).await;
        let address = self.addresses.of(talk.ends.remote, request.headers());
        if let Err(refusal) = self.upgrades.moderation.may_come(address) {
            refusals.count(None, refusal.code());
            return closing(banned());
        }
        if let Err(wait) = self.addresses.request(address, monotonic_micros()) {
            refusals.count(None, "rate");
            return too_many(wait);
        }
        let (head, body) = request.into_parts();
        let (body, _uploaded) = talk.upload(body);
        let request = Request::from_parts(head, Body::new(body));
        match timeout(ANSWERED_WITHIN, answer(&self.router, request)).await {
            Ok(answer) => answer,
            Err(_) => {
                refusals.count(None, "request_timeout");
                gave_up()
            }
        }
    }
}

/// The answer to an address that sends more requests than it may; `wait` in microseconds.
fn too_many(wait: u64) -> Response<Body> {
    let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.div_ceil(1_000_000).max(1)));
    answer
}

/// The rest of a request that did not come would be read as the next one.
fn gave_up() -> Response<Body> {
    closing(plain(StatusCode::REQUEST_TIMEOUT, "the request did not come in time\n"))
}

/// The admin side of a gateway. It answers probes from the first moment, and everything else once the gateway knows
/// its bus.
#[derive(Clone)]
pub struct Admin {
    starting: Router,
    started: Arc<OnceLock<Router>>,
}

impl Admin {
    /// Answers with `starting` until [`Admin::start`] gives it its routes.
    pub fn new(starting: Router) -> Self {
        Self { starting, started: Arc::default() }
    }

    /// From now on `router` answers; later calls change nothing.
    pub fn start(&self, router: Router) {
        self.started.get_or_init(|| router);
    }
}

impl Site for Admin {
    async fn call(&self, _: &Talk, request: Request<Incoming>) -> Response<Body> {
        let answer = answer(self.started.get().unwrap_or(&self.starting), request.map(Body::new));
        timeout(ADMIN_ANSWERED_WITHIN, answer).await.unwrap_or_else(|_| gave_up())
    }
}

async fn answer(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The answer to a plain request to a protocol's path.
pub(crate) async fn upgrade_required() -> Response<Body> {
    let mut answer = plain(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket\n");
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer
}
