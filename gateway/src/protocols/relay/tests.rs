//! What a relay client sends and what it gets, byte for byte.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::body::Body;
use http_body_util::BodyExt;
use proptest::prelude::*;
use prost::Message;
use tower::ServiceExt;

use super::{
    Relay, Settings,
    encoding::RelayEncoding,
    token,
    wire::{BroadcastRoom, MsgLevel, Package, SignIn, status, verbatim},
};
use crate::{
    bus::{Bus, History, memory::Memory},
    fanout::{
        poster::Poster,
        session::{Answer, Input},
    },
    protocols::{
        Handshake, Protocol,
        script::{Peer, UNIX, entry, frames, hex, joined, name, person, signal_frames},
    },
    rooms::{ProtocolId, Signal},
};

const KEY: &[u8] = b"relay key";

fn bus() -> Arc<Memory> {
    Arc::new(Memory::new(History { messages: 100, age: Duration::from_secs(60) }))
}

fn settings(bus: Arc<Memory>) -> Settings {
    Settings {
        key: Arc::from(KEY),
        issue_tokens: true,
        require_membership: false,
        rooms: None,
        message_bytes: 100,
        poster: Poster::new(bus),
    }
}

fn peer_with(settings: Settings) -> Peer {
    let headers = http::HeaderMap::new();
    let handshake = Handshake { target: "/room", headers: &headers, public_url: "", unix: UNIX };
    Peer::new(Relay::new(settings).accept(&handshake).unwrap())
}

fn peer() -> Peer {
    peer_with(settings(bus()))
}

