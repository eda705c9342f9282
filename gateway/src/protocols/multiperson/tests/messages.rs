//! Dialect C: messages on their way to people and blocks.

use std::time::Duration;

use super::{HOLDER, asks_for_blocks, reply, two, two_called};
use crate::{
    bus::AppendError,
    directory::{
        self,
        people::{Reply, message_id},
    },
    fanout::session::{Answer, Input, PostError},
    protocols::script::{Peer, UNIX},
};

#[test]
fn a_message_to_a_block_gets_its_id_from_its_place_is_kept_and_then_confirmed() {
    let mut peer = two();
    let sent = r#"{"type":"MESSAGE","from_user_id":"2","message_id":"-2","message":"<p>hi</p>","chat_type":"BLOCK","block_id":"1","temp_id":"17"}"#;
    let id = message_id::in_block(1, UNIX, 9);
    let with =
        |kind: &str| sent.replace(r#""MESSAGE""#, &format!("\"{kind}\"")).replace(r#""-2""#, &format!("\"{id:016}\""));
    let check = format!(r#"ask People(Check {{ from: 2, {HOLDER}, temp: Some("\"17\""), to: Block(1) }})"#);
    assert_eq!(peer.text(sent), std::slice::from_ref(&check));
    assert_eq!(
        reply(&mut peer, Reply::Fresh { id: None }),
        [format!(r#"post 0 1 by 2 {{"text":"<p>hi</p>"}} verbatim C{sent} key "17""#)]
    );
    assert_eq!(
        peer.posted(0, 9),
        [format!(
            r#"ask People(KeepPosted {{ from: 2, temp: Some("\"17\""), id: {id}, block: 1, place: StoredAt {{ position: Position {{ epoch: Epoch(5), seq: 9 }}, time: {UNIX} }}, frame: {:?} }})"#,
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
    assert_eq!(lines[1], asks_for_blocks());
}

#[test]
fn messages_to_blocks_that_were_posted_are_kept_though_their_sender_has_gone() {
    let mut peer = two();
    for message in ["one", "two", "three"] {
        peer.text(&format!(r#"{{"type":"MESSAGE","from_user_id":"2","message":"{message}","block_id":"1"}}"#));
        reply(&mut peer, Reply::Fresh { id: None });
    }
    assert!(peer.posted(0, 1)[0].starts_with("ask People(KeepPosted"));
    peer.posted(1, 2);
    let told: Vec<_> =
        peer.input(Input::Closed { read: &[] }).into_iter().filter(|line| line.contains("KeepPosted")).collect();
    assert!(told.len() == 1 && told[0].starts_with("tell ") && told[0].contains("two"), "{told:?}");
}

#[test]
fn a_message_to_a_block_that_is_not_posted_or_not_kept_is_not_confirmed() {
    let lost = || Err(PostError::Append(AppendError::Unavailable("down".into())));
    let mut peer = two();
    let say = |peer: &mut Peer| {
        peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","block_id":"1","temp_id":1}"#);
        reply(peer, Reply::Fresh { id: None });
    };
    say(&mut peer);
    assert_eq!(peer.input(Input::Posted { tag: 0, result: lost() }), ["refused not_kept"]);
    say(&mut peer);
    peer.posted(1, 1);
    assert_eq!(
        peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(1) })),
        ["refused not_kept"]
    );
}

#[test]
fn people_of_the_blocks_dialect_are_shown_by_their_names_and_by_their_numbers_without_one() {
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
    let lost = Err(PostError::Append(AppendError::Unavailable("down".into())));
    let lines = peer.input(Input::Posted { tag: 0, result: lost });
    assert_eq!(lines[0], "refused not_shown_at_once");
    assert!(lines[1].starts_with(r#"{"type":"CONFIRM""#));
    peer.text(r#"{"type":"MESSAGE","from_user_id":"2","message":"hi","to_user_id":"3"}"#);
    assert_eq!(
        peer.input(Input::Answer(Answer::Unavailable { retry: Duration::from_millis(1) })),
        ["refused not_kept"]
    );
}

#[test]
fn the_blocks_dialect_pings_confirms_and_closes() {
    two().table(&[
        (r#"{"type":"PING","from_user_id":"2"}"#, &[r#"{"type":"PONG","message":"pong","from_user_id":"0"}"#]),
        (
            r#"{"type":"CONFIRM","from_user_id":"3","message_id":"0000000000000042","message":"hi"}"#,
            &["tell People(Confirm { user: 2, id: 42 })"],
        ),
        // A message of another protocol, of which nothing is kept.
        (r#"{"type":"CONFIRM","from_user_id":"u3","message_id":"0000000000000042"}"#, &[]),
        (r#"{"type":"CONFIRM","from_user_id":"3"}"#, &["refused malformed"]),
        (r#"{"type":"MESSAGE","from_user_id":"2","message":"to nobody"}"#, &["refused malformed"]),
        (r#"{"type":"MESSAGE","from_user_id":"x","to_user_id":1}"#, &["refused malformed"]),
        (r#"{"type":"DANCE"}"#, &["refused unknown_type"]),
        (r#"{"type":"CLOSE"}"#, &["terminate"]),
    ]);
}
