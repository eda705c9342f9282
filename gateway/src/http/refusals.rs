//! The count of what HTTP refused: connections that never became a request, upgrades, and calls of endpoints.
//!
//! Reasons are a small closed set, the same in every protocol that has them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body, middleware::map_response, response::Response};
use http::StatusCode;
use parking_lot::Mutex;

use crate::{protocols::Refused, rooms::ProtocolId};

/// By protocol and reason; None: before it was known which protocol is meant. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<Counts>>);

/// By protocol, where one is known, and reason.
pub type Counts = BTreeMap<(Option<ProtocolId>, &'static str), u64>;

impl Refusals {
    /// Counts one.
    pub fn count(&self, protocol: Option<ProtocolId>, reason: &'static str) {
        *self.0.lock().entry((protocol, reason)).or_default() += 1;
    }

    /// All counts so far.
    pub fn all(&self) -> Counts {
        self.0.lock().clone()
    }

    /// Counts what the endpoints of `protocol` refuse, and not paths that are none of its.
    pub fn watch(&self, protocol: ProtocolId, endpoints: Router) -> Router {
        let refusals = self.clone();
        let watched = endpoints.layer(map_response(move |answer: Response<Body>| {
            if let Some(reason) = reason(&answer) {
                refusals.count(Some(protocol), reason);
            }
            async { answer }
        }));
        // The layer is around what answers unknown paths too, which merging would keep.
        watched.reset_fallback()
    }
}

/// Why an answer refuses: as the endpoint says, else as its status does; None when it does not.
fn reason(answer: &Response<Body>) -> Option<&'static str> {
    if let Some(Refused(reason)) = answer.extensions().get() {
        return Some(reason);
    }
    match answer.status() {
        StatusCode::NOT_FOUND => Some("not_found"),
        StatusCode::METHOD_NOT_ALLOWED => Some("method"),
        StatusCode::PAYLOAD_TOO_LARGE => Some("too_large"),
        status if status.is_server_error() => Some("unavailable"),
        status if status.is_client_error() => Some("malformed"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn what_an_endpoint_refuses_is_counted_by_its_own_reason_or_by_its_status() {
        let refusals = Refusals::default();
        let marked = || async { (axum::Extension(Refused("token")), "no") };
        let endpoints = Router::new().route("/marked", get(marked)).route("/fine", get(|| async { "yes" }));
        let endpoints = endpoints.route("/gone", get(|| async { StatusCode::NOT_FOUND }));
        let endpoints = refusals.watch(ProtocolId::Relay, endpoints);
        for (method, path) in [("GET", "/marked"), ("GET", "/fine"), ("GET", "/gone"), ("PUT", "/fine")] {
            let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            endpoints.clone().oneshot(request).await.unwrap();
        }
        let relay = Some(ProtocolId::Relay);
        assert_eq!(
            refusals.all(),
            Counts::from([((relay, "method"), 1), ((relay, "not_found"), 1), ((relay, "token"), 1)])
        );
    }

    #[tokio::test]
    async fn paths_that_no_protocol_has_are_nobodys_refusals() {
        let refusals = Refusals::default();
        let of = |protocol| refusals.watch(protocol, Router::new());
        let merged = Router::new().merge(of(ProtocolId::Native)).merge(of(ProtocolId::Match));
        let request = http::Request::get("/nowhere").body(Body::empty()).unwrap();
        assert_eq!(merged.oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
        assert!(refusals.all().is_empty(), "{:?}", refusals.all());
    }
}
