//! What is decided before a connection may speak: the head of an upgrade, its Origin and token, and signed tokens.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parlor_gateway::{
    fanout::session::{Context, Effect, Effects, Input},
    http::{
        fast_upgrade,
        proxies::{self, Header},
    },
    protocols::{Handshake, Protocol},
    rooms::{Origin, ProtocolId},
};
use prost::Message;
use tokio::{io::AsyncWriteExt, runtime};

use crate::{
    seed::{lines, split},
    settings,
    speech::{Package, SignIn},
};

/// When tokens are looked at, in milliseconds since the Unix epoch.
const UNIX: u64 = 1_700_000_000_000;
/// The claims of the tokens in the corpus that were signed with the key and hold now: uid 42, from 2020 to 2100. Nothing
/// else can have been signed, whatever a header says.
const CLAIMS: &str = "eyJydG0iOiJ0ZXN0IiwiaWF0IjoxNjAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDAsImN0bSI6IiIsInVpZCI6IjQyIn0";

/// What is answered without an HTTP server reads as that would read it; and it leaves nothing that is plain and whole.
pub(crate) fn whole_head(data: &[u8]) {
    let served = served(data);
    let Some((request, length)) = fast_upgrade::upgrade(&Bytes::copy_from_slice(data)) else {
        let plain = |parts: &Parts| {
            let headers = &parts.headers;
            let body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
            let names = |to: &http::HeaderValue| {
                to.as_bytes()
                    .split(|byte| *byte == b',')
                    .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
            };
            let upgrade = headers.get_all(UPGRADE).iter().any(names);
            parts.method == "GET" && parts.version == http::Version::HTTP_11 && upgrade && !body && headers.len() <= 64
        };
        assert!(!served.is_some_and(|parts| plain(&parts)), "a plain upgrade is left");
        return;
    };
    let (parts, ()) = request.into_parts();
    let served = served.expect("a head that an HTTP server takes");
    assert_eq!((parts.method, parts.uri, parts.version), (served.method, served.uri, served.version));
    assert_eq!(parts.headers, served.headers);
    assert!(length <= data.len() && data[..length].ends_with(b"\n"), "{length}");
}

/// What a load balancer says about its peer is read alike however much follows, and a part of it waits for the rest.
pub(crate) fn introduction(data: &[u8]) {
    let read = proxies::read(data);
    if let Ok(Header::Whole { length, .. }) = read {
        assert!(length <= data.len(), "{length}");
        assert_eq!(proxies::read(&data[..length]), read);
        assert_eq!(proxies::read(&data[..length - 1]), Ok(Header::Part));
    }
}

/// The first request in `data` as hyper reads it.
fn served(data: &[u8]) -> Option<Parts> {
    let seen = Arc::new(Mutex::new(None));
    let see = Arc::clone(&seen);
    let service = service_fn(move |request: http::Request<Incoming>| {
        see.lock().expect("one thread").get_or_insert(request.into_parts().0);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(data.len().max(1) + 4096);
        let (_, ended) = tokio::join!(
            async { client.write_all(data).await.and(client.shutdown().await) },
            http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades(),
        );
        drop(ended);
    });
    seen.lock().expect("one thread").take()
}

/// An upgrade request to OnlyOne: the target, then headers, one a line. What passes has an Origin that is listed or
/// none, and the verdict does not depend on how a token is escaped.
pub(crate) fn upgrade(data: &[u8]) {
    let mut lines = lines(data);
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = split(line, b": ");
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let passes = |target: &str, headers: &HeaderMap| {
        let handshake = Handshake { target, headers, public_url: "http://chat.example", unix: UNIX };
        protocol(ProtocolId::OnlyOne)
            .accept(&handshake)
            .map(drop)
            .map_err(|refusal| (refusal.status.as_u16(), refusal.body))
    };
    let verdict = passes(&target, &headers);
    match verdict {
        Ok(()) => assert!(headers.get(ORIGIN).is_none_or(|origin| origin == "https://chat.example"), "{headers:?}"),
        Err((status, body)) => {
            assert!(status == 401 && ["ORIGIN_LIMIT", "TOKEN_VERIFY_FAIL"].contains(&body), "{status} {body}");
        }
    }
    let escaped = target.replace('+', "%2B").replace('/', "%2F");
    assert_eq!(passes(&escaped, &headers), verdict, "{target}");
    headers.remove(ORIGIN);
    let without = passes(&target, &headers);
    assert!(verdict.is_err() || without.is_ok(), "{target}");
}

/// A token that signs in to relay is one that was signed.
pub(crate) fn signed_token(data: &[u8]) {
    let token = String::from_utf8_lossy(data).trim_end().to_owned();
    let headers = HeaderMap::new();
    let handshake = Handshake { target: "/", headers: &headers, public_url: "http://chat.example", unix: UNIX };
    let Ok(mut session) = protocol(ProtocolId::Relay).accept(&handshake) else {
        panic!("an upgrade without conditions was refused")
    };
    let sign_in = SignIn { token: token.clone(), room: settings::ROOM.to_owned() }.encode_to_vec();
    let frame = Package { kind: 1, data: sign_in }.encode_to_vec();
    let cx = Context { now: 0, unix: UNIX, origin: Origin { gateway: 7, connection: 1 } };
    let mut effects = Effects::new();
    session.handle(Input::Binary(&frame), &cx, &mut effects);
    let passes = effects.iter().any(|effect| matches!(effect, Effect::Join(_)));
    let refused = effects.iter().any(|effect| matches!(effect, Effect::Binary(_)));
    assert!(passes != refused, "{effects:?}");
    let signed = token.split('.').nth(1) == Some(CLAIMS);
    assert!(signed || !passes, "{token} was never signed");
}

fn protocol(id: ProtocolId) -> std::sync::Arc<dyn Protocol> {
    let protocols = settings::protocols(&settings::stores(), true);
    let found = protocols.into_iter().find(|protocol| protocol.id() == id);
    found.unwrap_or_else(|| panic!("{id:?} is not served"))
}
