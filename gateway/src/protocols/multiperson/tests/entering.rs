//! Dialect C: which rooms a person reads, and what was kept for them.

use super::{HOLDER, INBOX, asks_for_blocks, known, open, peer, peer_of, protocol_with, reply, two};
use crate::{
    directory::{self, people::Reply},
    fanout::session::{Answer, Input},
};

/// What user 2 asks for when these blocks are read, each after a seq of epoch 5.
fn asks_for_kept(read: &[(u64, u64)]) -> String {
    let read: Vec<_> =
        read.iter().map(|(block, seq)| format!("({block}, Position {{ epoch: Epoch(5), seq: {seq} }})")).collect();
    format!("ask People(Queue {{ user: 2, take: false, read: [{}] }})", read.join(", "))
}

#[test]
fn the_blocks_dialect_reads_its_inbox_and_blocks_and_then_gets_what_was_kept() {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"type":"INIT","from_user_id":"2","message":"init"}"#),
        [format!("ask People(Init {{ user: 2, name: None, {HOLDER} }})")]
    );
    assert_eq!(known(&mut peer, 2, "cyd"), [format!("join {INBOX} as cyd encoding 41 announce")]);
    assert_eq!(open(&mut peer, directory::people::inbox(2)), [asks_for_blocks()]);
    assert_eq!(reply(&mut peer, Reply::Blocks(vec![1, 5])), ["join 1 as cyd encoding 41 announce"]);
    assert_eq!(peer.joined("1", 3), ["join 5 as cyd encoding 41 announce"]);
    assert_eq!(peer.joined("5", 0), [asks_for_kept(&[(1, 3), (5, 0)])]);
    let kept = vec![r#"{"a":1}"#.into(), r#"{"b":2}"#.into()];
    // Something always answers INIT: clients that hear nothing reconnect for ever. A PONG shows nothing.
    let pong = r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#;
    assert_eq!(reply(&mut peer, Reply::Queued(kept)), [pong, r#"{"a":1}"#, r#"{"b":2}"#]);
    let gone = [
        format!("tell People(Release {{ user: 2, {HOLDER} }})"),
        format!("leave {INBOX}"),
        "leave 1".to_owned(),
        "leave 5".to_owned(),
    ];
    assert_eq!(peer.input(Input::Closed { read: &[] }), gone);
}

#[test]
fn the_blocks_dialect_reads_a_new_block_as_soon_as_it_is_told_and_gets_what_was_said_there_before() {
    let notice = || Input::Notice { room: directory::people::inbox(2) };
    let mut peer = two();
    assert_eq!(peer.input(notice()), [asks_for_blocks()]);
    assert_eq!(reply(&mut peer, Reply::Blocks(vec![1, 5])), ["join 5 as 2 encoding 41 announce"]);
    assert_eq!(peer.input(notice()), [""; 0], "one thing at a time");
    assert_eq!(peer.joined("5", 3), [asks_for_kept(&[(5, 3)])]);
    let (old, new) = (r#"{"chat_type":"BLOCK","block_id":"1"}"#, r#"{"chat_type":"BLOCK","block_id":"5"}"#);
    let kept = Reply::Queued(vec![old.into(), new.into()]);
    assert_eq!(reply(&mut peer, kept), [new.to_owned(), asks_for_blocks()]);
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
    assert_eq!(peer.input(Input::Closed { read: &[] }).last().unwrap(), "leave 5");
}

#[test]
fn people_of_the_blocks_dialect_are_welcomed_where_the_room_says_so() {
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
fn a_connection_that_loses_the_account_reads_and_confirms_nothing_of_it_any_longer() {
    let mut old = two();
    assert_eq!(old.input(Input::Notice { room: directory::people::inbox(2) }), [asks_for_blocks()]);
    assert_eq!(
        reply(&mut old, Reply::Foreign),
        ["refused taken_over".to_owned(), format!("leave {INBOX}"), "leave 1".to_owned()]
    );
    let confirm = r#"{"type":"CONFIRM","from_user_id":"3","message_id":"0000000000000042","message":"hi"}"#;
    assert_eq!(old.text(confirm), ["refused malformed"]);
    assert_eq!(old.input(Input::Closed { read: &[] }), [""; 0], "there is nothing to give back");
}

#[test]
fn a_connection_that_takes_an_account_over_makes_the_other_one_look() {
    let mut peer = peer();
    peer.text(r#"{"type":"INIT","from_user_id":"2","message":"init"}"#);
    let lines = reply(&mut peer, Reply::User { id: 2, name: "cyd".into(), taken: true });
    assert!(lines[0].starts_with("post ") && lines[0].contains(INBOX), "{lines:?}");
    assert_eq!(lines[1], format!("join {INBOX} as cyd encoding 41 announce"));
}
