//! WebSocket handshakes: decides which protocol a request is for and whether it may come in, answers 101 and hands the
//! TCP stream to a reactor.
//!
//! A request that is there as a whole when its peer is accepted, as it is wherever many come at once, is answered on
//! the spot; any other, and what is refused, goes through HTTP, which then gives the stream back.

use std::{net::IpAddr, sync::Arc};

use axum::{body::Body, response::Response};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tungstenite::handshake::derive_accept_key;

use crate::{
    fanout::{
        address::AddressClass,
        reactor::Reactors,
        session::{Accepted, Context, Effects, Input, Policy, Session},
    },
    http::{
        client::{AddressPermit, Addresses, Ends},
        closing, extensions, fast_upgrade,
        gate::{ConnectionPermit, Gate},
        host::Host,
        origins::Origins,
        peer::Peer,
        plain,
        refusals::Refusals,
        unix_millis,
    },
    moderation::Moderation,
    protocols::{Handshake, Protocol, Refusal},
    rooms::{ProtocolId, Role},
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
    pub origins: Origins,
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
    /// Hosts that the ChatRoom names for itself, in lower case.
    pub hosts: Vec<String>,
    pub gate: Gate,
    pub addresses: Addresses,
    pub moderation: Arc<Moderation>,
    pub refusals: Refusals,
    /// Owns the sockets that are on their way from HTTP to a reactor.
    pub tasks: TaskTracker,
}

/// A connection that may come in, once its client knows.
struct Admitted {
    session: Box<dyn Session>,
    policy: Policy,
    protocol: ProtocolId,
    deflate: bool,
    /// `Sec-WebSocket-Accept`.
    accept: String,
    permit: ConnectionPermit,
    /// The network that the connection counts for.
    address: IpAddr,
    counted: Option<AddressPermit>,
}

impl Admitted {
    /// Hands the socket to a reactor, with what came behind the request.
    fn hand_over(self, reactors: &Reactors, from: Ends, stream: mio::net::TcpStream, leftover: Bytes) {
        let Self { session, policy, protocol, deflate, accept: _, permit, address, counted } = self;
        let session = match counted {
            Some(permit) => Box::new(Counted { session, _address: permit }),
            None => session,
        };
        if reactors.adopt(Accepted { stream, leftover, session, policy, address, protocol, deflate }).is_err() {
            tracing::warn!(
                protocol = protocol.name(), address = %AddressClass::of(from.remote),
                "a reactor is flooded: a connection was dropped"
            );
        }
        drop::<ConnectionPermit>(permit);
    }
}

/// A session whose address has one connection more for as long as it lives.
struct Counted {
    session: Box<dyn Session>,
    _address: AddressPermit,
}

impl Session for Counted {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        self.session.handle(input, cx, out);
    }

    fn role(&self) -> Role {
        self.session.role()
    }
}

/// A request that may not, its answer, and what that counts as.
struct TurnedAway {
    answer: Response<Body>,
    protocol: Option<ProtocolId>,
    reason: &'static str,
}

impl Upgrades {
    /// The protocol that `host` and `path` name within `scope`.
    fn find(&self, scope: Scope, host: Host<'_>, path: &str) -> Option<&Served> {
        match scope {
            Scope::Own(index) => self.served.get(index),
            Scope::Shared => self.by_host(host).or_else(|| self.served.iter().find(|served| served.path == path)),
        }
    }

    /// The protocol that owns the host.
    fn by_host(&self, host: Host<'_>) -> Option<&Served> {
        self.served.iter().find(|served| served.hosts.iter().any(|own| own.eq_ignore_ascii_case(host.name)))
    }

    /// Answers a peer whose upgrade request has come whole; gives back who needs HTTP.
    pub fn take(&self, scope: Scope, mut peer: Peer) -> Option<Peer> {
        let Some((request, length)) = fast_upgrade::upgrade(&peer.said) else { return Some(peer) };
        let Ok(admitted) = self.admit(scope, peer.ends, &request) else { return Some(peer) };
        let head = fast_upgrade::write(&switching(&admitted));
        // A new socket has room for it.
        if peer.send(&head).is_ok_and(|sent| sent == head.len()) {
            admitted.hand_over(&self.reactors, peer.ends, peer.stream, peer.said.slice(length..));
        } else {
            let (protocol, address) = (admitted.protocol.name(), AddressClass::of(peer.ends.remote));
            tracing::debug!(protocol, %address, "a peer left during its handshake");
        }
        None
    }

