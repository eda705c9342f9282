//! What a listener serves: upgrades by its scope, everything else by its router.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::http::{
    head::asks_for_websocket,
    listen::Site,
    peer::Peer,
    plain,
    upgrade::{Scope, Upgrades},
};

/// A request whose body has not come by then, or whose answer is not there, is given up: a peer that drips its body
/// would keep its place for ever. Posts fail sooner when the bus is away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// The public side of a gateway, as one listener shows it.
pub struct Public {
    pub upgrades: Arc<Upgrades>,
    pub scope: Scope,
    /// Serves what is no upgrade: the page and the protocols' HTTP endpoints.
    pub router: Router,
}

impl Site for Public {
    fn take(&self, peer: Peer) -> Option<Peer> {
        self.upgrades.take(self.scope, peer)
    }

    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        if asks_for_websocket(request.headers()) {
            return self.upgrades.answer(self.scope, request);
        }
        match timeout(ANSWERED_WITHIN, answer(&self.router, request)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.upgrades.refusals.count(None, "request_timeout");
                gave_up()
            }
        }
    }
}

/// The rest of a request that did not come would be read as the next one.
fn gave_up() -> Response<Body> {
    let mut answer = plain(StatusCode::REQUEST_TIMEOUT, "the request did not come in time\n");
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The admin side of a gateway. It answers probes from the first moment, and everything else once the gateway knows
/// its bus.
#[derive(Clone)]
pub struct Admin {
    starting: Router,
    started: Arc<OnceLock<Router>>,
}

impl Admin {
    /// Answers with `starting` until it is told more.
    pub fn new(starting: Router) -> Self {
        Self { starting, started: Arc::default() }
    }

    /// From now on `router` answers; later calls change nothing.
    pub fn start(&self, router: Router) {
        self.started.get_or_init(|| router);
    }
}

impl Site for Admin {
    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        answer(self.started.get().unwrap_or(&self.starting), request).await
    }
}

async fn answer(router: &Router, request: Request<Incoming>) -> Response<Body> {
    match router.clone().oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What a plain request to a protocol's path is told.
pub(crate) async fn upgrade_required() -> Response<Body> {
    let mut answer = plain(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket\n");
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer
}
