//! What clients of both dialects send and what they get, as tables.

mod broadcast;
mod encoding;
mod entering;
mod messages;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{MultiPerson, MultiPersonSettings};
use crate::{
    bus::{History, memory::MemoryBus},
    directory::{self, memory::MemoryDirectory, people::Reply},
    fanout::{
        poster::Poster,
        recent::Recent,
        session::{Answer, Input},
    },
    moderation::Moderation,
    protocols::{
        Handshake, Protocol,
        script::{Peer, UNIX, joined, name},
    },
    rooms::RoomName,
};

const HOLDER: &str = "holder: Origin { gateway: 7, connection: 1 }";
const INBOX: &str = "\u{1}people\u{1}2";

fn protocol_with(welcome: bool) -> MultiPerson {
    let bus = Arc::new(MemoryBus::new(History { messages: 10, age: Duration::from_secs(60) }));
    let directory = Arc::new(MemoryDirectory::new(bus.clock()));
    let (poster, recent) =
        (Poster::new(bus.clone(), Moderation::in_memory(bus.clock(), Arc::default())), Recent::new(bus));
    MultiPerson::new(MultiPersonSettings {
        room: name("0"),
        access: Arc::default(),
        welcome,
        directory,
        poster,
        recent,
    })
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
    reply(peer, Reply::User { id, name: name.into(), taken: false })
}

/// What user 2 asks when they enter or hear of a block.
fn asks_for_blocks() -> String {
    format!("ask People(Blocks {{ user: 2, {HOLDER} }})")
}

fn open(peer: &mut Peer, room: RoomName) -> Vec<String> {
    let mut answer = joined("x", 0);
    answer.room = room;
    peer.input(Input::Answer(Answer::Joined(answer)))
}

/// A peer of the broadcast dialect peer who is alice and in the room.
fn alice() -> Peer {
    let mut peer = peer();
    peer.text(r#"{"user_name":"alice","user_id":7,"type":"INIT","message":"join"}"#);
    known(&mut peer, 7, "alice");
    peer.joined("0", 0);
    reply(&mut peer, Reply::Queued(vec![]));
    peer
}

/// A the blocks dialect peer who is user 2, without a name, in block 1.
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
fn an_init_of_the_other_dialect_changes_the_dialect() {
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
