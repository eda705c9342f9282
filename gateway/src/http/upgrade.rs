//! WebSocket handshakes: decides which protocol a request is for and whether it may come in, answers 101, takes the
//! TCP stream back from HTTP and hands it to a reactor.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tungstenite::handshake::derive_accept_key;

use crate::{
    fanout::{
        reactor::Reactors,
        session::{Accepted, Policy},
    },
    http::{
        extensions,
        gate::{Gate, Place},
        plain,
        refusals::Refusals,
        unix_millis,
    },
    protocols::{Handshake, Protocol, Refusal},
};

/// Seconds after which a client that found the gateway full should try again.
const RETRY_AFTER: &str = "2";

/// A protocol and where on the shared port it is found.
pub struct Served {
    pub protocol: Arc<dyn Protocol>,
    /// Path on the shared port.
    pub path: String,
    /// Hosts on which every path is this protocol's, in lower case.
    pub hosts: Vec<String>,
    pub policy: Policy,
    /// Whether permessage-deflate is agreed to.
    pub deflate: bool,
}

/// Which protocols a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, by host and path.
    Shared,
    /// One (an index into the served ones), on any path.
    Own(usize),
}

/// Answers upgrade requests; shared by all listeners.
pub struct Upgrades {
    pub served: Vec<Served>,
    /// `route.publicURL` without a slash at the end.
    pub public_url: Option<String>,
    pub reactors: Arc<Reactors>,
    pub gate: Gate,
    pub refusals: Refusals,
    /// Owns the sockets that are on their way from HTTP to a reactor.
    pub tasks: TaskTracker,
}

/// True if the request asks for a WebSocket, well or badly.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl Upgrades {
    /// The protocol that `host` and `path` name within `scope`.
    pub fn find(&self, scope: Scope, headers: &HeaderMap, path: &str) -> Option<&Served> {
        match scope {
            Scope::Own(index) => self.served.get(index),
            Scope::Shared => self.by_host(headers).or_else(|| self.served.iter().find(|served| served.path == path)),
        }
    }

    /// The protocol that owns the request's host.
    pub fn by_host(&self, headers: &HeaderMap) -> Option<&Served> {
        let host = host_of(headers)?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.served.iter().find(|served| served.hosts.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }

    /// Answers one upgrade request. On 101 the socket follows to a reactor by itself.
    pub fn answer<B>(&self, scope: Scope, mut request: Request<B>) -> Response<Body> {
        let Some(served) = self.find(scope, request.headers(), request.uri().path()) else {
            self.refusals.count(None, "not_found");
            return plain(StatusCode::NOT_FOUND, self.directions());
        };
        let refuse = |reason| self.refusals.count(Some(served.protocol.id()), reason);
        let key = match key_of(&request) {
            Ok(key) => derive_accept_key(key),
            Err(refused) => {
                refuse("handshake");
                return refused;
            }
        };
        let Some(place) = self.gate.enter(self.reactors.connections()) else {
            refuse("full");
            return full();
        };
        let public_url = self.public_url(request.headers());
        let handshake = Handshake {
            target: request.uri().path_and_query().map_or("/", |target| target.as_str()),
            headers: request.headers(),
            public_url: &public_url,
            unix: unix_millis(),
        };
        let session = match served.protocol.accept(&handshake) {
            Ok(session) => session,
            Err(Refusal { status, body, reason }) => {
                refuse(reason);
                return refusal(status, body);
            }
        };
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            refuse("handshake");
            return plain(StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded\n");
        };
        let deflate = served.deflate && extensions::offers_deflate(request.headers());
        let (policy, protocol) = (served.policy, served.protocol.id());
        let reactors = Arc::clone(&self.reactors);
        self.tasks.spawn(async move {
            if let Some((stream, leftover)) = take_back(upgrade).await {
                let accepted = Accepted { stream, leftover, session, policy, protocol, deflate };
                if reactors.adopt(accepted).is_err() {
                    tracing::warn!("a reactor is flooded: a connection was dropped");
                }
            }
            drop::<Place>(place);
        });
        switching(&key, deflate)
    }

    fn public_url(&self, headers: &HeaderMap) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", host_of(headers).unwrap_or("localhost")))
    }

    fn directions(&self) -> String {
        let paths: Vec<_> = self.served.iter().map(|served| served.path.as_str()).collect();
        format!("no protocol here; WebSocket paths: {}\n", paths.join(" "))
    }
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// Checks the handshake as RFC 6455 section 4.2.1 asks; gives the client's key.
fn key_of<B>(request: &Request<B>) -> Result<&[u8], Response<Body>> {
    let headers = request.headers();
    let bad = |why: &'static str| plain(StatusCode::BAD_REQUEST, why);
    if request.method() != Method::GET || request.version() < Version::HTTP_11 {
        return Err(bad("a WebSocket handshake is a GET of HTTP/1.1\n"));
    }
    let upgrades = |value: &HeaderValue| {
        value.to_str().is_ok_and(|list| list.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")))
    };
    if !headers.get_all(header::CONNECTION).iter().any(upgrades) {
        return Err(bad("the Connection header must name Upgrade\n"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut answer = plain(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13\n");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(answer);
    }
    match headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes) {
        // 16 bytes in base64.
        Some(key) if key.len() == 24 => Ok(key),
        _ => Err(bad("Sec-WebSocket-Key must be 16 bytes in base64\n")),
    }
}

async fn take_back(upgrade: OnUpgrade) -> Option<(std::net::TcpStream, bytes::Bytes)> {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a peer left during its handshake");
            return None;
        }
    };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else {
        tracing::error!("an upgraded connection was not a TCP stream");
        return None;
    };
    io.into_inner().into_std().ok().map(|stream| (stream, read_buf))
}

fn switching(accept: &str, deflate: bool) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if deflate {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions::DEFLATE);
    }
    answer
}

