//! What is asked and said in a room, and what is refused.

use std::time::Duration;

use proptest::prelude::*;

use super::{ada, error, peer};
use crate::{
    bus::AppendError,
    fanout::session::{Answer, Input, PostError, Posted},
    protocols::script::{UNIX, entry, name, person},
    rooms::{Epoch, Position, ProtocolId, amendments::Refused},
};

#[test]
fn posts_are_acknowledged_with_their_seq_in_any_order_of_rooms() {
    let mut peer = ada();
    peer.table(&[
        (
            r#"{"op":"post","id":2,"room":"lobby","key":"k","body":{"text":"hello"},"durable":true}"#,
            &[r#"post 0 lobby by ada {"text":"hello"} key k durable"#],
        ),
        (r#"{"op":"post","id":2.5,"room":"lobby","body":{}}"#, &["post 1 lobby by ada {}"]),
        (r#"{"op":"post","room":"lobby","body":{ "a" : 1 }}"#, &[r#"post 2 lobby by ada { "a" : 1 }"#]),
    ]);
    assert_eq!(peer.posted(1, 9), [r#"{"op":"posted","id":2.5,"room":"lobby","seq":9,"duplicate":false}"#]);
    let duplicate = Posted { seq: 8, epoch: Epoch(5), time: UNIX, duplicate: true };
    assert_eq!(
        peer.input(Input::Posted { tag: 0, result: Ok(duplicate) }),
        [r#"{"op":"posted","id":2,"room":"lobby","seq":8,"duplicate":true}"#]
    );
    assert_eq!(peer.posted(2, 10), [""; 0]);
    assert_eq!(peer.posted(2, 10), [""; 0], "an unknown tag says nothing");
}

#[test]
fn a_post_that_failed_says_why_and_when_to_retry() {
    let away = || PostError::Append(AppendError::Unavailable("down".into()));
    let table = [
        (
            PostError::Full { retry: Duration::from_millis(250) },
            "unavailable",
            "too many messages are waiting",
            r#","retry":250"#,
        ),
        (away(), "unavailable", "the message may not have been kept: send it again", r#","retry":1000"#),
        (PostError::Append(AppendError::NotDurable), "not_durable", "only one copy of the room exists", ""),
    ];
    for (fault, code, message, retry) in table {
        let mut peer = ada();
        peer.text(r#"{"op":"post","id":2,"room":"lobby","body":{}}"#);
        let lines = peer.input(Input::Posted { tag: 0, result: Err(fault) });
        let told = format!(r#"{{"op":"error","id":2,"code":"{code}","message":"{message}"{retry}}}"#);
        assert_eq!(lines, [format!("refused {code}"), told]);
    }
}

#[test]
fn posts_that_wait_are_bounded() {
    let mut peer = ada();
    for tag in 0..1024 {
        assert_eq!(peer.text(r#"{"op":"post","room":"lobby","body":{}}"#), [format!("post {tag} lobby by ada {{}}")]);
    }
    assert_eq!(peer.text(r#"{"op":"post","room":"lobby","body":{}}"#)[0], "refused unavailable");
    peer.posted(0, 8);
    assert_eq!(peer.text(r#"{"op":"post","room":"lobby","body":{}}"#), ["post 1024 lobby by ada {}"]);
}

#[test]
fn history_members_typing_leaving_and_pings_are_answered_with_their_id() {
    let mut peer = ada();
    peer.table(&[(
        r#"{"op":"history","id":3,"room":"lobby","before":100,"limit":2}"#,
        &["ask history lobby Some(100) 2"],
    )]);
    let bob = person("u2", "bob");
    let entries = vec![
        entry(98, &bob, ProtocolId::Native, r#"{"text":"a"}"#, None),
        entry(99, &bob, ProtocolId::OnlyOne, r#"{"text":"b"}"#, Some(b"{}")),
    ];
    assert_eq!(
        peer.input(Input::Answer(Answer::History { head: Position { epoch: Epoch(36), seq: 9 }, entries, more: true })),
        [concat!(
            r#"{"op":"history","id":3,"room":"lobby","epoch":"10","seq":9,"items":["#,
            r#"{"seq":98,"time":1700000000098,"from":{"id":"u2","name":"bob"},"body":{"text":"a"}},"#,
            r#"{"seq":99,"time":1700000000099,"from":{"id":"u2","name":"bob"},"body":{"text":"b"}}],"more":true}"#
        )]
    );
    peer.table(&[(r#"{"op":"history","room":"lobby"}"#, &["ask history lobby None 50"])]);
    peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(5) }));
    peer.table(&[(r#"{"op":"members","id":4,"room":"lobby"}"#, &["ask members lobby"])]);
    assert_eq!(
        peer.input(Input::Answer(Answer::Members(42))),
        [r#"{"op":"members","id":4,"room":"lobby","count":42}"#]
    );
    peer.table(&[(r#"{"op":"members","id":5,"room":"lobby","limit":2}"#, &["ask people lobby 2"])]);
    assert_eq!(
        peer.input(Input::Answer(Answer::People { count: 42, people: vec![bob.clone()], more: true })),
        [r#"{"op":"members","id":5,"room":"lobby","count":42,"people":[{"id":"u2","name":"bob"}],"more":true}"#]
    );
    peer.table(&[(
        r#"{"op":"members","id":6,"room":"lobby","limit":101}"#,
        &["refused bad_request", r#"{"op":"error","id":6,"code":"bad_request","message":"limit is 1 to 100"}"#],
    )]);
    peer.table(&[
        (r#"{"op":"typing","room":"lobby"}"#, &["signal lobby typing ada"]),
        (
            r#"{"op":"typing","id":6,"room":"lobby"}"#,
            &[r#"{"op":"typing","id":6,"room":"lobby"}"#, "signal lobby typing ada"],
        ),
        (r#"{"op":"leave","id":5,"room":"lobby"}"#, &["leave lobby asked", r#"{"op":"left","id":5,"room":"lobby"}"#]),
        (r#"{"op":"ping"}"#, &[r#"{"op":"pong"}"#]),
        (r#"{"op":"ping","id":7}"#, &[r#"{"op":"pong","id":7}"#]),
        (r#"{"id":null,"op":"ping"}"#, &[r#"{"op":"pong"}"#]),
    ]);
}

#[test]
fn an_id_is_echoed_byte_for_byte() {
    let mut peer = ada();
    for id in ["18446744073709551616", "123456789012345678901234567890", "-0", "0.1e1", "1e999"] {
        let ping = format!(r#"{{"op":"ping","id":{id}}}"#);
        assert_eq!(peer.text(&ping), [format!(r#"{{"op":"pong","id":{id}}}"#)]);
        let wrong = format!(r#"{{"op":"dance","id":{id}}}"#);
        assert_eq!(peer.text(&wrong), error(&format!(r#""id":{id},"#), "unknown_op", "no such op"));
    }
}

#[test]
fn a_peer_that_floods_is_shown_the_door() {
    let mut peer = ada();
    let mut limited =
        || peer.input(Input::Limited { text: r#"{"op":"ping","id":1}"#, retry: Duration::from_millis(50) });
    for _ in 0..1_000 {
        assert_eq!(limited()[0], "refused rate_limited");
    }
    assert_eq!(limited(), ["refused flood", "close 1008 rate_limited"]);
}

#[test]
fn a_history_frame_is_bounded_and_keeps_the_newest() {
    let mut peer = ada();
    peer.text(r#"{"op":"history","id":3,"room":"lobby"}"#);
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(40 * 1024));
    let entries = (1..=3).map(|seq| entry(seq, &person("u", "n"), ProtocolId::Native, &long, None)).collect();
    let lines =
        peer.input(Input::Answer(Answer::History { head: Position { epoch: Epoch(5), seq: 9 }, entries, more: false }));
    assert!(lines[0].contains(r#""seq":2"#) && lines[0].contains(r#""seq":3"#) && !lines[0].contains(r#""seq":1,"#));
    assert!(lines[0].ends_with(r#""more":true}"#));
}

#[test]
fn what_needs_a_join_is_refused_without_one() {
    let mut peer = peer();
    for op in ["post", "typing", "leave"] {
        let text = format!(r#"{{"op":"{op}","id":1,"room":"lobby","body":{{}}}}"#);
        assert_eq!(peer.text(&text), error(r#""id":1,"#, "not_joined", "join the room first"));
    }
    let mut peer = ada();
    peer.text(r#"{"op":"leave","room":"lobby"}"#);
    assert_eq!(peer.text(r#"{"op":"post","room":"lobby","body":{}}"#)[0], "refused not_joined");
}

#[test]
fn malformed_requests_say_what_is_wrong() {
    let mut peer = peer();
    let long = |n: usize| "x".repeat(n);
    let deep = format!(r#"{{"op":"post","room":"r","body":{{"a":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let not_portable = "body is JSON that every reader can take: Unicode, finite numbers, 124 levels";
    let table = [
        ("", "", "bad_request", "a frame is one JSON object"),
        ("[]", "", "bad_request", "a frame is one JSON object"),
        (r#"{"op":"ping"} x"#, "", "bad_request", "a frame is one JSON object"),
        (r#"{"id":1}"#, r#""id":1,"#, "bad_request", "op is missing"),
        (r#"{"op":5}"#, "", "bad_request", "op is missing"),
        (r#"{"op":"ping","id":"1"}"#, r#""id":"1","#, "bad_request", "id is a number"),
        (r#"{"op":"ping","id":[1]}"#, "", "bad_request", "id is a number"),
        (r#"{"op":"ping","id":"\ud800"}"#, "", "bad_request", "id is a number"),
        (r#"{"op":"ping","id":true}"#, "", "bad_request", "id is a number"),
        (r#"{"op":"dance","id":1}"#, r#""id":1,"#, "unknown_op", "no such op"),
        (r#"{"op":"join","name":"a"}"#, "", "bad_request", "room is missing"),
        (r#"{"op":"join","room":7,"name":"a"}"#, "", "bad_request", "room is text"),
        (r#"{"op":"join","room":"","name":"a"}"#, "", "bad_request", "room is empty"),
        (r#"{"op":"join","room":"a\u0007","name":"a"}"#, "", "bad_request", "a room name has no control characters"),
        (
            "{\"op\":\"join\",\"room\":\"e\u{301}\"}",
            "",
            "bad_request",
            "a room name is in Unicode normalization form C",
        ),
        (
            r#"{"op":"join","room":"\u200b"}"#,
            "",
            "bad_request",
            "a room name has no invisible characters, and at least one that can be seen",
        ),
        (r#"{"op":"join","room":"r"}"#, "", "bad_request", "name is missing"),
        (r#"{"op":"join","room":"r","name":"\u202egnp.exe"}"#, "", "bad_request", "a name has no invisible characters"),
        (r#"{"op":"join","room":"r","name":" "}"#, "", "bad_request", "name is empty"),
        (r#"{"op":"join","room":"r","name":"a\nb"}"#, "", "bad_request", "a name has no control characters"),
        (r#"{"op":"join","room":"r","name":"a","after":1}"#, "", "bad_request", "to resume takes both epoch and after"),
        (r#"{"op":"join","room":"r","name":"a","after":-1,"epoch":"a"}"#, "", "bad_request", "after is a seq"),
        (
            r#"{"op":"join","room":"r","name":"a","after":1,"epoch":"+1"}"#,
            "",
            "bad_request",
            "epoch is none that a server told",
        ),
        (r#"{"op":"post","room":"r"}"#, "", "bad_request", "body is missing"),
        (r#"{"op":"post","room":"r","body":"hi"}"#, "", "bad_request", "body is a JSON object"),
        (r#"{"op":"post","room":"r","body":{"a":"\udc00"}}"#, "", "bad_request", not_portable),
        (deep.as_str(), "", "bad_request", not_portable),
        (r#"{"op":"post","room":"r","body":{},"key":""}"#, "", "bad_request", "key is empty"),
        (r#"{"op":"post","room":"r","body":{},"durable":1}"#, "", "bad_request", "durable is true or false"),
        (r#"{"op":"history","room":"r","limit":0}"#, "", "bad_request", "limit is 1 to 100"),
        (r#"{"op":"history","room":"r","limit":101}"#, "", "bad_request", "limit is 1 to 100"),
        (r#"{"op":"history","room":"r","before":"9"}"#, "", "bad_request", "before is a seq"),
    ];
    for (text, id, code, message) in table {
        assert_eq!(peer.text(text), error(id, code, message), "{text}");
    }
    let too_large = [
        (format!(r#"{{"op":"join","room":"{}","name":"a"}}"#, long(129)), "a room name has at most 128 bytes"),
        (format!(r#"{{"op":"join","room":"r","name":"{}"}}"#, long(65)), "a name has at most 64 characters"),
        (format!(r#"{{"op":"post","room":"r","body":{{}},"key":"{}"}}"#, long(129)), "a key has at most 128 bytes"),
    ];
    for (text, message) in too_large {
        assert_eq!(peer.text(&text), error("", "too_large", message));
    }
    let fits = format!(r#"{{"op":"join","room":"{}","name":"{}"}}"#, long(128), "ü".repeat(64));
    assert!(peer.text(&fits)[0].starts_with("join "));
}

#[test]
fn binary_frames_and_floods_are_answered_and_the_connection_stays() {
    let mut peer = ada();
    assert_eq!(peer.binary(b"{}"), error("", "bad_request", "frames are TEXT"));
    assert_eq!(
        peer.input(Input::Limited { text: r#"{"op":"ping","id":2}"#, retry: Duration::from_millis(500) }),
        [
            "refused rate_limited",
            r#"{"op":"error","id":2,"code":"rate_limited","message":"too many messages per second","retry":500}"#
        ]
    );
    peer.table(&[(r#"{"op":"ping"}"#, &[r#"{"op":"pong"}"#])]);
}

#[test]
fn gaps_and_moves_are_reported() {
    let mut peer = ada();
    let gap = Input::Gap { room: name("lobby"), epoch: Epoch(724), from: 119, to: Some(125) };
    assert_eq!(peer.input(gap), [r#"{"op":"gap","room":"lobby","epoch":"k4","from":119,"to":125}"#]);
    assert_eq!(peer.input(Input::Moved { after: 850 }), [r#"{"op":"moved","after":850}"#]);
}

#[test]
fn two_unanswered_pings_end_the_connection() {
    let mut peer = peer();
    assert_eq!(peer.pass(24_999), [""; 0]);
    assert_eq!(peer.pass(1), ["ping"]);
    assert_eq!(peer.pass(25_000), ["ping"]);
    peer.input(Input::Pong);
    assert_eq!(peer.pass(50_000), ["ping", "ping"]);
    assert_eq!(peer.pass(25_000), ["terminate"]);
}

proptest! {
    #[test]
    fn no_input_panics_a_session(texts in prop::collection::vec(any::<String>(), 0..4), bytes in any::<Vec<u8>>()) {
        let mut peer = ada();
        for text in &texts {
            peer.text(text);
            peer.input(Input::Limited { text, retry: Duration::from_millis(1) });
        }
        peer.binary(&bytes);
    }

    #[test]
    fn no_request_of_any_shape_panics_a_session(
        op in "join|post|history|members|typing|leave|ping",
        field in "room|name|token|epoch|after|key|body|durable|before|limit|id",
        value in r#"null|-?[0-9]{1,25}|"[ -~&&[^"\\]]{0,200}"|\[\]|\{\}|true|1e9|"\\u[0-9a-f]{4}""#,
    ) {
        let mut peer = ada();
        for line in peer.text(&format!(r#"{{"room":"lobby","{field}":{value},"op":"{op}"}}"#)) {
            if line.starts_with('{') {
                serde_json::from_str::<serde_json::Value>(&line).unwrap();
            }
        }
    }
}

#[test]
fn changes_of_messages_are_posts_that_amend() {
    let mut peer = ada();
    peer.table(&[
        (
            r#"{"op":"edit","id":1,"room":"lobby","seq":7,"key":"k","body":{"text":"b"}}"#,
            &[r#"post 0 lobby by ada {"text":"b"} amends 7 Edit as Member key k"#],
        ),
        (r#"{"op":"delete","id":2,"room":"lobby","seq":8}"#, &["post 1 lobby by ada {} amends 8 Delete as Member"]),
        (
            r#"{"op":"react","id":3,"room":"lobby","seq":9,"emoji":"👍"}"#,
            &[r#"post 2 lobby by ada {} amends 9 React { emoji: "👍", remove: false } as Member"#],
        ),
    ]);
    let posted = Posted { seq: 12, epoch: Epoch(5), time: 1, duplicate: false };
    assert_eq!(
        peer.input(Input::Posted { tag: 0, result: Ok(posted) }),
        [r#"{"op":"posted","id":1,"room":"lobby","seq":12,"duplicate":false}"#]
    );
    let refusals = [
        (1, AppendError::Amendment(Refused::Forbidden), "forbidden", "somebody else wrote the message", ""),
        (2, AppendError::OlderGateway, "unavailable", "messages cannot be changed while", r#""retry":10000"#),
    ];
    for (tag, error, code, message, retry) in refusals {
        let lines = peer.input(Input::Posted { tag, result: Err(PostError::Append(error)) });
        assert_eq!(lines[0], format!("refused {code}"));
        assert!(lines[1].contains(message) && lines[1].contains(retry), "{lines:?}");
    }
}