    /// Answers one upgrade request. On 101 the socket follows to a reactor by itself.
    pub fn answer<B>(&self, scope: Scope, ends: Ends, mut request: Request<B>) -> Response<Body> {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let admitted = match self.admit(scope, ends, &request) {
            Ok(admitted) => admitted,
            Err(TurnedAway { answer, protocol, reason }) => {
                self.refusals.count(protocol, reason);
                return closing(answer);
            }
        };
        let Some(upgrade) = upgrade else {
            self.refusals.count(Some(admitted.protocol), "handshake");
            return plain(StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded\n");
        };
        let (answer, reactors) = (switching(&admitted), Arc::clone(&self.reactors));
        self.tasks.spawn(async move {
            if let Some((stream, leftover)) = take_back(upgrade, ends).await {
                admitted.hand_over(&reactors, ends, stream, leftover);
            }
        });
        answer.map(|()| Body::empty())
    }

    /// Decides whether the client comes in, and makes its session.
    fn admit<B>(&self, scope: Scope, ends: Ends, request: &Request<B>) -> Result<Admitted, TurnedAway> {
        let headers = request.headers();
        let Some(host) = Host::of(headers) else {
            let answer = plain(StatusCode::BAD_REQUEST, "a request names one valid Host\n");
            return Err(TurnedAway { answer, protocol: None, reason: "host" });
        };
        let Some(served) = self.find(scope, host, request.uri().path()) else {
            let answer = plain(StatusCode::NOT_FOUND, self.directions());
            return Err(TurnedAway { answer, protocol: None, reason: "not_found" });
        };
        let protocol = served.protocol.id();
        let turn_away = |answer, reason| TurnedAway { answer, protocol: Some(protocol), reason };
        let key = key_of(request).map_err(|answer| turn_away(answer, "handshake"))?;
        if !served.origins.admit(headers, host) {
            let answer = plain(StatusCode::FORBIDDEN, "pages of this origin may not connect: see allowedOrigins\n");
            return Err(turn_away(answer, "origin"));
        }
        let address = self.addresses.of(ends.remote, headers);
        self.moderation.may_come(address).map_err(|refusal| turn_away(banned(), refusal.code()))?;
        let counted = self.addresses.enter(address).map_err(|_| turn_away(too_many_connections(), "address"))?;
        let Some(permit) = self.gate.enter(self.reactors.connections()) else {
            return Err(turn_away(full(), "full"));
        };
        let public_url = self.public_url(host, ends);
        let handshake = Handshake {
            target: request.uri().path_and_query().map_or("/", |target| target.as_str()),
            headers,
            public_url: &public_url,
            unix: unix_millis(),
        };
        let session = served.protocol.accept(&handshake).map_err(|refused| {
            let Refusal { status, body, reason, header } = refused;
            turn_away(refusal(status, body, header), reason)
        })?;
        let deflate = served.deflate && extensions::offers_deflate(headers);
        let accept = derive_accept_key(key);
        Ok(Admitted { session, policy: served.policy, protocol, deflate, accept, permit, address, counted })
    }

    /// What URLs that others are shown begin with. A Host that the client made up becomes part of none; they are
    /// relative then.
    fn public_url(&self, host: Host<'_>, ends: Ends) -> String {
        let own = |own: &String| own.eq_ignore_ascii_case(host.name);
        let named = || self.hosts.iter().any(own) || self.served.iter().any(|served| served.hosts.iter().any(own));
        match &self.public_url {
            Some(url) => url.clone(),
            None if named() || host.is(ends.local) => format!("http://{}", host.text),
            None => String::new(),
        }
    }

    fn directions(&self) -> String {
        let paths: Vec<_> = self.served.iter().map(|served| served.path.as_str()).collect();
        format!("no protocol here; WebSocket paths: {}\n", paths.join(" "))
    }
}

/// Checks the handshake as RFC 6455 section 4.2.1 asks; gives the client's key.
fn key_of<B>(request: &Request<B>) -> Result<&[u8], Response<Body>> {
    let headers = request.headers();
    let bad = |why: &'static str| plain(StatusCode::BAD_REQUEST, why);
    if request.method() != Method::GET || request.version() < Version::HTTP_11 {
        return Err(bad("a WebSocket handshake is a GET of HTTP/1.1\n"));
    }
    // A proxy that counts it disagrees about where the frames begin.
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if length || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(bad("a WebSocket handshake has no body\n"));
    }
    let upgrades = |value: &HeaderValue| {
        value.to_str().is_ok_and(|list| list.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")))
    };
    if !headers.get_all(header::CONNECTION).iter().any(upgrades) {
        return Err(bad("the Connection header must name Upgrade\n"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut answer = plain(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13\n");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(answer);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let is_valid = |key: &&[u8]| KEY.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    key.filter(is_valid).ok_or_else(|| bad("Sec-WebSocket-Key must be 16 bytes in base64, once\n"))
}

/// Clients are careless about the bits that do not fill a byte; the length and the alphabet are what counts.
const KEY: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The header, if it is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The stream that HTTP was spoken over, and what came behind the request.
async fn take_back(upgrade: OnUpgrade, from: Ends) -> Option<(mio::net::TcpStream, Bytes)> {
    let address = AddressClass::of(from.remote);
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%address, %error, "a peer left during its handshake");
            return None;
        }
    };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Peer<TcpStream>>>() else {
        tracing::error!(%address, "failed to take a connection over after its upgrade");
        return None;
    };
    let Peer { stream, said, ends: _ } = io.into_inner().unwatched().ok()?;
    Some((stream, if said.is_empty() { read_buf } else { [read_buf, said].concat().into() }))
}

fn switching(admitted: &Admitted) -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&admitted.accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if admitted.deflate {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions::DEFLATE);
    }
    answer
}

