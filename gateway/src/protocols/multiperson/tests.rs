//! What clients of both stages send and what they get, as tables.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    MultiPerson, Settings,
    encoding::{Block, Broadcast},
};
use crate::{
    bus::{
        AppendError, History,
        directory::{self, message_id, people::Reply},
        memory::Memory,
    },
    fanout::{
        encoding::{ChunkWriter, Encoding},
        session::{Answer, Input, PostError},
    },
    protocols::{
        Handshake, Protocol,
        script::{Peer, UNIX, entry, frames, joined, name, person, texts},
    },
    rooms::{ProtocolId, RoomName},
};

const HOLDER: &str = "holder: Origin { gateway: 7, connection: 1 }";
const INBOX: &str = "\u{1}people\u{1}2";

fn protocol_with(welcome: bool) -> MultiPerson {
    let bus = Arc::new(Memory::new(History { messages: 10, age: Duration::from_secs(60) }));
    MultiPerson::new(Settings { room: name("0"), welcome, bus })
}

fn protocol() -> MultiPerson {
    protocol_with(false)
}

fn peer() -> Peer {
    peer_of(&protocol())
}

fn peer_of(protocol: &MultiPerson) -> Peer {
    let headers = http::HeaderMap::new();
    let handshake = Handshake { target: "/", headers: &headers, public_url: "", unix: UNIX };
    Peer::new(protocol.accept(&handshake).unwrap())
}

fn reply(peer: &mut Peer, reply: Reply) -> Vec<String> {
    peer.input(Input::Answer(Answer::Directory(directory::Reply::People(reply))))
}

/// INIT's answer: a person of this name.
fn known(peer: &mut Peer, id: u64, name: &str) -> Vec<String> {
    reply(peer, Reply::User { id, name: name.into() })
}

fn open(peer: &mut Peer, room: RoomName) -> Vec<String> {
    let mut answer = joined("x", 0);
    answer.room = room;
    peer.input(Input::Answer(Answer::Joined(answer)))
}

