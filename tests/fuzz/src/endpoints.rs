//! The HTTP endpoints of the protocols: a request head in lines, an empty line, a body.

use std::cell::RefCell;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{
    seed::{lines, split},
    settings,
};

/// Largest answer in bytes: an avatar.
const ANSWER: usize = 16 * 1024;

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime without I/O"));
}

/// `POST /msg`, headers, an empty line and the body: whatever they are, the answer is one that clients can read, and the
/// next request gets its own.
pub(crate) fn request(data: &[u8]) {
    let (head, body) = split(data, b"\n\n");
    let Some(request) = parse(head, body) else { return };
    let stores = settings::stores();
    let protocols = settings::protocols(&stores, false);
    let router = protocols.iter().fold(axum::Router::new(), |router, protocol| router.merge(protocol.routes()));
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let (status, text) = answer(router.clone(), request).await;
            assert!(!status.is_server_error(), "{status}: {text}");
            let next = Request::post("/tk").body(Body::from("uid=5")).expect("a request of constants");
            let (status, text) = answer(router, next).await;
            assert!(status == StatusCode::OK && text.starts_with(r#"{"code":1,"#), "{status}: {text}");
        });
    });
}

async fn answer(router: axum::Router, request: Request<Body>) -> (StatusCode, String) {
    let Ok(response) = router.oneshot(request).await;
    let (status, json) = (response.status(), content_type(response.headers()) == Some("application/json"));
    let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
    assert!(body.len() <= ANSWER, "{} bytes", body.len());
    let text = String::from_utf8(body.to_vec()).expect("endpoints answer in UTF-8");
    if json {
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
        assert!(object.is_ok_and(|object| object.contains_key("code")), "{text}");
    }
    (status, text)
}

fn content_type(headers: &http::HeaderMap) -> Option<&str> {
    headers.get(http::header::CONTENT_TYPE)?.to_str().ok()
}

/// A request of those lines.
pub(crate) fn parse(head: &[u8], body: &[u8]) -> Option<Request<Body>> {
    let mut lines = lines(head);
    let (method, target) = split(lines.next()?, b" ");
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = split(line, b": ");
        request = request.header(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Body::from(body.to_vec())).ok()
}