fn full() -> Response<Body> {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "this gateway is full; try again\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    answer
}

fn refusal(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut answer = plain(status, body);
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::get("/chat").body(()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");

    #[test]
    fn an_upgrade_is_recognised_in_any_case() {
        assert!(is_upgrade(request(&[("upgrade", "WebSocket")]).headers()));
        assert!(!is_upgrade(request(&[("upgrade", "h2c")]).headers()));
        assert!(!is_upgrade(request(&[]).headers()));
    }

    #[test]
    fn the_key_of_a_good_handshake_is_taken() {
        for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade"] {
            let request = request(&[("connection", connection), VERSION, KEY]);
            assert_eq!(key_of(&request).unwrap(), KEY.1.as_bytes(), "{connection}");
        }
    }

    #[test]
    fn a_bad_handshake_is_told_what_is_wrong() {
        let upgrade = ("connection", "Upgrade");
        let cases: [(&[_], StatusCode); 5] = [
            (&[VERSION, KEY], StatusCode::BAD_REQUEST),
            (&[("connection", "close"), VERSION, KEY], StatusCode::BAD_REQUEST),
            (&[upgrade, KEY], StatusCode::UPGRADE_REQUIRED),
            (&[upgrade, ("sec-websocket-version", "8"), KEY], StatusCode::UPGRADE_REQUIRED),
            (&[upgrade, VERSION, ("sec-websocket-key", "short")], StatusCode::BAD_REQUEST),
        ];
        for (headers, status) in cases {
            let refused = key_of(&request(headers)).expect_err("a bad handshake");
            assert_eq!(refused.status(), status, "{headers:?}");
        }
        let mut post = request(&[upgrade, VERSION, KEY]);
        *post.method_mut() = Method::POST;
        assert_eq!(key_of(&post).expect_err("a POST").status(), StatusCode::BAD_REQUEST);
    }
}