/// The answer to a banned address.
pub(super) fn banned() -> Response<Body> {
    plain(StatusCode::FORBIDDEN, "this address is banned\n")
}

fn full() -> Response<Body> {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "this gateway is full; try again\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    answer
}

fn too_many_connections() -> Response<Body> {
    let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "this address has as many connections as it may\n");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    answer
}

fn refusal(status: StatusCode, body: &'static str, header: Option<(HeaderName, HeaderValue)>) -> Response<Body> {
    let mut answer = plain(status, body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer.headers_mut().extend(header);
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
    fn the_key_of_a_good_handshake_is_taken() {
        for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade"] {
            let request = request(&[("connection", connection), VERSION, KEY]);
            assert_eq!(key_of(&request).unwrap(), KEY.1.as_bytes(), "{connection}");
        }
    }

    #[test]
    fn a_bad_handshake_is_refused_with_the_reason() {
        let upgrade = ("connection", "Upgrade");
        let cases: [(&[_], StatusCode); 11] = [
            (&[VERSION, KEY], StatusCode::BAD_REQUEST),
            (&[("connection", "close"), VERSION, KEY], StatusCode::BAD_REQUEST),
            (&[upgrade, KEY], StatusCode::UPGRADE_REQUIRED),
            (&[upgrade, ("sec-websocket-version", "8"), KEY], StatusCode::UPGRADE_REQUIRED),
            (&[upgrade, VERSION, ("sec-websocket-version", "8"), KEY], StatusCode::UPGRADE_REQUIRED),
            (&[upgrade, VERSION, ("sec-websocket-key", "short")], StatusCode::BAD_REQUEST),
            (&[upgrade, VERSION, ("sec-websocket-key", "!!!!!!!!!!!!!!!!!!!!!!==")], StatusCode::BAD_REQUEST),
            (&[upgrade, VERSION, KEY, ("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEA==")], StatusCode::BAD_REQUEST),
            (&[upgrade, VERSION, KEY, ("content-length", "5")], StatusCode::BAD_REQUEST),
            (&[upgrade, VERSION, KEY, ("transfer-encoding", "chunked")], StatusCode::BAD_REQUEST),
            (&[upgrade, VERSION], StatusCode::BAD_REQUEST),
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
