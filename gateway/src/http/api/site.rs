//! The API's listener: every request has a time until the head of its answer.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use http::Request;
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt;

use super::fault::Fault;
use crate::http::listen::{Site, Talk};

/// A request whose body has not come by then, or whose answer has not begun, is given up. Posts fail sooner.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Serves the API.
#[derive(Clone, Debug)]
pub struct ApiSite(Router);

impl ApiSite {
    /// Answers with `router`.
    pub fn new(router: Router) -> Self {
        Self(router)
    }
}

impl Site for ApiSite {
    async fn call(&self, _: &Talk, request: Request<Incoming>) -> Response<Body> {
        match timeout(ANSWERED_WITHIN, self.0.clone().oneshot(request.map(Body::new))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(never)) => match never {},
            Err(_) => Fault::too_late().into_response(),
        }
    }
}
