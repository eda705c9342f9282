//! Dialect A: the broadcast room.

use std::time::Duration;

use super::{HOLDER, alice, known, peer, reply};
use crate::{
    directory::people::Reply,
    fanout::session::{Answer, Input, PostError},
    moderation::Refusal,
};

#[test]
fn the_broadcast_dialect_enters_the_room_takes_what_was_kept_and_is_announced() {
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
fn the_broadcast_dialect_broadcasts_whatever_it_can_read_as_it_is() {
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
fn the_broadcast_dialect_pings_are_echoed_with_their_fields() {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"user_name":"a","user_id":7,"type":"PING","message":"ping","n":1.0}"#),
        [r#"{"user_name":"a","user_id":7,"type":"PONG","message":"pong","n":1.0}"#]
    );
    assert_eq!(peer.text(r#"{"type":"PING"}"#), [r#"{"type":"PONG","message":"pong"}"#]);
}

#[test]
fn the_broadcast_dialect_without_an_init_joins_at_its_first_message() {
    let mut peer = peer();
    let user = r#"{"username":"bob","id":9,"type":"USER","message":"hi"}"#;
    assert_eq!(peer.text(user), ["join 0 as bob encoding 40 announce"]);
    assert_eq!(peer.joined("0", 0), [format!(r#"post 0 0 by bob {{"text":"hi"}} verbatim A{user}"#)]);
}

#[test]
fn people_who_are_mentioned_are_told_to_the_directory_once_the_message_is_kept() {
    let mut peer = alice();
    let user = r#"{"user_name":"alice","user_id":7,"type":"USER","message":"@bob and @eve"}"#;
    let mention = r#"tell People(Mention { names: ["bob", "eve"], frame: "#;
    assert!(peer.text(user)[0].starts_with("post 1 0 by alice "));
    let lines = peer.posted(1, 10);
    assert!(lines[0].starts_with(mention), "{lines:?}");
    peer.text(user);
    let refused = Err(PostError::Moderated(Refusal::Muted { until: None }));
    assert_eq!(peer.input(Input::Posted { tag: 2, result: refused }), ["refused muted"], "it reaches nobody");
    peer.text(user);
    // It may be kept, and nobody is left to hear of it.
    let lines = peer.input(Input::Closed { read: &[] });
    assert!(lines[0].starts_with(mention), "{lines:?}");
}

#[test]
fn the_broadcast_dialect_goes_on_without_a_directory() {
    let mut peer = peer();
    peer.text(r#"{"user_name":"alice","user_id":7,"type":"INIT","message":"join"}"#);
    let away = || Input::Answer(Answer::Unavailable { retry: Duration::from_millis(1) });
    assert_eq!(peer.input(away()), ["join 0 as alice encoding 40 announce"]);
    peer.joined("0", 0);
    assert!(peer.input(away())[0].starts_with("post 0 0 by alice "));
    assert_eq!(
        peer.input(Input::Closed { read: &[] }),
        [format!("tell People(Release {{ user: 7, {HOLDER} }})"), "leave 0".to_owned()]
    );
}

#[test]
fn who_cannot_be_let_into_the_room_is_cut() {
    for answer in [Answer::RoomLimit, Answer::Unavailable { retry: Duration::from_millis(1000) }] {
        let mut peer = peer();
        peer.text(r#"{"type":"USER","message":"hi"}"#);
        assert_eq!(peer.input(Input::Answer(answer)), ["refused not_joined", "terminate"]);
    }
}
