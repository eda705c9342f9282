//! What a listener serves: upgrades by its scope, everything else by its router.

use std::sync::{Arc, OnceLock};

use axum::{Router, body::Body, response::Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::http::{
    listen::Site,
    plain,
    upgrade::{Scope, Upgrades, is_upgrade},
};

/// The public side of a gateway, as one listener shows it.
pub struct Public {
    pub upgrades: Arc<Upgrades>,
    pub scope: Scope,
    /// Serves what is no upgrade: the page and the protocols' HTTP endpoints.
    pub router: Router,
}

impl Site for Public {
    async fn call(&self, request: Request<Incoming>) -> Response<Body> {
        if is_upgrade(request.headers()) {
            return self.upgrades.answer(self.scope, request);
        }
        answer(&self.router, request).await
    }
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
    answer.headers_mut().insert(http::header::UPGRADE, http::HeaderValue::from_static("websocket"));
    answer
}
