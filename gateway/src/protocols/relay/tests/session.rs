//! Signing in, what is said in a room, and what is ignored.

use std::{collections::HashSet, sync::Arc, time::Duration};

use proptest::prelude::*;
use prost::Message;

use super::{
    super::{
        RelaySettings,
        wire::{SignIn, status},
    },
    bus, message, package, peer, peer_with, settings, sign_in, signed_in,
};
use crate::{
    fanout::session::{Answer, Input},
    protocols::script::{hex, joined, name},
    rooms::{Access, Door, ProtocolId},
};

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
    assert_eq!(
        peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(5) })),
        ["refused unavailable", &unavailable]
    );
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
    let door = Door { rooms, members_write: true, ..Door::default() };
    let access = Arc::new(Access::new([(ProtocolId::Relay, door)]));
    let mut peer = peer_with(RelaySettings { access, ..settings(bus()) });
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

#[test]
fn a_join_answer_after_the_fact_changes_nothing() {
    let mut peer = signed_in();
    assert_eq!(peer.input(Input::Answer(Answer::Joined(joined("x", 1)))), [""; 0]);
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
}
