//! Who one is, and which rooms one gets into.

use std::time::Duration;

use super::{super::identity, KEY, ada, error, peer, peer_with, you};
use crate::{
    fanout::session::{Answer, Gap, Input},
    protocols::script::{UNIX, joined, person},
};

#[test]
fn joining_answers_with_the_position_of_the_room_and_the_identity() {
    let mut peer = peer();
    assert_eq!(
        peer.text(r#"{"op":"join","id":1,"room":"lobby","name":"ada","more":{"x":[]}}"#),
        ["join lobby as ada encoding 8 presence announce"]
    );
    let (you, _) = you("ada");
    assert_eq!(
        peer.joined("lobby", 131),
        [format!(
            r#"{{"op":"joined","id":1,"room":"lobby","epoch":"5","seq":131,{you},"members":3,"recovered":false,"limits":{{"messageBytes":10240,"posts":16}}}}"#
        )]
    );
}

#[test]
fn a_token_keeps_the_id_across_reconnects() {
    let mut peer = peer();
    let token = identity::token(KEY, &person("u1", "ada"), Some(identity::expiry(UNIX)));
    let resume = format!(r#"{{"op":"join","id":1,"room":"lobby","epoch":"k3","after":118,"token":"{token}"}}"#);
    assert_eq!(peer.text(&resume), ["join lobby as ada encoding 8 after 723:118 presence announce"]);
    let mut answer = joined("lobby", 131);
    answer.recovered = true;
    assert_eq!(
        peer.input(Input::Answer(Answer::Joined(answer))),
        [format!(
            r#"{{"op":"joined","id":1,"room":"lobby","epoch":"5","seq":131,"you":{{"id":"u1","name":"ada","token":"{token}"}},"members":3,"recovered":true,"limits":{{"messageBytes":10240,"posts":16}}}}"#
        )]
    );
}

#[test]
fn a_token_under_another_name_makes_another_person() {
    let mut peer = peer();
    let token = identity::token(KEY, &person("u1", "ada"), Some(identity::expiry(UNIX)));
    let join = format!(r#"{{"op":"join","room":"lobby","name":"countess","token":"{token}"}}"#);
    assert_eq!(peer.text(&join), ["join lobby as countess encoding 8 presence announce"]);
    assert!(peer.joined("lobby", 0)[0].contains(&you("countess").0));
}

#[test]
fn a_gap_follows_the_join_that_could_not_recover_all() {
    for (to, shape) in [(Some(125), r#""from":119,"to":125"#), (None, r#""from":119"#)] {
        let mut peer = peer();
        peer.text(r#"{"op":"join","room":"lobby","name":"ada","epoch":"k3","after":118}"#);
        let mut answer = joined("lobby", 131);
        answer.gap = Some(Gap { from: 119, to });
        let lines = peer.input(Input::Answer(Answer::Joined(answer)));
        assert_eq!(lines[1], format!(r#"{{"op":"gap","room":"lobby","epoch":"5",{shape}}}"#));
    }
}

#[test]
fn a_connection_is_one_person() {
    let mut peer = ada();
    let changed = error(r#""id":1,"#, "bad_request", "a connection is one person: another needs another connection");
    assert_eq!(peer.text(r#"{"op":"join","id":1,"room":"b","name":"bob"}"#), changed);
    let other = identity::token(KEY, &person("u9", "ada"), Some(identity::expiry(UNIX)));
    assert_eq!(peer.text(&format!(r#"{{"op":"join","id":1,"room":"b","token":"{other}"}}"#)), changed);
    assert_eq!(peer.text(r#"{"op":"join","room":"b"}"#), ["join b as ada encoding 8 presence announce"]);
}

#[test]
fn without_anonymous_people_only_a_valid_token_lets_in() {
    let mut peer = peer_with(false, None);
    let refused = error("", "unauthorized", "joining takes a valid token");
    assert_eq!(peer.text(r#"{"op":"join","room":"lobby","name":"ada"}"#), refused);
    assert_eq!(peer.text(r#"{"op":"join","room":"lobby","name":"ada","token":"a.b.c"}"#), refused);
    let token = identity::token(KEY, &person("u1", "ada"), Some(identity::expiry(UNIX)));
    assert_eq!(
        peer.text(&format!(r#"{{"op":"join","room":"lobby","name":"eve","token":"{token}"}}"#)),
        error("", "unauthorized", "the token is for another name")
    );
    assert_eq!(
        peer.text(&format!(r#"{{"op":"join","room":"lobby","token":"{token}"}}"#)),
        ["join lobby as ada encoding 8 presence announce"]
    );
}

#[test]
fn a_token_of_another_key_makes_a_new_anonymous_person() {
    let mut peer = peer();
    let foreign = identity::token(b"old key", &person("u1", "ada"), Some(identity::expiry(UNIX)));
    let join = format!(r#"{{"op":"join","room":"lobby","name":"ada","token":"{foreign}"}}"#);
    assert_eq!(peer.text(&join), ["join lobby as ada encoding 8 presence announce"]);
    assert!(peer.joined("lobby", 0)[0].contains(&you("ada").0));
}

#[test]
fn rooms_outside_the_allow_list_are_refused() {
    let mut peer = peer_with(true, Some(&["lobby"]));
    let refused = error("", "unauthorized", "this room is not open here");
    for op in
        [r#"{"op":"join","room":"x","name":"a"}"#, r#"{"op":"history","room":"x"}"#, r#"{"op":"members","room":"x"}"#]
    {
        assert_eq!(peer.text(op), refused);
    }
}

#[test]
fn a_join_that_fails_says_why() {
    let table = [
        (Answer::RoomLimit, "room_limit", "too many rooms", ""),
        (
            Answer::Unavailable { retry: Duration::from_millis(300) },
            "unavailable",
            "the room cannot be read now",
            r#","retry":300"#,
        ),
    ];
    for (answer, code, message, retry) in table {
        let mut peer = peer();
        peer.text(r#"{"op":"join","id":1,"room":"lobby","name":"ada"}"#);
        let told = format!(r#"{{"op":"error","id":1,"code":"{code}","message":"{message}"{retry}}}"#);
        assert_eq!(peer.input(Input::Answer(answer)), [format!("refused {code}"), told]);
        assert_eq!(peer.text(r#"{"op":"typing","room":"lobby"}"#)[0], "refused not_joined");
    }
}

#[test]
fn a_token_that_ends_is_not_made_longer_by_joining() {
    for expires in [None, Some(1_700_000_100.0)] {
        let mut peer = peer_with(false, None);
        let token = identity::token(KEY, &person("u1", "ada"), expires);
        peer.text(&format!(r#"{{"op":"join","room":"lobby","token":"{token}"}}"#));
        let told = peer.joined("lobby", 0);
        assert!(told[0].contains(&format!(r#""token":"{token}""#)), "{told:?}");
    }
}
