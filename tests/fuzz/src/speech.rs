//! What each protocol's clients can read: the judge of every frame that a session or an encoding makes.

use std::collections::BTreeMap;

use parlor_gateway::rooms::ProtocolId;
use prost::Message;
use serde_json::value::RawValue;

/// Deepest nesting that readers of JSON can be counted on to take.
const DEPTH: usize = 127;

/// `Req` and `Reply` of relay.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Package {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) data: Vec<u8>,
}

/// `Err` of relay.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) msg: String,
}

/// `SignIn` of relay.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SignIn {
    #[prost(string, tag = "1")]
    pub(crate) token: String,
    #[prost(string, tag = "2")]
    pub(crate) room: String,
}

/// `BroadcastRoomReq` of relay.
#[derive(Clone, PartialEq, Eq, Message)]
struct Broadcast {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(int32, tag = "2")]
    level: i32,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
}

/// A frame to a client, or from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
}

/// Panics unless clients of `protocol` can read the frame.
pub(crate) fn check(protocol: ProtocolId, said: &Said) {
    match (protocol, said) {
        (ProtocolId::Relay, Said::Binary(bytes)) => relay(bytes),
        (ProtocolId::Relay, Said::Text(text)) => panic!("relay said TEXT: {text}"),
        (_, Said::Binary(bytes)) => panic!("{protocol:?} said BINARY: {bytes:02x?}"),
        (ProtocolId::MultiPerson, Said::Text(text)) => json(text),
        (ProtocolId::Native, Said::Text(text)) => drop(member(text, "op")),
        (ProtocolId::OnlyOne, Said::Text(text)) => {
            json(text);
            assert!(text.starts_with(r#"{"type":"response","#) || text.ends_with(r#","type":"push"}"#), "{text}");
        }
        (ProtocolId::Match, Said::Text(text)) => drop(member(text, "cmd")),
    }
}

/// One JSON value. Payloads are passed on as they are, so numbers may be beyond any range and escapes no characters.
fn json(text: &str) {
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "no JSON: {text}");
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    assert!(deepest <= DEPTH, "nested {deepest} deep: {text}");
}

/// A member of a JSON object. The `id` of a request is echoed byte for byte, so a number may be beyond any range.
fn member(text: &str, name: &str) -> String {
    let object: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let value = object.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    serde_json::from_str(value.get()).unwrap_or_else(|error| panic!("{error} in {name} of {text}"))
}

fn relay(bytes: &[u8]) {
    let package = Package::decode(bytes).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"));
    match package.kind {
        0 => drop(Status::decode(package.data.as_slice()).unwrap_or_else(|error| panic!("{error} in {bytes:02x?}"))),
        2 => assert_eq!(package.data, b"pong"),
        3 => items(&package.data),
        4 => assert!(package.data.iter().all(u8::is_ascii_digit) && !package.data.is_empty(), "{bytes:02x?}"),
        kind => panic!("a package of type {kind}"),
    }
}

/// At least one item, each behind its length.
fn items(data: &[u8]) {
    let broadcast = Broadcast::decode(data).unwrap_or_else(|error| panic!("{error} in {data:02x?}"));
    let mut rest = broadcast.data.as_slice();
    loop {
        let Some((length, tail)) = rest.split_first_chunk() else { panic!("no item in {data:02x?}") };
        let Some((_, tail)) = tail.split_at_checked(u32::from_le_bytes(*length) as usize) else {
            panic!("an item longer than its frame in {data:02x?}")
        };
        if tail.is_empty() {
            return;
        }
        rest = tail;
    }
}

/// A request that every open connection answers at once, whatever came before.
pub(crate) fn probe(protocol: ProtocolId) -> Said {
    Said::Text(
        match protocol {
            ProtocolId::Native => r#"{"op":"ping","id":7}"#,
            ProtocolId::OnlyOne => r#"{"requestId":7,"type":"request","route":"roomHandler.getRoomList"}"#,
            ProtocolId::Relay => return Said::Binary(Package { kind: 2, data: Vec::new() }.encode_to_vec()),
            ProtocolId::Match => r#"{"cmd":"PING_REQ","accountId":7}"#,
            ProtocolId::MultiPerson => r#"{"type":"PING","from_user_id":"7"}"#,
        }
        .to_owned(),
    )
}

/// Whether `said` answers the probe.
pub(crate) fn answers(protocol: ProtocolId, said: &Said) -> bool {
    match (protocol, said) {
        (ProtocolId::Native, Said::Text(text)) => text == r#"{"op":"pong","id":7}"#,
        (ProtocolId::OnlyOne, Said::Text(text)) => {
            text == r#"{"type":"response","code":0,"data":["onlyOne"],"requestId":7}"#
        }
        // Before the sign-in the answer is that one is needed.
        (ProtocolId::Relay, Said::Binary(bytes)) => Package::decode(bytes.as_slice()).is_ok_and(|package| {
            let refused = || Status::decode(package.data.as_slice()).is_ok_and(|status| status.code == 100);
            package.kind == 2 || (package.kind == 0 && refused())
        }),
        (ProtocolId::Match, Said::Text(text)) => text == r#"{"cmd":"PING_RESP","accountId":7}"#,
        (ProtocolId::MultiPerson, Said::Text(text)) => text.contains(r#""PONG""#),
        _ => false,
    }
}
