//! How a room looks to all its readers.

use super::super::{ENCODING, encoding::NativeEncoding};
use crate::{
    fanout::session::Presence,
    protocols::script::{entry, frames, person, presence_frames, signal_frames, texts},
    rooms::{ProtocolId, Signal},
};

#[test]
fn a_run_of_entries_is_one_frame_that_tells_a_changed_epoch_once() {
    let (ada, bob) = (person("u1", "ada"), person("u2", "b\"b"));
    let run = [
        entry(1, &ada, ProtocolId::Native, r#"{"text":"hi"}"#, None),
        entry(2, &bob, ProtocolId::OnlyOne, r#"{"text":"picture","type":"picture","path":"/p"}"#, Some(b"{}")),
    ];
    let items = concat!(
        r#""items":[{"seq":1,"time":1700000000001,"from":{"id":"u1","name":"ada"},"body":{"text":"hi"}},"#,
        r#"{"seq":2,"time":1700000000002,"from":{"id":"u2","name":"b\"b"},"#,
        r#""body":{"text":"picture","type":"picture","path":"/p"}}]}"#
    );
    let quiet = texts(frames(&NativeEncoding, "lobby", None, &run));
    assert_eq!(quiet, [format!(r#"{{"op":"messages","room":"lobby",{items}"#)]);
    let told = texts(frames(&NativeEncoding, "lobby", Some(723), &run));
    assert_eq!(told, [format!(r#"{{"op":"messages","room":"lobby","epoch":"k3",{items}"#)]);
}

#[test]
fn a_long_run_is_split_into_frames_that_are_whole_each() {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000));
    let run: Vec<_> = (1..=20).map(|seq| entry(seq, &person("u", "n"), ProtocolId::Native, &body, None)).collect();
    let frames = texts(frames(&NativeEncoding, "lobby", Some(1), &run));
    assert_eq!(frames.len(), 3);
    let seqs: Vec<u64> = frames
        .iter()
        .flat_map(|frame| {
            let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
            frame["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    assert_eq!(frames.iter().filter(|frame| frame.contains("epoch")).count(), 1);
}

#[test]
fn typing_is_shown_and_coming_and_going_is_left_to_presence() {
    let ada = person("u1", "ada");
    let typing = texts(signal_frames(&NativeEncoding, "lobby", &Signal::Typing { from: ada.clone() }));
    assert_eq!(typing, [r#"{"op":"typing","room":"lobby","from":{"id":"u1","name":"ada"}}"#]);
    let came = Signal::Joined { who: ada.clone(), protocol: ProtocolId::Native, first: true };
    let left = Signal::Left { who: ada, protocol: ProtocolId::Native, asked: true };
    for signal in [came, left, Signal::Count] {
        assert!(signal_frames(&NativeEncoding, "lobby", &signal).is_empty());
    }
}

#[test]
fn presence_is_written_once_for_all_readers() {
    let presence = Presence { members: 43, joined: vec![person("u2", "bob")], left: vec![] };
    let told = texts(presence_frames(&NativeEncoding, "lobby", &presence));
    assert_eq!(
        told,
        [r#"{"op":"presence","room":"lobby","members":43,"joined":[{"id":"u2","name":"bob"}],"left":[]}"#]
    );
}

#[test]
fn the_encoding_is_numbered_by_its_protocol() {
    assert_eq!(ENCODING.0, 8);
}
