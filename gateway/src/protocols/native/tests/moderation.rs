//! `moderate`, notices, and what is refused because of them.

use std::{sync::Arc, time::Duration};

use super::{
    super::{moderate, request},
    ada, error, peer,
};
use crate::{
    fanout::session::{Answer, Effect, Input, PostError},
    moderation::{Act, Action, Actions, News, NewsCode, Record, Refusal},
    protocols::script::name,
    rooms::Author,
};

#[test]
fn an_action_is_read_with_its_fields() {
    let table = [
        (r#"{"action":"mute","person":"u2","seconds":600}"#, Action::Mute { person: "u2".into(), seconds: 600 }),
        (r#"{"action":"mute","person":"u2","seconds":null}"#, Action::Mute { person: "u2".into(), seconds: 0 }),
        (r#"{"action":"kick","person":"u2"}"#, Action::Kick { person: "u2".into() }),
        (
            r#"{"action":"ban","person":"u2","address":true}"#,
            Action::Ban { person: "u2".into(), seconds: 0, address: true },
        ),
        (r#"{"action":"unban","person":"u2","address":true}"#, Action::Unban { person: "u2".into() }),
        (r#"{"action":"slow","seconds":0}"#, Action::Slow { seconds: 0 }),
        (r#"{"action":"delete","seq":7}"#, Action::Delete { seq: 7 }),
        (r#"{"action":"purge","person":"u2"}"#, Action::Purge { person: "u2".into() }),
        (r#"{"action":"readonly","on":false}"#, Action::Readonly { on: false, seconds: 0 }),
    ];
    for (frame, action) in table {
        assert_eq!(request::action(frame).unwrap(), action, "{frame}");
    }
}

#[test]
fn a_wrong_action_is_refused_by_the_name_of_its_field() {
    let table = [
        ("{}", "action is missing"),
        (r#"{"action":7}"#, "action is text"),
        (r#"{"action":"hug"}"#, "action is mute, unmute, kick, ban, unban, slow, readonly, delete or purge"),
        (
            r#"{"action":"ban_address","person":"u2"}"#,
            "action is mute, unmute, kick, ban, unban, slow, readonly, delete or purge",
        ),
        (r#"{"action":"mute"}"#, "person is missing"),
        (r#"{"action":"kick","person":2}"#, "person is text"),
        (r#"{"action":"kick","person":""}"#, "person is an id of 1 to 512 bytes without control characters"),
        (r#"{"action":"mute","person":"a","seconds":"9"}"#, "seconds is a number"),
        (r#"{"action":"mute","person":"a","seconds":-1}"#, "seconds is a number"),
        (r#"{"action":"ban","person":"a","address":1}"#, "address is true or false"),
        (r#"{"action":"slow"}"#, "seconds is missing"),
        (r#"{"action":"readonly"}"#, "on is missing"),
        (r#"{"action":"delete"}"#, "seq is missing"),
        (r#"{"action":"delete","seq":"7"}"#, "seq is a number"),
        (r#"{"action":"delete","seq":0}"#, "seq is that of a message, from 1"),
        (r#"{"action":"purge"}"#, "person is missing"),
    ];
    for (frame, fault) in table {
        assert_eq!(request::action(frame).unwrap_err().message, fault, "{frame}");
    }
}

#[test]
fn who_is_no_moderator_may_not_moderate() {
    let kick = r#"{"op":"moderate","id":1,"room":"lobby","action":"kick","person":"u2"}"#;
    let forbidden = error(r#""id":1,"#, "forbidden", "only a moderator of the room may do that");
    assert_eq!(peer().text(kick), forbidden);
    assert_eq!(ada().text(kick), forbidden);
}

#[test]
fn moderators_alone_read_what_was_done_in_a_room() {
    let asked = r#"{"op":"actions","id":1,"room":"lobby"}"#;
    let forbidden = error(r#""id":1,"#, "forbidden", "only a moderator of the room may do that");
    assert_eq!(ada().text(asked), forbidden);
    let table = [(r#""before":"7""#, "before is the number of an action"), (r#""limit":101"#, "limit is 1 to 100")];
    for (field, fault) in table {
        let frame = format!(r#"{{"op":"actions","id":1,"room":"lobby",{field}}}"#);
        assert_eq!(ada().text(&frame), error(r#""id":1,"#, "bad_request", fault));
    }
}

#[test]
fn what_was_done_is_written_as_the_log_has_it() {
    let mut out = Vec::new();
    let by = Author { id: "m".into(), name: "Mod".into(), extra: None };
    let act = |action| Act { by: by.clone(), room: name("lobby"), action };
    let mute = act(Action::Mute { person: "u2".into(), seconds: 60 });
    let records = vec![
        Record { number: 9, time: 1000, until: Some(61_000), act: mute },
        Record { number: 4, time: 500, until: None, act: act(Action::Delete { seq: 7 }) },
    ];
    let id = serde_json::value::RawValue::from_string("3".into()).unwrap();
    let log = Ok(Actions { records, before: Some(4) });
    moderate::actions(Some(&id), "lobby", &log, Duration::ZERO, &mut out);
    let by = r#""by":{"id":"m","name":"Mod"}"#;
    let expected = format!(
        r#"{{"op":"actions","id":3,"room":"lobby","actions":[{{"number":9,"time":1000,"until":61000,{by},"action":"mute","person":"u2","seconds":60}},{{"number":4,"time":500,{by},"action":"delete","seq":7}}],"more":true,"before":4}}"#
    );
    assert!(matches!(&out[..], [Effect::Text(text)] if *text == expected), "{out:?}");
}

#[test]
fn those_concerned_are_told_what_was_done_and_until_when() {
    let table = [
        (NewsCode::Muted, Some(1_795_172_464_819), r#""code":"muted","until":1795172464819,"remaining":60000"#),
        (NewsCode::Muted, Some(0), r#""code":"muted","until":0"#),
        (NewsCode::Kicked, None, r#""code":"kicked""#),
        (NewsCode::Banned, None, r#""code":"banned""#),
        (NewsCode::Slow(10), None, r#""code":"slow","seconds":10"#),
        (NewsCode::Slow(0), Some(0), r#""code":"slow","until":0,"seconds":0"#),
        (NewsCode::Readonly, None, r#""code":"readonly""#),
    ];
    for (code, until, told) in table {
        let remaining = until.map(|until| until.min(60_000));
        let news = News { room: name("lobby"), person: None, code, until, remaining, addresses_of: None };
        let lines = ada().input(Input::Moderated(Arc::new(news)));
        assert_eq!(lines, [format!(r#"{{"op":"notice","room":"lobby",{told}}}"#)]);
    }
}

#[test]
fn a_post_that_is_not_wanted_is_refused_with_the_reason() {
    let table = [
        (Refusal::Muted { until: None }, "muted", "muted in this room", ""),
        (Refusal::Banned { until: None }, "banned", "banned", ""),
        (
            Refusal::SlowMode { retry: Duration::from_millis(2_500) },
            "slow_mode",
            "this room is slow: one message in a while",
            r#","retry":2500"#,
        ),
        (Refusal::ReadOnly { until: None }, "read_only", "this room is read-only", ""),
        (Refusal::Refused("no links".into()), "refused", "no links", ""),
    ];
    for (refusal, code, message, retry) in table {
        let mut peer = ada();
        peer.text(r#"{"op":"post","id":2,"room":"lobby","body":{}}"#);
        let lines = peer.input(Input::Posted { tag: 0, result: Err(PostError::Moderated(refusal)) });
        let told = format!(r#"{{"op":"error","id":2,"code":"{code}","message":"{message}"{retry}}}"#);
        assert_eq!(lines, [format!("refused {code}"), told]);
    }
}

#[test]
fn a_banned_person_learns_it_at_the_join() {
    let mut peer = ada();
    peer.text(r#"{"op":"join","id":2,"room":"attic"}"#);
    assert_eq!(peer.input(Input::Answer(Answer::Banned)), error(r#""id":2,"#, "banned", "banned from this room"));
    assert_eq!(
        peer.text(r#"{"op":"post","id":3,"room":"attic","body":{}}"#),
        error(r#""id":3,"#, "not_joined", "join the room first")
    );
}
