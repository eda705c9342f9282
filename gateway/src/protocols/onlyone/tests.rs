//! What an OnlyOne client sends and what it gets, as tables.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{OnlyOne, OnlyOneSettings, ProcessStats, TokenKey, encoding::OnlyOneEncoding, identity};
use crate::{
    bus::AppendError,
    fanout::session::{Answer, Input, PostError},
    protocols::{
        Handshake, Protocol,
        script::{Peer, UNIX, entry, frames, joined, name, person, signal_frames, texts},
    },
    rooms::{Access, Author, Door, Origin, ProtocolId, Signal},
};

const BASE: &str = "https://chat.example.com";

fn onlyone(token_key: Option<&[u8]>) -> OnlyOne {
    let rooms = vec![name("onlyOne"), name("second")];
    let door = Door { rooms: Some(rooms.iter().cloned().collect()), ..Door::default() };
    OnlyOne::new(OnlyOneSettings {
        rooms,
        access: Arc::new(Access::new([(ProtocolId::OnlyOne, door)])),
        token_key: token_key.map(|key| TokenKey::try_from(key).unwrap()),
        allowed_origins: vec!["https://chat.example.com".to_owned()],
        public_url: BASE.to_owned(),
        process_stats: Arc::new(ProcessStats::new(2)),
    })
}

fn handshake<'a>(target: &'a str, headers: &'a http::HeaderMap) -> Handshake<'a> {
    Handshake { target, headers, public_url: BASE, unix: UNIX }
}

fn peer() -> Peer {
    Peer::new(onlyone(None).accept(&handshake("/any/path", &http::HeaderMap::new())).unwrap())
}

fn me() -> Author {
    identity::new_person(Origin { gateway: 7, connection: 1 }, UNIX, BASE)
}

fn user(who: &Author) -> String {
    serde_json::to_string(&identity::own(who).unwrap()).unwrap()
}

