//! How a room looks to all its readers: items, merged as the levels say.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;

use super::super::{
    encoding::RelayEncoding,
    token,
    wire::{BroadcastRoom, MsgLevel, Package, verbatim},
};
use crate::{
    protocols::script::{entry, frames, hex, person, signal_frames},
    rooms::{ProtocolId, Signal},
};

/// Level, then items, of each frame.
fn unpacked(payloads: Vec<Vec<u8>>) -> Vec<(i32, Vec<String>)> {
    let unpack = |payload: Vec<u8>| {
        let package = Package::decode(payload.as_slice()).unwrap();
        assert_eq!(package.r#type, 3);
        let message = BroadcastRoom::decode(package.data.as_slice()).unwrap();
        let mut rest = message.data.as_slice();
        let mut items = Vec::new();
        while let Some((length, tail)) = rest.split_at_checked(4) {
            let (item, tail) = tail.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize);
            items.push(String::from_utf8(item.to_vec()).unwrap());
            rest = tail;
        }
        assert!(rest.is_empty());
        (message.level, items)
    };
    payloads.into_iter().map(unpack).collect()
}

fn sent(seq: u64, level: MsgLevel, data: &str) -> Arc<crate::rooms::Entry> {
    let verbatim = verbatim(level.into(), data.as_bytes());
    entry(seq, &token::author("42"), ProtocolId::Relay, r#"{"text":"x"}"#, Some(&verbatim))
}

#[test]
fn two_merged_messages_are_the_known_bytes() {
    let run = [sent(1, MsgLevel::Normal, "hello im 2"), sent(2, MsgLevel::Normal, "hello im 2")];
    let expect = "08 03 12 25 0a 05 72 6f 6f 6d 33 1a 1c 0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32 \
                  0a 00 00 00 68 65 6c 6c 6f 20 69 6d 20 32";
    assert_eq!(hex(&frames(&RelayEncoding, "room3", None, &run).concat()), expect);
}

#[test]
fn normal_messages_merge_by_twenty_and_important_ones_go_alone_in_order() {
    let mut run: Vec<_> = (1..=21).map(|seq| sent(seq, MsgLevel::Normal, &seq.to_string())).collect();
    run.push(sent(22, MsgLevel::Important, "now"));
    run.push(sent(23, MsgLevel::Important, "and now"));
    run.push(sent(24, MsgLevel::Normal, ""));
    let twenty = (1..=20).map(|seq| seq.to_string()).collect();
    assert_eq!(
        unpacked(frames(&RelayEncoding, "room3", None, &run)),
        [
            (0, twenty),
            (0, vec!["21".to_owned()]),
            (1, vec!["now".to_owned()]),
            (1, vec!["and now".to_owned()]),
            (0, vec![String::new()]),
        ]
    );
}

#[test]
fn long_messages_do_not_pile_up_in_one_frame() {
    let long = "x".repeat(40 * 1024);
    let run: Vec<_> = (1..=4).map(|seq| sent(seq, MsgLevel::Normal, &long)).collect();
    let items: Vec<_> = unpacked(frames(&RelayEncoding, "r", None, &run)).iter().map(|(_, i)| i.len()).collect();
    assert_eq!(items, [2, 2]);
}

#[test]
fn people_of_other_protocols_are_items_of_text() {
    let run = [entry(1, &person("u1", "a\"da"), ProtocolId::Native, r#"{"text":"hü"}"#, None)];
    assert_eq!(
        unpacked(frames(&RelayEncoding, "r", None, &run)),
        [(0, vec![r#"{"type":"text","from":"a\"da","content":"hü"}"#.to_owned()])]
    );
    let typing = Signal::Typing { from: person("u1", "ada") };
    assert!(signal_frames(&RelayEncoding, "r", &typing).is_empty());
}

proptest! {
    #[test]
    fn every_run_is_shown_once_and_in_order(levels in prop::collection::vec(any::<bool>(), 1..100)) {
        let level = |important| if important { MsgLevel::Important } else { MsgLevel::Normal };
        let run: Vec<_> =
            levels.iter().zip(1..).map(|(important, seq)| sent(seq, level(*important), &seq.to_string())).collect();
        let frames = unpacked(frames(&RelayEncoding, "r", None, &run));
        let shown: Vec<_> = frames.iter().flat_map(|(_, items)| items.clone()).collect();
        prop_assert_eq!(shown, (1..=levels.len()).map(|seq| seq.to_string()).collect::<Vec<_>>());
        prop_assert!(frames.iter().all(|(level, items)| (1..=20).contains(&items.len()) && (*level == 0 || items.len() == 1)));
    }
}