/// A stage A peer who is alice and in the room.
fn alice() -> Peer {
    let mut peer = peer();
    peer.text(r#"{"user_name":"alice","user_id":7,"type":"INIT","message":"join"}"#);
    known(&mut peer, 7, "alice");
    peer.joined("0", 0);
    reply(&mut peer, Reply::Queued(vec![]));
    peer
}

/// A stage C peer who is user 2, without a name, in block 1.
fn two() -> Peer {
    two_called("")
}

fn two_called(name: &str) -> Peer {
    let mut peer = peer();
    peer.text(r#"{"type":"INIT","from_user_id":2,"message":"init"}"#);
    known(&mut peer, 2, name);
    open(&mut peer, directory::people::inbox(2));
    reply(&mut peer, Reply::Blocks(vec![1]));
    peer.joined("1", 0);
    reply(&mut peer, Reply::Queued(vec![]));
    peer
}

/// What user 2 asks for when these blocks are read, each after a seq of epoch 5.
fn asks_for_kept(read: &[(u64, u64)]) -> String {
    let read: Vec<_> =
        read.iter().map(|(block, seq)| format!("({block}, Position {{ epoch: Epoch(5), seq: {seq} }})")).collect();
    format!("ask People(Queue {{ user: 2, take: false, read: [{}] }})", read.join(", "))
}

#[test]
fn stage_a_enters_the_room_takes_what_was_kept_and_is_announced() {
    let mut peer = peer();
    assert_eq!(
        peer.binary(br#"{"user_name":"alice","user_id":7,"type":"INIT","message":"join"}"#),
        [format!(r#"ask People(Init {{ user: 7, name: Some("alice"), {HOLDER} }})"#)]
    );
    assert_eq!(known(&mut peer, 7, "alice"), ["join 0 as alice encoding 40 announce"]);
    assert_eq!(peer.joined("0", 9), ["ask People(Queue { user: 7, take: true, read: [] })"]);
    let said = r#"{"user_name":"alice","user_id":7,"type":"SYSTEM","message":"join"}"#;
    assert_eq!(
        reply(&mut peer, Reply::Queued(vec![r#"{"kept":1}"#.into()])),
        [r#"{"kept":1}"#.to_owned(), format!(r#"post 0 0 by alice {{"text":"join"}} verbatim A{said}"#)]
    );
}

#[test]
fn stage_a_broadcasts_whatever_it_can_read_as_it_is() {
    let mut peer = alice();
    let user = r#"{"user_name":"alice","user_id":"7","type":"USER","message":"hi there"}"#;
    assert_eq!(peer.text(user), [format!(r#"post 0 0 by alice {{"text":"hi there"}} verbatim A{user}"#)]);
    for other in [r#"{"type":"CLOSE","x":1.0}"#, r#"{"type":"WHAT"}"#] {
        let lines = peer.text(other);
        assert!(lines[0].starts_with("post 0 0 by anonymous "), "{lines:?}");
        assert!(lines[0].ends_with(&format!("verbatim A{other}")), "{lines:?}");
    }
    assert_eq!(peer.text("5"), [r#"post 0 0 by anonymous {"text":"5"} verbatim A5"#]);
    assert_eq!(peer.text("not json"), ["refused malformed"]);
    assert_eq!(peer.binary(b"\xff"), ["refused malformed"]);
}

#[test]
fn stage_a_pings_are_echoed_with_their_fields() {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"user_name":"a","user_id":7,"type":"PING","message":"ping","n":1.0}"#),
        [r#"{"user_name":"a","user_id":7,"type":"PONG","message":"pong","n":1.0}"#]
    );
    assert_eq!(peer.text(r#"{"type":"PING"}"#), [r#"{"type":"PONG","message":"pong"}"#]);
}

#[test]
fn stage_a_without_an_init_joins_at_its_first_message() {
    let mut peer = peer();
    let user = r#"{"username":"bob","id":9,"type":"USER","message":"hi"}"#;
    assert_eq!(peer.text(user), ["join 0 as bob encoding 40 announce"]);
    assert_eq!(peer.joined("0", 0), [format!(r#"post 0 0 by bob {{"text":"hi"}} verbatim A{user}"#)]);
}

#[test]
fn people_who_are_mentioned_are_told_to_the_directory() {
    let mut peer = alice();
    let user = r#"{"user_name":"alice","user_id":7,"type":"USER","message":"@bob and @eve"}"#;
    let lines = peer.text(user);
    assert!(lines[0].starts_with(r#"tell People(Mention { names: ["bob", "eve"], frame: "#), "{lines:?}");
    assert!(lines[1].starts_with("post 0 0 by alice "));
}

#[test]
fn stage_a_goes_on_without_a_directory() {
    let mut peer = peer();
    peer.text(r#"{"user_name":"alice","user_id":7,"type":"INIT","message":"join"}"#);
    let away = || Input::Answer(Answer::Unavailable { retry: 1 });
    assert_eq!(peer.input(away()), ["join 0 as alice encoding 40 announce"]);
    peer.joined("0", 0);
    assert!(peer.input(away())[0].starts_with("post 0 0 by alice "));
    assert_eq!(
        peer.input(Input::Closed),
        [format!("tell People(Release {{ user: 7, {HOLDER} }})"), "leave 0".to_owned()]
    );
}

#[test]
fn stage_c_reads_its_inbox_and_blocks_and_then_gets_what_was_kept() {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"type":"INIT","from_user_id":"2","message":"init"}"#),
        [format!("ask People(Init {{ user: 2, name: None, {HOLDER} }})")]
    );
    assert_eq!(known(&mut peer, 2, "cyd"), [format!("join {INBOX} as cyd encoding 41 announce")]);
    assert_eq!(open(&mut peer, directory::people::inbox(2)), ["ask People(Blocks { user: 2 })"]);
    assert_eq!(reply(&mut peer, Reply::Blocks(vec![1, 5])), ["join 1 as cyd encoding 41 announce"]);
    assert_eq!(peer.joined("1", 3), ["join 5 as cyd encoding 41 announce"]);
    assert_eq!(peer.joined("5", 0), [asks_for_kept(&[(1, 3), (5, 0)])]);
    let kept = vec![r#"{"a":1}"#.into(), r#"{"b":2}"#.into()];
    assert_eq!(reply(&mut peer, Reply::Queued(kept)), [r#"{"a":1}"#, r#"{"b":2}"#]);
    let gone = [
        format!("tell People(Release {{ user: 2, {HOLDER} }})"),
        format!("leave {INBOX}"),
        "leave 1".to_owned(),
        "leave 5".to_owned(),
    ];
    assert_eq!(peer.input(Input::Closed), gone);
}

#[test]
fn stage_c_reads_a_new_block_as_soon_as_it_is_told_and_gets_what_was_said_there_before() {
    let notice = || Input::Notice { room: directory::people::inbox(2) };
    let mut peer = two();
    assert_eq!(peer.input(notice()), ["ask People(Blocks { user: 2 })"]);
    assert_eq!(reply(&mut peer, Reply::Blocks(vec![1, 5])), ["join 5 as 2 encoding 41 announce"]);
    assert_eq!(peer.input(notice()), [""; 0], "one thing at a time");
    assert_eq!(peer.joined("5", 3), [asks_for_kept(&[(5, 3)])]);
    let (old, new) = (r#"{"chat_type":"BLOCK","block_id":"1"}"#, r#"{"chat_type":"BLOCK","block_id":"5"}"#);
    let kept = Reply::Queued(vec![old.into(), new.into()]);
    assert_eq!(reply(&mut peer, kept), [new, "ask People(Blocks { user: 2 })"]);
    assert_eq!(reply(&mut peer, Reply::Blocks(vec![1, 5])), [""; 0]);
    assert!(peer.text(r#"{"type":"MESSAGE","from_user_id":2,"to_user_id":3}"#)[0].starts_with("ask People(Check"));
}

#[test]
fn blocks_beyond_the_limit_of_rooms_keep_nobody_out() {
    let mut peer = two();
    peer.input(Input::Notice { room: directory::people::inbox(2) });
    reply(&mut peer, Reply::Blocks(vec![1, 5, 6, 7]));
    peer.joined("5", 0);
    let limited = peer.input(Input::Answer(Answer::RoomLimit));
    assert_eq!(limited, ["refused room_limit".to_owned(), asks_for_kept(&[(5, 0)])]);
    let of_six = r#"{"chat_type":"BLOCK","block_id":"6"}"#;
    assert_eq!(reply(&mut peer, Reply::Queued(vec![of_six.into()])), [""; 0]);
    assert_eq!(peer.input(Input::Closed).last().unwrap(), "leave 5");
}

#[test]
fn a_notice_is_shown_to_nobody() {
    let host = person("m1", "Parlor");
    let run = [entry(1, &host, ProtocolId::MultiPerson, r#"{"text":""}"#, Some(super::frame::NOTICE))];
    let mut out = ChunkWriter::default();
    Block.entries(&directory::people::inbox(2), None, &run, &mut out);
    let chunk = out.seal(None);
    assert!(chunk.notice && chunk.bytes.is_empty());
}

#[test]
fn people_of_stage_c_are_welcomed_where_the_room_says_so() {
    let mut peer = peer_of(&protocol_with(true));
    peer.text(r#"{"type":"INIT","from_user_id":2}"#);
    known(&mut peer, 2, "");
    open(&mut peer, directory::people::inbox(2));
    reply(&mut peer, Reply::Blocks(vec![]));
    assert_eq!(
        reply(&mut peer, Reply::Queued(vec![])),
        [
            r#"{"type":"MESSAGE","from_user_id":"1","to_user_id":"2","message":"<p>Welcome!</p>","message_id":"0000000000000002","chat_type":"PTP","send_time":1700000000000}"#
        ]
    );
}

#[test]
fn a_message_to_a_block_gets_its_id_from_its_place_is_kept_and_then_confirmed() {
    let mut peer = two();
    let sent = r#"{"type":"MESSAGE","from_user_id":"2","message_id":"-2","message":"<p>hi</p>","chat_type":"BLOCK","block_id":"1","temp_id":"17"}"#;
    let id = message_id::in_block(1, UNIX, 9);
    let with =
        |kind: &str| sent.replace(r#""MESSAGE""#, &format!("\"{kind}\"")).replace(r#""-2""#, &format!("\"{id:016}\""));
    let check = format!(r#"ask People(Check {{ from: 2, {HOLDER}, temp: Some("\"17\""), to: Block(1) }})"#);
    assert_eq!(peer.text(sent), [check.clone()]);
    assert_eq!(
        reply(&mut peer, Reply::Fresh { id: None }),
        [format!(r#"post 0 1 by 2 {{"text":"<p>hi</p>"}} verbatim C{sent} key "17""#)]
    );
    assert_eq!(
        peer.posted(0, 9),
        [format!(
            r#"ask People(KeepPosted {{ from: 2, temp: Some("\"17\""), id: {id}, block: 1, place: Place {{ position: Position {{ epoch: Epoch(5), seq: 9 }}, time: {UNIX} }}, frame: {:?} }})"#,
            with("MESSAGE")
        )]
    );
    assert_eq!(reply(&mut peer, Reply::Kept { late: vec![] }), [with("CONFIRM")]);
    assert_eq!(peer.text(sent), [check]);
    assert_eq!(reply(&mut peer, Reply::Duplicate { id }), [with("CONFIRM")]);
    peer.text(sent);
    assert_eq!(reply(&mut peer, Reply::Foreign), ["refused foreign_user"]);
}

#[test]
fn who_entered_before_a_message_was_kept_gets_it_through_their_inbox() {
    let mut peer = two();
    let sent = r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","block_id":"1"}"#;
    peer.text(sent);
    reply(&mut peer, Reply::Fresh { id: None });
    peer.posted(0, 1);
    let id = message_id::in_block(1, UNIX, 1);
    let frame = sent.replace('}', &format!(r#","message_id":"{id:016}"}}"#));
    let lines = reply(&mut peer, Reply::Kept { late: vec![3, 4] });
    let inbox = |tag: u64, user: u64| {
        format!(
            "post {tag} {} by 2 {{\"text\":\"hi\"}} verbatim C{frame} key late-{id}",
            directory::people::inbox(user)
        )
    };
    assert_eq!(lines[..2], [inbox(1, 3), inbox(2, 4)]);
    assert_eq!(lines[2], frame.replace("MESSAGE", "CONFIRM"));
    assert_eq!(peer.posted(1, 1), [""; 0], "nobody waits for that");
}

#[test]
fn messages_to_blocks_are_kept_one_after_the_other() {
    let mut peer = two();
    for message in ["one", "two"] {
        peer.text(&format!(r#"{{"type":"MESSAGE","from_user_id":"2","message":"{message}","block_id":"1"}}"#));
        reply(&mut peer, Reply::Fresh { id: None });
    }
    assert!(peer.posted(0, 1)[0].contains("one"));
    assert_eq!(peer.posted(1, 2), [""; 0]);
    let notice = Input::Notice { room: directory::people::inbox(2) };
    assert_eq!(peer.input(notice), [""; 0]);
    let lines = reply(&mut peer, Reply::Kept { late: vec![] });
    assert!(lines[0].contains("CONFIRM") && lines[0].contains("one"), "{lines:?}");
    assert!(lines[1].starts_with("ask People(KeepPosted {") && lines[1].contains("two"), "{lines:?}");
    let lines = reply(&mut peer, Reply::Kept { late: vec![] });
    assert!(lines[0].contains("two"), "{lines:?}");
    assert_eq!(lines[1], "ask People(Blocks { user: 2 })");
}

#[test]
fn a_message_to_a_block_that_is_not_posted_or_not_kept_is_not_confirmed() {
    let lost = || Err(PostError::Append(AppendError::Away("down".to_owned())));
    let mut peer = two();
    let say = |peer: &mut Peer| {
        peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","block_id":"1","temp_id":1}"#);
        reply(peer, Reply::Fresh { id: None });
    };
    say(&mut peer);
    assert_eq!(peer.input(Input::Posted { tag: 0, result: lost() }), ["refused not_kept"]);
    say(&mut peer);
    peer.posted(1, 1);
    assert_eq!(peer.input(Input::Answer(Answer::Unavailable { retry: 1 })), ["refused not_kept"]);
}

#[test]
fn people_of_stage_c_are_shown_by_their_names_and_by_their_numbers_without_one() {
    let long = "n".repeat(65);
    let table = [
        ("cyd", r#""from_user_id":"2""#, "cyd"),
        ("cyd", r#""from_user_id":2,"user_name":"cy\n the\u0007 second""#, "cy the second"),
        ("cyd", r#""from_user_id":2,"user_name":" ""#, "cyd"),
        ("", r#""from_user_id":2"#, "2"),
        ("  ", r#""from_user_id":2"#, "2"),
        (&long, r#""from_user_id":2"#, &long[..64]),
        // Someone else, as far as this connection knows.
        ("cyd", r#""from_user_id":3"#, "3"),
    ];
    for (name, from, shown) in table {
        let mut peer = two_called(name);
        peer.text(&format!(r#"{{"type":"MESSAGE",{from},"message":"hi","block_id":1}}"#));
        let post = reply(&mut peer, Reply::Fresh { id: None });
        assert!(post[0].starts_with(&format!("post 0 1 by {shown} {{")), "{post:?}");
    }
}

#[test]
fn a_message_to_a_person_goes_to_their_inbox_in_either_shape() {
    for to in [r#""chat_type":"PTP","to_user_id":"3""#, r#""to_user_id":3"#] {
        let mut peer = two();
        peer.text(&format!(r#"{{"type":"MESSAGE","from_user_id":"2","message":"hi",{to}}}"#));
        let keep = reply(&mut peer, Reply::Fresh { id: Some(42) });
        assert!(keep[0].starts_with("ask People(Keep { from: 2, temp: None, id: 42, to: 3, frame: "), "{keep:?}");
        let post = reply(&mut peer, Reply::Done);
        assert!(post[0].ends_with(r#""message_id":"0000000000000042"}"#), "{post:?}");
        assert!(post[0].starts_with("post 0 \u{1}people\u{1}3 by 2 "), "{post:?}");
    }
    let mut peer = two();
    peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","group_id":0}"#);
    let post = reply(&mut peer, Reply::Fresh { id: None });
    assert!(post[0].starts_with("post 0 0 by 2 "), "a group is a block");
}

#[test]
fn a_message_to_a_person_that_is_kept_is_confirmed_even_when_it_was_not_shown_at_once() {
    let mut peer = two();
    peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","to_user_id":"3"}"#);
    reply(&mut peer, Reply::Fresh { id: Some(1) });
    reply(&mut peer, Reply::Done);
    let lost = Err(PostError::Append(AppendError::Away("down".to_owned())));
    let lines = peer.input(Input::Posted { tag: 0, result: lost });
    assert_eq!(lines[0], "refused not_shown_at_once");
    assert!(lines[1].starts_with(r#"{"type":"CONFIRM""#));
    peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","to_user_id":"3"}"#);
    assert_eq!(peer.input(Input::Answer(Answer::Unavailable { retry: 1 })), ["refused not_kept"]);
}

#[test]
fn stage_c_pings_confirms_and_closes() {
    two().table(&[
        (r#"{"type":"PING","from_user_id":"2"}"#, &[r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#]),
        (
            r#"{"type":"CONFIRM","from_user_id":"3","message_id":"0000000000000042","message":"hi"}"#,
            &["tell People(Confirm { user: 2, id: 42 })"],
        ),
        (r#"{"type":"CONFIRM","from_user_id":"3"}"#, &["refused malformed"]),
        (r#"{"type":"MESSAGE","from_user_id":"2","message":"to nobody"}"#, &["refused malformed"]),
        (r#"{"type":"MESSAGE","from_user_id":"x","to_user_id":1}"#, &["refused malformed"]),
        (r#"{"type":"DANCE"}"#, &["refused unknown_type"]),
        (r#"{"type":"CLOSE"}"#, &["terminate"]),
    ]);
}

#[test]
fn seven_seconds_without_json_cut_the_connection() {
    let mut peer = peer();
    assert_eq!(peer.pass(6_999), [""; 0]);
    peer.text(r#"{"type":"PING","user_id":1}"#);
    assert_eq!(peer.pass(6_999), [""; 0]);
    peer.text("not json");
    peer.input(Input::Pong);
    assert_eq!(peer.pass(1), ["terminate"]);
}

#[test]
fn an_init_of_the_other_stage_changes_the_stage() {
    let mut peer = alice();
    assert_eq!(
        peer.text(r#"{"type":"INIT","from_user_id":2}"#),
        [
            format!("tell People(Release {{ user: 7, {HOLDER} }})"),
            "leave 0".to_owned(),
            format!("ask People(Init {{ user: 2, name: None, {HOLDER} }})"),
        ]
    );
}

#[test]
fn who_cannot_be_let_into_the_room_is_cut() {
    for answer in [Answer::RoomLimit, Answer::Unavailable { retry: 1000 }] {
        let mut peer = peer();
        peer.text(r#"{"type":"USER","message":"hi"}"#);
        assert_eq!(peer.input(Input::Answer(answer)), ["refused not_joined", "terminate"]);
    }
}

#[test]
fn a_stored_frame_that_is_no_json_is_shown_by_its_text() {
    for stored in [&b"A\xff"[..], b"C\xff", b"A{", b"C{"] {
        let run = [entry(1, &person("m7", "bob"), ProtocolId::MultiPerson, r#"{"text":"x"}"#, Some(stored))];
        for shown in [frames(&Broadcast, "0", None, &run), frames(&Block, "0", None, &run)] {
            assert!(texts(shown)[0].contains(r#""message":"x""#));
        }
    }
}

#[test]
fn entries_look_as_each_stage_writes_them() {
    let (ada, bob) = (person("u1", "ada"), person("m7", "bob"));
    let a = r#"{"user_id":7,"type":"USER","message":"x"}"#;
    let c = r#"{"type":"MESSAGE","message_id":"-2","from_user_id":"7","message":"x"}"#;
    let run = [
        entry(1, &bob, ProtocolId::MultiPerson, r#"{"text":"x"}"#, Some(format!("A{a}").as_bytes())),
        entry(2, &bob, ProtocolId::MultiPerson, r#"{"text":"y"}"#, Some(format!("C{c}").as_bytes())),
        entry(3, &ada, ProtocolId::Native, r#"{"text":"z"}"#, None),
    ];
    let user = |name: &str, id: &str, text: &str| {
        format!(r#"{{"user_name":"{name}","user_id":"{id}","type":"USER","message":"{text}"}}"#)
    };
    assert_eq!(
        texts(frames(&Broadcast, "0", None, &run)),
        [a.to_owned(), user("bob", "m7", "y"), user("ada", "u1", "z")]
    );
    let id = |seq: u64| format!("{:016}", message_id::in_block(5, UNIX + seq, seq));
    let block = |from: &str, name: &str, seq: u64, text: &str| {
        format!(
            r#"{{"type":"MESSAGE","from_user_id":"{from}","user_name":"{name}","message_id":"{}","message":"{text}","chat_type":"BLOCK","send_time":{},"block_id":"5"}}"#,
            id(seq),
            UNIX + seq
        )
    };
    assert_eq!(
        texts(frames(&Block, "5", None, &run)),
        [block("m7", "bob", 1, "x"), c.replace("-2", &id(2)), block("u1", "ada", 3, "z")]
    );
    let mut inbox = ChunkWriter::default();
    Block.entries(&directory::people::inbox(2), None, &run[1..2], &mut inbox);
    assert!(inbox.seal(None).bytes.ends_with(c.as_bytes()), "what comes to a person has its id");
    let mut out = ChunkWriter::default();
    Block.entries(&name("5"), None, &run, &mut out);
    let chunk = out.seal(None);
    assert_eq!(chunk.hidden.iter().map(|hidden| hidden.from.connection).collect::<Vec<_>>(), [1, 2, 3]);
}

proptest! {
    #[test]
    fn no_input_panics_a_session(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        for mut peer in [peer(), alice(), two()] {
            peer.text(&text);
            peer.binary(&bytes);
        }
    }

    #[test]
    fn no_frame_of_any_shape_panics_a_session(
        kind in "INIT|CLOSE|SYSTEM|USER|MESSAGE|PING|PONG|CONFIRM|[A-Z]{0,5}",
        field in "user_id|user_name|from_user_id|to_user_id|block_id|chat_type|temp_id|message_id|message",
        value in r#"null|-?[0-9]{1,25}|"[a-z@ ]{0,80}"|\[\]|\{\}|1e9|"\\u[0-9a-f]{4}""#,
    ) {
        for mut peer in [peer(), alice(), two()] {
            peer.text(&format!(r#"{{"type":"{kind}","from_user_id":"2","to_user_id":"3","{field}":{value}}}"#));
            reply(&mut peer, Reply::Fresh { id: Some(1) });
            reply(&mut peer, Reply::Done);
            peer.posted(0, 1);
            reply(&mut peer, Reply::Kept { late: vec![3] });
        }
    }
}