#[test]
fn joining_answers_with_the_person_and_pushes_only_above_the_announced_rate() {
    for announced in [true, false] {
        let mut peer = peer();
        let me = me();
        assert_eq!(
            peer.text(
                r#"{"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}"#
            ),
            [format!("join onlyOne as {} encoding 16 announce", me.name)]
        );
        let mut answer = joined("onlyOne", 9);
        answer.announced = announced;
        let user = user(&me);
        let mut expect = vec![format!(
            r#"{{"type":"response","code":0,"data":{{"room_id":"onlyOne","user":{user}}},"requestId":2}}"#
        )];
        if !announced {
            expect
                .push(format!(r#"{{"route":"room.join","data":{{"room_id":"onlyOne","user":{user}}},"type":"push"}}"#));
        }
        assert_eq!(peer.input(Input::Answer(Answer::Joined(answer))), expect);
    }
}

#[test]
fn a_person_has_the_keys_that_clients_read_in_their_order() {
    let user = user(&me());
    let keys: Vec<_> = ["userId", "avatar", "username", "register_time"].iter().map(|key| user.find(key)).collect();
    assert!(keys.is_sorted() && keys.iter().all(Option::is_some), "{user}");
    assert!(user.contains(r#""avatar":"https://chat.example.com/avatar/"#));
}

#[test]
fn every_code_has_its_text_and_goes_to_requests_only() {
    let mut peer = peer();
    let no_room = r#"{"type":"response","code":500,"data":"服务器错误","requestId":3}"#;
    peer.table(&[
        (
            r#"{"requestId":3,"type":"request","route":"nope.nope"}"#,
            &["refused no_handler", r#"{"type":"response","code":404,"data":"找不到对应的 handler","requestId":3}"#],
        ),
        (
            r#"{"requestId":3,"type":"request","route":"roomHandler.toString"}"#,
            &["refused no_handler", r#"{"type":"response","code":404,"data":"找不到对应的 handler","requestId":3}"#],
        ),
        (r#"{"route":"nope.nope"}"#, &["refused no_handler"]),
        (
            r#"{"requestId":3,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"other"}}"#,
            &["refused failed", no_room],
        ),
        (
            r#"{"requestId":3,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":7}}"#,
            &["refused failed", no_room],
        ),
        (r#"{"requestId":3,"type":"request","route":"roomHandler.joinRoom"}"#, &["refused failed", no_room]),
        (
            r#"{"requestId":3,"type":"request"}"#,
            &["refused no_route", r#"{"type":"response","code":501,"data":"服务器收到未知消息","requestId":3}"#],
        ),
        (
            r#"{"type":"request","route":""}"#,
            &["refused no_route", r#"{"type":"response","code":501,"data":"服务器收到未知消息"}"#],
        ),
        (
            r#"{"requestId":"a"}"#,
            &["refused no_route", r#"{"type":"response","code":501,"data":"服务器收到未知消息","requestId":"a"}"#],
        ),
        (r#"{"type":"push","requestId":4}"#, &["refused no_route"]),
        ("not json", &["refused malformed"]),
        ("null", &["refused malformed"]),
        ("", &["refused malformed"]),
    ]);
}

#[test]
fn the_room_list_and_both_counts_are_answered() {
    let mut peer = peer();
    peer.table(&[
        (
            r#"{"requestId":2,"type":"request","route":"roomHandler.getRoomList"}"#,
            &[r#"{"type":"response","code":0,"data":["onlyOne","second"],"requestId":2}"#],
        ),
        (
            r#"{"requestId":3,"type":"request","route":"roomHandler.getRoomAllUserNum","data":{"room_id":"onlyOne"}}"#,
            &["ask members onlyOne"],
        ),
    ]);
    assert_eq!(
        peer.input(Input::Answer(Answer::Members(42))),
        [r#"{"type":"response","code":0,"data":42,"requestId":3}"#]
    );
    peer.table(&[(
        r#"{"requestId":4,"type":"request","route":"roomHandler.getRoomInfo","data":{"room_id":"onlyOne"}}"#,
        &["ask members onlyOne"],
    )]);
    let info = peer.input(Input::Answer(Answer::Members(42)));
    let process = std::process::id();
    assert_eq!(
        info,
        [format!(
            r#"{{"type":"response","code":0,"data":{{"room_user_count":42,"system_info":{{"process":{{"worker_num":2,"process_id":{process},"process_session_num":0}},"memory":{{"heapTotal":"0.00","heapUsed":"0.00","rss":"0.00"}},"cpu_usage":{{"user":"0.00","system":"0.00"}}}}}},"requestId":4}}"#
        )]
    );
}

#[test]
fn chat_needs_no_membership_and_is_answered_once_it_is_kept() {
    let mut peer = peer();
    let me = me().name;
    let text = r#"{ "content" : "h\u00e9\n", "type" : "text" }"#;
    assert_eq!(
        peer.text(&format!(
            r#"{{"requestId":5,"type":"request","route":"chatHandler.chat","data":{{"room_id":"onlyOne","chat_message":{text}}}}}"#
        )),
        [format!(r#"post 0 onlyOne by {me} {{"text":"hé\n"}} verbatim {text}"#)]
    );
    assert_eq!(peer.posted(0, 1), [r#"{"type":"response","code":0,"data":"ok","requestId":5}"#]);
    let picture = r#"{"type":"picture","path":"/p.png"}"#;
    assert_eq!(
        peer.text(&format!(
            r#"{{"route":"chatHandler.chat","data":{{"room_id":"onlyOne","chat_message":{picture}}}}}"#
        )),
        [format!(r#"post 1 onlyOne by {me} {picture} verbatim {picture}"#)]
    );
    assert_eq!(peer.posted(1, 2), [""; 0], "a push is never answered");
}

#[test]
fn chat_of_any_shape_is_passed_on_as_it_is() {
    let me = me().name;
    for (sent, stored) in [
        (r#","chat_message":"just text""#, r#"{"text":"\"just text\""} verbatim "just text""#),
        (r#","chat_message":null"#, r#"{"text":"null"} verbatim null"#),
        (r#","chat_message":{"type":9}"#, r#"{"text":"{\"type\":9}"} verbatim {"type":9}"#),
        ("", r#"{"text":""} verbatim "#),
    ] {
        let mut peer = peer();
        let text = format!(r#"{{"route":"chatHandler.chat","data":{{"room_id":"onlyOne"{sent}}}}}"#);
        assert_eq!(peer.text(&text), [format!("post 0 onlyOne by {me} {stored}")]);
        assert_eq!(peer.posted(0, 1), [""; 0]);
    }
}

#[test]
fn chat_fails_with_code_0_where_there_is_no_room_and_with_500_when_it_was_not_kept() {
    let mut peer = peer();
    peer.table(&[
        (
            r#"{"requestId":6,"type":"request","route":"chatHandler.chat","data":{"room_id":"other","chat_message":{}}}"#,
            &["refused no_room", r#"{"type":"response","code":0,"data":"fail","requestId":6}"#],
        ),
        (
            r#"{"requestId":6,"type":"request","route":"chatHandler.chat","data":{}}"#,
            &["refused no_room", r#"{"type":"response","code":0,"data":"fail","requestId":6}"#],
        ),
        (
            r#"{"requestId":6,"type":"request","route":"chatHandler.chat"}"#,
            &["refused failed", r#"{"type":"response","code":500,"data":"服务器错误","requestId":6}"#],
        ),
    ]);
    peer.text(
        r#"{"requestId":7,"type":"request","route":"chatHandler.chat","data":{"room_id":"onlyOne","chat_message":{}}}"#,
    );
    let away = Err(PostError::Append(AppendError::Unavailable("down".into())));
    assert_eq!(
        peer.input(Input::Posted { tag: 0, result: away }),
        ["refused failed", r#"{"type":"response","code":500,"data":"服务器错误","requestId":7}"#]
    );
}

#[test]
fn leaving_is_announced_even_by_someone_who_never_joined() {
    let mut peer = peer();
    let signal = format!("signal onlyOne left {} true", me().name);
    let ok = r#"{"type":"response","code":0,"data":"ok","requestId":8}"#;
    let leave = r#"{"requestId":8,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"onlyOne"}}"#;
    peer.table(&[
        (leave, &[&signal, ok]),
        (
            r#"{"requestId":8,"type":"request","route":"roomHandler.leaveRoom","data":{"room_id":"other"}}"#,
            &["refused no_room", r#"{"type":"response","code":0,"requestId":8}"#],
        ),
    ]);
    peer.text(r#"{"route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}"#);
    assert_eq!(peer.joined("onlyOne", 1), [""; 0], "a push is never answered");
    peer.table(&[(leave, &["leave onlyOne asked", ok]), (leave, &[&signal, ok])]);
}

#[test]
fn a_request_without_an_id_is_answered_without_one() {
    peer().table(&[(
        r#"{"type":"request","route":"roomHandler.getRoomList"}"#,
        &[r#"{"type":"response","code":0,"data":["onlyOne","second"]}"#],
    )]);
}

#[test]
fn binary_frames_are_read_like_text() {
    let mut peer = peer();
    assert_eq!(
        peer.binary(br#"{"requestId":2,"type":"request","route":"roomHandler.getRoomList"}"#),
        [r#"{"type":"response","code":0,"data":["onlyOne","second"],"requestId":2}"#]
    );
    assert_eq!(peer.binary(b"\xff\xfe"), ["refused malformed"]);
}

#[test]
fn a_bus_that_is_away_fails_requests() {
    let mut peer = peer();
    peer.text(r#"{"requestId":2,"type":"request","route":"roomHandler.joinRoom","data":{"room_id":"onlyOne"}}"#);
    let failed = ["refused failed", r#"{"type":"response","code":500,"data":"服务器错误","requestId":2}"#];
    assert_eq!(peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(1) })), failed);
}

#[test]
fn a_socket_that_did_not_pong_since_the_last_round_is_terminated() {
    let mut peer = peer();
    assert_eq!(peer.pass(30_000), ["ping"]);
    peer.input(Input::Pong);
    assert_eq!(peer.pass(30_000), ["ping"]);
    assert_eq!(peer.pass(30_000), ["terminate"]);
}

#[test]
fn a_drain_closes_so_that_the_client_reconnects() {
    assert_eq!(peer().input(Input::Moved { after: 100 }), ["close 1012 moved"]);
}

#[test]
fn upgrades_are_refused_by_origin_first_and_then_by_token() {
    let mut headers = http::HeaderMap::new();
    headers.insert("origin", http::HeaderValue::from_static("https://evil.example"));
    let protocol = onlyone(Some(b"sixteen byte key"));
    let none = http::HeaderMap::new();
    let body = |target, headers| protocol.accept(&handshake(target, headers)).map(drop);
    assert_eq!(body("/", &headers).unwrap_err().body, "ORIGIN_LIMIT");
    assert_eq!(body("/", &none).unwrap_err().body, "TOKEN_VERIFY_FAIL");
    let token = "/websocket?token=eKD4s284MColc5Bxo01+JLWqICePvhWZB9jpU1B5fyVTNM40rYueclbevnJnjLZU";
    assert!(body(token, &none).is_ok());
}

#[test]
fn an_entry_is_one_push_with_the_senders_own_json() {
    let me = me();
    let encoding = OnlyOneEncoding { base: BASE.to_owned() };
    let sent = r#"{ "type":"voice", "path":"/v", "x":1.0 }"#;
    let run = [
        entry(1, &me, ProtocolId::OnlyOne, r#"{"type":"voice","path":"/v"}"#, Some(sent.as_bytes())),
        entry(2, &me, ProtocolId::OnlyOne, r#"{"text":""}"#, Some(b"")),
    ];
    let user = user(&me);
    assert_eq!(
        texts(frames(&encoding, "onlyOne", Some(3), &run)),
        [
            format!(
                r#"{{"route":"room.chat","data":{{"room_id":"onlyOne","chat_message":{sent},"send_time":1700000000001,"sender":{user}}},"type":"push"}}"#
            ),
            format!(
                r#"{{"route":"room.chat","data":{{"room_id":"onlyOne","send_time":1700000000002,"sender":{user}}},"type":"push"}}"#
            ),
        ]
    );
}

#[test]
fn people_of_other_protocols_are_shown_as_text_pictures_and_voice() {
    let encoding = OnlyOneEncoding { base: BASE.to_owned() };
    let bob = person("u2", "bob");
    let table = [
        (r#"{"text":"a\"b"}"#, r#"{"type":"text","content":"a\"b"}"#),
        (r#"{"type":"picture","path":"/p"}"#, r#"{"type":"picture","path":"/p"}"#),
        (r#"{"text":"look","type":"voice","path":"/v"}"#, r#"{"type":"voice","path":"/v","content":"look"}"#),
        (r#"{"x":1}"#, r#"{"type":"text","content":"{\"x\":1}"}"#),
    ];
    for (body, shown) in table {
        let push = &texts(frames(&encoding, "r", None, &[entry(1, &bob, ProtocolId::Native, body, None)]))[0];
        let start = format!(
            r#"{{"route":"room.chat","data":{{"room_id":"r","chat_message":{shown},"send_time":1700000000001,"sender":{{"userId":"u2","avatar":"https://chat.example.com/avatar/"#
        );
        assert!(push.starts_with(&start), "{push}");
        assert!(push.ends_with(r#".svg","username":"bob","register_time":1700000000001}},"type":"push"}"#), "{push}");
    }
}

#[test]
fn only_their_own_people_are_announced_and_only_when_they_ask_to_leave() {
    let encoding = OnlyOneEncoding { base: BASE.to_owned() };
    let me = me();
    let user = user(&me);
    let push =
        |route: &str| vec![format!(r#"{{"route":"{route}","data":{{"room_id":"r","user":{user}}},"type":"push"}}"#)];
    let came = |protocol, first| Signal::Joined { who: me.clone(), protocol, first };
    let left = |asked| Signal::Left { who: me.clone(), protocol: ProtocolId::OnlyOne, asked };
    let told = |signal| texts(signal_frames(&encoding, "r", &signal));
    assert_eq!(told(came(ProtocolId::OnlyOne, true)), push("room.join"));
    assert_eq!(told(came(ProtocolId::OnlyOne, false)), push("room.join"));
    assert_eq!(told(left(true)), push("room.leave"));
    for silent in [came(ProtocolId::Native, true), left(false), Signal::Typing { from: me.clone() }, Signal::Count] {
        assert_eq!(told(silent), [""; 0]);
    }
}

proptest! {
    #[test]
    fn no_input_panics_a_session(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let mut peer = peer();
        peer.text(&text);
        peer.binary(&bytes);
    }

    #[test]
    fn no_request_of_any_shape_panics_a_session(
        route in "roomHandler\\.(joinRoom|leaveRoom|getRoomList|getRoomInfo|getRoomAllUserNum)|chatHandler\\.chat|[a-z.]{0,9}",
        id in r#"null|-?[0-9]{1,25}|"[a-z]{0,9}"|\[\]|\{\}|1e9|"\\u[0-9a-f]{4}""#,
        data in r#"null|[0-9]|"a"|\[\]|\{\}|\{"room_id":("onlyOne"|1|null),"chat_message":(null|"\\ud800"|\{"content":1e999\}|\[\])\}"#,
    ) {
        let mut peer = peer();
        peer.text(&format!(r#"{{"route":"{route}","data":{data},"requestId":{id},"type":"request"}}"#));
        peer.posted(0, 1);
    }
}