fn package(kind: i32, data: &[u8]) -> Vec<u8> {
    Package { r#type: kind, data: data.to_vec() }.encode_to_vec()
}

fn sign_in(uid: &str, room: &str) -> Vec<u8> {
    let sign_in = SignIn { token: token::issue(KEY, uid, UNIX), room_id: room.to_owned() };
    package(1, &sign_in.encode_to_vec())
}

fn message(room: &str, level: i32, data: &[u8]) -> Vec<u8> {
    let message = BroadcastRoom { room_id: room.to_owned(), level, data: data.to_vec() };
    package(3, &message.encode_to_vec())
}

/// A peer who is 42 and in room room3.
fn signed_in() -> Peer {
    let mut peer = peer();
    peer.binary(&sign_in("42", "room3"));
    peer.joined("room3", 0);
    peer
}

const SUCCESS: &str = "12 05 12 03 73 75 63";

#[test]
fn signing_in_joins_the_room_and_answers_with_the_seven_known_bytes() {
    let mut peer = peer();
    assert_eq!(peer.binary(&sign_in("42", "room3")), ["join room3 as 42 encoding 24 announce"]);
    assert_eq!(peer.joined("room3", 9), [SUCCESS]);
    assert_eq!(peer.pass(5_000), [""; 0], "the sign-in timer is off");
}

#[test]
fn a_connection_that_does_not_sign_in_within_five_seconds_is_cut() {
    let mut peer = peer();
    assert_eq!(peer.pass(4_999), [""; 0]);
    assert_eq!(peer.pass(1), ["terminate"]);
}

#[test]
fn a_sign_in_that_is_on_its_way_is_waited_for() {
    let mut peer = peer();
    peer.pass(4_900);
    peer.binary(&sign_in("42", "room3"));
    assert_eq!(peer.pass(1_000), [""; 0]);
    let unavailable = hex(&status(100, "rpc error: code = Unavailable desc = try again"));
    assert_eq!(peer.input(Input::Answer(Answer::Unavailable { retry: 5 })), ["refused unavailable", &unavailable]);
    assert_eq!(peer.pass(5_000), ["terminate"]);
}

#[test]
fn before_the_sign_in_everything_else_is_refused() {
    let mut peer = peer();
    let told = hex(&status(100, "请登录"));
    for kind in [0, 2, 3, 4, 9] {
        assert_eq!(peer.binary(&package(kind, b"")), ["refused not_signed_in", &told]);
    }
}

#[test]
fn a_refused_token_leaves_the_connection_open() {
    let mut peer = peer();
    let bad = SignIn { token: "a.b".to_owned(), room_id: "room3".to_owned() };
    let told = status(100, "rpc error: code = Unknown desc = token contains an invalid number of segments");
    assert_eq!(peer.binary(&package(1, &bad.encode_to_vec())), ["refused token", &hex(&told)]);
    assert_eq!(
        peer.binary(&sign_in("ada", "room3")),
        ["refused token", &hex(&status(100, "rpc error: code = Unknown desc = 无效token"))]
    );
    assert_eq!(peer.binary(&sign_in("42", "room3")), ["join room3 as 42 encoding 24 announce"]);
}

#[test]
fn what_cannot_be_decoded_is_ignored() {
    let mut peer = peer();
    assert_eq!(peer.binary(b"\xff\xff"), ["refused malformed"]);
    assert_eq!(peer.binary(&package(1, b"\xff")), ["refused malformed"]);
    assert_eq!(peer.text("hello"), ["refused malformed"]);
    let mut peer = signed_in();
    assert_eq!(peer.binary(&package(3, b"\xff")), ["refused malformed"]);
    assert_eq!(peer.binary(&package(0, b"")), ["refused unknown_type"]);
    assert_eq!(peer.binary(&package(77, b"")), ["refused unknown_type"]);
}

#[test]
fn heartbeats_and_counts_are_answered_in_ascii() {
    let mut peer = signed_in();
    assert_eq!(peer.binary(&package(2, b"any")), ["08 02 12 04 70 6f 6e 67"]);
    assert_eq!(peer.binary(&package(4, b"")), ["ask members room3"]);
    assert_eq!(peer.input(Input::Answer(Answer::Members(17))), ["08 04 12 02 31 37"]);
}

#[test]
fn text_frames_are_decoded_like_binary_ones() {
    let mut peer = signed_in();
    let heartbeat = package(2, b"");
    assert_eq!(peer.text(std::str::from_utf8(&heartbeat).unwrap()), ["08 02 12 04 70 6f 6e 67"]);
}

#[test]
fn messages_are_posted_to_the_room_they_name_with_their_level() {
    let mut peer = signed_in();
    let (body, hello) = (r#"{"text":"hello"}"#, "hello");
    assert_eq!(
        peer.binary(&message("room3", 0, hello.as_bytes())),
        [format!("post 0 room3 by 42 {body} verbatim \0{hello}")]
    );
    assert_eq!(
        peer.binary(&message("elsewhere", 1, hello.as_bytes())),
        [format!("post 0 elsewhere by 42 {body} verbatim \x01{hello}")]
    );
    assert_eq!(peer.binary(&message("room3", 0, b"")), ["post 0 room3 by 42 {\"text\":\"\"} verbatim \0"]);
    assert_eq!(peer.binary(&message("", 0, b"x")), ["refused room"]);
    assert_eq!(peer.posted(0, 1), [""; 0]);
}

#[test]
fn membership_and_allow_list_are_kept_where_they_are_asked_for() {
    let rooms = Some(HashSet::from([name("room3"), name("other")]));
    let mut peer = peer_with(Settings { require_membership: true, rooms, ..settings(bus()) });
    assert_eq!(peer.binary(&sign_in("42", "secret")), ["refused room", &hex(&status(100, "参数错误"))]);
    peer.binary(&sign_in("42", "room3"));
    peer.joined("room3", 0);
    assert_eq!(peer.binary(&message("other", 0, b"x")), ["refused not_a_member"]);
    assert_eq!(peer.binary(&message("secret", 0, b"x")), ["refused room"]);
    assert_eq!(peer.binary(&message("room3", 0, b"x")).len(), 1);
}

#[test]
fn a_second_sign_in_moves_the_connection() {
    let mut peer = signed_in();
    assert_eq!(peer.binary(&sign_in("42", "room4")), ["join room4 as 42 encoding 24 announce"]);
    assert_eq!(peer.joined("room4", 0), ["leave room3 asked", SUCCESS]);
    assert_eq!(peer.binary(&sign_in("42", "room4")), ["join room4 as 42 encoding 24 announce"]);
    assert_eq!(peer.joined("room4", 0), [SUCCESS]);
    assert_eq!(peer.binary(&package(4, b"")), ["ask members room4"]);
}

#[test]
fn the_empty_room_takes_a_sign_in_and_reaches_nobody() {
    let mut peer = peer();
    assert_eq!(peer.binary(&sign_in("42", "")), [SUCCESS]);
    assert_eq!(peer.binary(&package(4, b"")), ["08 04 12 01 31"]);
    assert_eq!(peer.binary(&message("", 0, b"x")), ["refused room"]);
}

#[test]
fn an_idle_connection_is_pinged_and_never_cut() {
    let mut peer = signed_in();
    assert_eq!(peer.pass(180_000), ["ping", "ping", "ping"]);
    assert_eq!(peer.input(Input::Moved { after: 1 }), ["close 1012 moved"]);
}

/// Level, then items, of each frame.
fn unpacked(payloads: Vec<Vec<u8>>) -> Vec<(i32, Vec<String>)> {
    let unpack = |payload: Vec<u8>| {
        let package = Package::decode(payload.as_slice()).unwrap();
        assert_eq!(package.r#type, 3);
        let message = BroadcastRoom::decode(package.data.as_slice()).unwrap();
        let mut rest = message.data.as_slice();
        let mut items = Vec::new();
        while let Some((length, tail)) = rest.split_at_checked(4) {
            let (item, tail) = tail.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize);
            items.push(String::from_utf8(item.to_vec()).unwrap());
            rest = tail;
        }
        assert!(rest.is_empty());
        (message.level, items)
    };
    payloads.into_iter().map(unpack).collect()
}

fn sent(seq: u64, level: MsgLevel, data: &str) -> Arc<crate::rooms::Entry> {
    let verbatim = verbatim(level.into(), data.as_bytes());
    entry(seq, &token::author("42"), ProtocolId::Relay, r#"{"text":"x"}"#, Some(&verbatim))
}

#[test]
fn two_merged_messages_are_the_known_bytes() {
    let run = [sent(1, MsgLevel::Normal, "hello im 2"), sent(2, MsgLevel::Normal, "hello im 2")];
    let expect = "08 03 12 25 0a 05 72 6f 6f 6d 33 1a 1c 0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32 \
                  0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32";
    assert_eq!(hex(&frames(&RelayEncoding, "room3", None, &run).concat()), expect);
}

#[test]
fn normal_messages_merge_by_twenty_and_important_ones_go_alone_in_order() {
    let mut run: Vec<_> = (1..=21).map(|seq| sent(seq, MsgLevel::Normal, &seq.to_string())).collect();
    run.push(sent(22, MsgLevel::Important, "now"));
    run.push(sent(23, MsgLevel::Important, "and now"));
    run.push(sent(24, MsgLevel::Normal, ""));
    let twenty = (1..=20).map(|seq| seq.to_string()).collect();
    assert_eq!(
        unpacked(frames(&RelayEncoding, "room3", None, &run)),
        [
            (0, twenty),
            (0, vec!["21".to_owned()]),
            (1, vec!["now".to_owned()]),
            (1, vec!["and now".to_owned()]),
            (0, vec![String::new()]),
        ]
    );
}

#[test]
fn long_messages_do_not_pile_up_in_one_frame() {
    let long = "x".repeat(40 * 1024);
    let run: Vec<_> = (1..=4).map(|seq| sent(seq, MsgLevel::Normal, &long)).collect();
    let items: Vec<_> = unpacked(frames(&RelayEncoding, "r", None, &run)).iter().map(|(_, i)| i.len()).collect();
    assert_eq!(items, [2, 2]);
}

#[test]
fn people_of_other_protocols_are_items_of_text() {
    let run = [entry(1, &person("u1", "a\"da"), ProtocolId::Native, r#"{"text":"hü"}"#, None)];
    assert_eq!(
        unpacked(frames(&RelayEncoding, "r", None, &run)),
        [(0, vec![r#"{"type":"text","from":"a\"da","content":"hü"}"#.to_owned()])]
    );
    let typing = Signal::Typing { from: person("u1", "ada") };
    assert!(signal_frames(&RelayEncoding, "r", &typing).is_empty());
}

struct Http(Arc<Memory>);

impl Http {
    async fn send(&self, request: http::request::Builder, body: &str) -> (u16, String) {
        let router = Relay::new(settings(self.0.clone())).routes();
        let answer = router.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, path: &str, kind: &str, token: Option<&str>, body: &str) -> String {
        let mut request = http::Request::post(path).header("content-type", kind);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let (status, body) = self.send(request, body).await;
        assert_eq!(status, 200);
        body
    }

    /// The stored payloads of a room.
    async fn stored(&self, room: &str) -> Vec<String> {
        let page = self.0.history(&name(room), None, 100).await.unwrap();
        let text = |entry: &Arc<crate::rooms::Entry>| {
            String::from_utf8(entry.content.verbatim.as_deref().unwrap_or_default().to_vec()).unwrap()
        };
        page.entries.iter().map(text).collect()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

async fn issued(http: &Http) -> String {
    let answer = http.post("/tk", FORM, None, "uid=7").await;
    let token = answer.strip_prefix(r#"{"code":1,"data":""#).unwrap().strip_suffix(r#"","msg":"suc"}"#).unwrap();
    format!("Bearer {token}")
}

#[tokio::test]
async fn an_issued_token_posts_from_forms_multipart_and_json() {
    let http = Http(bus());
    let token = issued(&http).await;
    let done = r#"{"code":1,"msg":"suc"}"#;
    assert_eq!(http.post("/msg", FORM, Some(&token), "room_id=r&msg=%7B%22a%22%3A1%7D").await, done);
    let bare = token.strip_prefix("Bearer ").unwrap();
    assert_eq!(http.post("/msg", "application/json", Some(bare), r#"{"room_id":"r","msg":"<b>"}"#).await, done);
    let multipart = "--X\r\nContent-Disposition: form-data; name=\"room_id\"\r\n\r\nr\r\n--X\r\n\
                     Content-Disposition: form-data; name=\"msg\"\r\n\r\nhi\r\n--X--\r\n";
    assert_eq!(http.post("/msg", "multipart/form-data; boundary=X", Some(&token), multipart).await, done);
    assert_eq!(http.stored("r").await, ["\x01\"{\\\"a\\\":1}\"", "\x01\"\\u003cb\\u003e\"", "\x01\"hi\""]);
}

#[tokio::test]
async fn posting_without_a_good_token_is_1001_and_other_mistakes_are_0() {
    let http = Http(bus());
    let token = issued(&http).await;
    let no_token = r#"{"code":1001,"msg":"无效token"}"#;
    assert_eq!(http.post("/msg", FORM, None, "room_id=r&msg=a").await, no_token);
    assert_eq!(http.post("/msg", FORM, Some("Bearer "), "room_id=r&msg=a").await, no_token);
    let malformed = http.post("/msg", FORM, Some("Bearer a.b"), "room_id=r&msg=a").await;
    assert!(malformed.starts_with(r#"{"code":1001,"msg":"rpc error: code = Unknown desc = "#), "{malformed}");
    let missing = r#"{"code":0,"msg":"参数错误"}"#;
    let long = format!("room_id=r&msg={}", "x".repeat(101));
    for body in ["", "room_id=r", "msg=a", "room_id=&msg=a", "room_id=a%07&msg=b", &long] {
        assert_eq!(http.post("/msg", FORM, Some(&token), body).await, missing, "{body}");
    }
    assert_eq!(http.stored("r").await, [""; 0]);
}

#[tokio::test]
async fn preflights_pass_and_other_methods_do_not() {
    let http = Http(bus());
    for path in ["/msg", "/tk"] {
        let options = http::Request::builder().method("OPTIONS").uri(path);
        assert_eq!(http.send(options, "").await, (200, String::new()));
        assert_eq!(http.send(http::Request::get(path), "").await, (405, String::new()));
    }
}

#[tokio::test]
async fn tokens_are_issued_only_where_the_room_says_so() {
    let relay = Relay::new(Settings { issue_tokens: false, ..settings(bus()) });
    let request = http::Request::post("/tk").body(Body::from("uid=1")).unwrap();
    assert_eq!(relay.routes().oneshot(request).await.unwrap().status().as_u16(), 404);
}

proptest! {
    #[test]
    fn no_input_panics_a_session(frames in prop::collection::vec(any::<Vec<u8>>(), 0..4), text in any::<String>()) {
        let (mut new, mut old) = (peer(), signed_in());
        for frame in &frames {
            new.binary(frame);
            old.binary(frame);
        }
        old.text(&text);
    }

    #[test]
    fn no_package_of_any_shape_panics_a_session(kind in -1..6, data in any::<Vec<u8>>(), level in any::<i32>()) {
        let mut peer = signed_in();
        peer.binary(&package(kind, &data));
        prop_assert_eq!(peer.binary(&message("room3", level, &data)).len(), 1);
    }

    #[test]
    fn every_run_is_shown_once_and_in_order(levels in prop::collection::vec(any::<bool>(), 1..100)) {
        let level = |important| if important { MsgLevel::Important } else { MsgLevel::Normal };
        let run: Vec<_> =
            levels.iter().zip(1..).map(|(important, seq)| sent(seq, level(*important), &seq.to_string())).collect();
        let frames = unpacked(frames(&RelayEncoding, "r", None, &run));
        let shown: Vec<_> = frames.iter().flat_map(|(_, items)| items.clone()).collect();
        prop_assert_eq!(shown, (1..=levels.len()).map(|seq| seq.to_string()).collect::<Vec<_>>());
        prop_assert!(frames.iter().all(|(level, items)| (1..=20).contains(&items.len()) && (*level == 0 || items.len() == 1)));
    }
}

#[test]
fn a_join_answer_after_the_fact_changes_nothing() {
    let mut peer = signed_in();
    assert_eq!(peer.input(Input::Answer(Answer::Joined(joined("x", 1)))), [""; 0]);
}
