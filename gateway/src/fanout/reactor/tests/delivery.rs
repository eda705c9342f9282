use std::time::Duration;

use super::rig::*;
use crate::{
    fanout::{
        encoding::{Chunk, ChunkWriter},
        messages::{ToHub, ToReactor},
        reactor::{ReactorSettings, SlowConsumer},
        session::Answer,
    },
    rooms::Origin,
};

#[test]
fn what_a_client_says_reaches_its_session_and_replies_come_back_in_order() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    for n in 0..200 {
        client.say(&format!("hello{n}"));
    }
    for n in 0..200 {
        assert_eq!(client.hear(), format!("hello{n}"));
    }
    client.socket.send(tungstenite::Message::binary(vec![1, 2])).unwrap();
    assert_eq!(client.hear(), "b\"\\x01\\x02\"");
    rig.reactors.shutdown();
}

#[test]
fn a_reader_gets_answer_backlog_and_chunks_in_that_order() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![entry(4, "four"), entry(5, "five")]);
    rig.publish(1, &entry(6, "six"));
    rig.publish(1, &entry(7, "seven"));
    for expected in ["four", "five", "six", "seven"] {
        assert_eq!(client.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn joining_again_neither_repeats_nor_loses_a_chunk() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    let id = client.id.unwrap();
    client.say("join lobby");
    rig.next();
    // All in one batch, so that the chunks before the answer are not written yet when it comes.
    rig.push(id.reactor, vec![chunk_of(1, entry(6, "six")), chunk_of(1, entry(7, "seven"))]);
    rig.answer_join(id, "lobby", 1, vec![entry(6, "again six")]);
    rig.publish(1, &entry(8, "eight"));
    for expected in ["six", "seven", "joined lobby 5", "again six", "eight"] {
        assert_eq!(client.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn who_has_left_gets_nothing_more() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    client.say("leave lobby");
    rig.next();
    rig.publish(1, &entry(6, "six"));
    client.say("still here");
    assert_eq!(client.hear(), "still here");
    rig.reactors.shutdown();
}

#[test]
fn an_author_does_not_see_what_is_hidden_from_it() {
    let mut rig = Rig::start(settings());
    let (mut ada, mut bob) = (rig.connect(policy()), rig.connect(policy()));
    rig.join(&mut ada, "lobby", 1, vec![]);
    rig.join(&mut bob, "lobby", 1, vec![]);
    ada.say("post lobby");
    let ToHub::Post { post, .. } = rig.next() else { panic!("a post") };
    let mut writer = ChunkWriter::default();
    writer.text(b"before");
    writer.own(post.origin, |writer| writer.text(b"ada's"));
    writer.own(Origin { gateway: 1, connection: 2 }, |writer| writer.text(b"a stranger's"));
    writer.text(b"after");
    rig.publish(1, &writer.seal(Some((6, 9))));
    let mut only = ChunkWriter::default();
    only.own(post.origin, |writer| writer.text(b"ada's again"));
    rig.publish(1, &only.seal(Some((10, 10))));
    rig.publish(1, &entry(11, "end"));
    for expected in ["before", "a stranger's", "after", "end"] {
        assert_eq!(ada.hear(), expected);
    }
    for expected in ["before", "ada's", "a stranger's", "after", "ada's again", "end"] {
        assert_eq!(bob.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn a_notice_is_for_the_sessions_of_the_rooms_readers() {
    let mut rig = Rig::start(settings());
    let (mut ada, mut bob) = (rig.connect(policy()), rig.connect(policy()));
    rig.join(&mut ada, "lobby", 1, vec![]);
    rig.join(&mut bob, "other", 2, vec![]);
    let mut writer = ChunkWriter::default();
    writer.notice();
    assert!(!writer.is_empty());
    rig.publish(1, &writer.seal(Some((6, 6))));
    rig.publish(1, &entry(7, "seven"));
    rig.publish(2, &entry(3, "three"));
    assert_eq!([ada.hear(), ada.hear()], ["notice lobby", "seven"]);
    assert_eq!(bob.hear(), "three");
    rig.reactors.shutdown();
}

/// A chunk of 64 KiB in frames of 1 KiB that say which they are.
fn bulk(seq: u64) -> Chunk {
    let mut writer = ChunkWriter::default();
    for part in 0..64 {
        writer.text(format!("{seq}.{part} {}", "x".repeat(1000)).as_bytes());
    }
    writer.seal(Some((seq, seq)))
}

fn hear_bulk(client: &mut super::rig::Client, seq: u64) {
    for part in 0..64 {
        let heard = client.hear();
        assert!(heard.starts_with(&format!("{seq}.{part} ")), "{seq}.{part}, not {}", &heard[..20.min(heard.len())]);
    }
}

#[test]
fn a_slow_reader_gets_everything_in_whole_frames_and_its_replies_in_between() {
    let mut rig = Rig::start(settings());
    let (mut slow, mut quick) = (rig.connect(policy()), rig.connect(policy()));
    rig.join(&mut slow, "lobby", 1, vec![]);
    rig.join(&mut quick, "lobby", 1, vec![]);
    // 7 MiB: more than the sockets hold, less than the ring.
    let quick = std::thread::spawn(move || {
        for seq in 6..118 {
            hear_bulk(&mut quick, seq);
        }
        quick
    });
    for seq in 6..118 {
        rig.publish(1, &bulk(seq));
    }
    let quick = quick.join().unwrap();
    slow.say("a reply");
    std::thread::sleep(Duration::from_millis(50));
    let (mut next, mut replied) = ((6, 0), false);
    while next < (118, 0) {
        let heard = slow.hear();
        if heard == "a reply" {
            replied = true;
            continue;
        }
        let (seq, part) = next;
        assert!(heard.starts_with(&format!("{seq}.{part} ")), "{next:?}");
        next = if part == 63 { (seq + 1, 0) } else { (seq, part + 1) };
    }
    assert!(replied || slow.hear() == "a reply");
    let totals = rig.reactors.totals();
    assert_eq!((totals.slow_disconnected, totals.deliveries), (0, 2 * 112));
    drop(quick);
    rig.reactors.shutdown();
}

fn narrow(slow_consumer: SlowConsumer) -> ReactorSettings {
    ReactorSettings { slow_consumer, ring_bytes: 1 << 20, ..settings() }
}

#[test]
fn a_reader_that_falls_out_of_the_ring_is_closed_with_1013() {
    is_cut(narrow(SlowConsumer::Disconnect));
}

#[test]
fn a_slow_reader_is_let_go_when_all_rings_together_hold_too_much() {
    is_cut(ReactorSettings { rings_bytes: 1 << 20, ..settings() });
}

fn is_cut(settings: ReactorSettings) {
    let mut rig = Rig::start(settings);
    let mut slow = rig.connect(policy());
    rig.join(&mut slow, "lobby", 1, vec![]);
    for seq in 6..300 {
        rig.publish(1, &bulk(seq));
    }
    eventually("the slow reader is cut", || rig.reactors.totals().slow_disconnected == 1);
    let crate::fanout::messages::ToHub::Leave { asked: false, .. } = rig.next() else { panic!("it left") };
    assert_eq!(slow.events.recv_timeout(PATIENCE).unwrap(), "closed");
    let last = (0..300 * 64).map(|_| slow.hear()).find(|heard| heard.starts_with('('));
    assert_eq!(last.as_deref(), Some("(1013 slow_consumer)"));
    rig.reactors.shutdown();
}

#[test]
fn a_reader_that_falls_out_of_the_ring_may_skip_to_the_latest_with_a_gap() {
    let mut rig = Rig::start(narrow(SlowConsumer::SkipToLatest));
    let mut slow = rig.connect(policy());
    rig.join(&mut slow, "lobby", 1, vec![]);
    for seq in 6..400 {
        rig.publish(1, &bulk(seq));
    }
    eventually("it skips", || rig.reactors.totals().slow_skipped > 0);
    let (mut expected, mut gaps) = (6, 0);
    while expected < 400 {
        let heard = slow.hear();
        if let Some(gap) = heard.strip_prefix("gap lobby ") {
            let (from, to) = gap.split_once(' ').unwrap();
            assert_eq!(from, expected.to_string(), "the gap begins where the messages end");
            expected = to.trim_start_matches("Some(").trim_end_matches(')').parse::<u64>().unwrap() + 1;
            gaps += 1;
        } else if heard.contains(".63 ") {
            assert!(heard.starts_with(&format!("{expected}.")), "{expected}, not {}", &heard[..10]);
            expected += 1;
        }
    }
    assert_eq!(gaps, rig.reactors.totals().slow_skipped);
    rig.reactors.shutdown();
}

#[test]
fn a_gap_is_reported_after_what_came_before_it() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    let gap = crate::fanout::messages::ToReactor::Gap {
        room: crate::fanout::messages::RoomId(1),
        epoch: crate::rooms::Epoch(3),
        from: 7,
        to: Some(9),
    };
    let reactor = client.id.unwrap().reactor;
    rig.push(reactor, vec![chunk_of(1, entry(6, "six")), gap, chunk_of(1, entry(10, "ten"))]);
    for expected in ["six", "gap lobby 7 Some(9)", "ten"] {
        assert_eq!(client.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn presence_reaches_those_who_asked_for_it() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    let presence = crate::fanout::session::Presence { members: 42, ..Default::default() };
    let message = ToReactor::Presence {
        room: crate::fanout::messages::RoomId(1),
        encoding: ENCODING,
        presence: std::sync::Arc::new(presence),
    };
    rig.push(client.id.unwrap().reactor, vec![message]);
    assert_eq!(client.hear(), "present 42");
    rig.reactors.shutdown();
}

#[test]
fn a_room_may_go_while_it_has_news() {
    let mut rig = Rig::start(settings());
    let (mut readers, mut witness) = ([rig.connect(policy()), rig.connect(policy())], rig.connect(policy()));
    for number in 1..20 {
        have_news(&mut rig, &mut readers, &mut witness, number);
        for reader in &mut readers {
            reader.say("leave lobby");
            rig.next();
            reader.say("gone");
            // One that leaves in time does not get it.
            let said = reader.hear();
            assert!(said == "gone" || said == "the last" && reader.hear() == "gone", "{said}");
        }
    }
    rig.reactors.shutdown();
}

/// Two readers of room `number`, for whom "the last" has come and may not be written yet.
fn have_news(rig: &mut Rig, readers: &mut [Client; 2], witness: &mut Client, number: u32) {
    readers.iter_mut().for_each(|reader| rig.join(reader, "lobby", number, vec![]));
    for seq in 6..10 {
        rig.publish(number, &entry(seq, &format!("entry {seq}")));
    }
    for reader in readers {
        (6..10).for_each(|seq| assert_eq!(reader.hear(), format!("entry {seq}")));
    }
    witness.say("members lobby");
    let ToHub::Ask { from, .. } = rig.next() else { panic!("an ask") };
    let answer = ToReactor::Answer { to: from, answer: Answer::Members(2) };
    rig.push(from.reactor, vec![chunk_of(number, entry(10, "the last")), answer]);
    assert_eq!(witness.hear(), "members 2");
}

#[test]
fn a_client_that_the_gateway_closes_first_gets_what_had_come_for_it() {
    let mut rig = Rig::start(settings());
    let (mut readers, mut witness) = ([rig.connect(policy()), rig.connect(policy())], rig.connect(policy()));
    have_news(&mut rig, &mut readers, &mut witness, 1);
    readers[0].say("close");
    assert_eq!([readers[0].hear(), readers[0].hear()], ["the last", "(1008 asked)"]);
    rig.reactors.shutdown();
    assert_eq!([readers[1].hear(), readers[1].hear()], ["the last", "(1012 going_away)"]);
}

#[test]
fn a_thousand_readers_get_ten_thousand_entries_once_and_in_order() {
    const READERS: usize = 1000;
    const ENTRIES: u64 = 10_000;
    let mut rig = Rig::start(ReactorSettings { threads: 2, ..settings() });
    let mut clients = Vec::new();
    for _ in 0..READERS {
        let mut client = rig.connect(policy());
        rig.join(&mut client, "lobby", 1, vec![]);
        clients.push(client);
    }
    let mut expected = Vec::new();
    for seq in 0..ENTRIES {
        let mut writer = ChunkWriter::default();
        writer.text(&seq.to_be_bytes()[..0]);
        writer.binary(&seq.to_be_bytes());
        expected.extend_from_slice(&writer.seal(None).bytes);
    }
    let publisher = std::thread::spawn(move || {
        for first in (0..ENTRIES).step_by(10) {
            let mut writer = ChunkWriter::default();
            for seq in first..first + 10 {
                writer.text(&[]);
                writer.binary(&seq.to_be_bytes());
            }
            rig.publish(1, &writer.seal(Some((first, first + 9))));
        }
        rig
    });
    // One thread reads them in turn: raw bytes, which must be those of all chunks.
    let mut heard = vec![0_usize; READERS];
    let mut buffer = vec![0; 16 << 10];
    for share in 1..=10 {
        for (client, heard) in clients.iter_mut().zip(&mut heard) {
            let upto = expected.len() * share / 10;
            while *heard < upto {
                let most = buffer.len().min(upto - *heard);
                let n = std::io::Read::read(client.socket.get_mut(), &mut buffer[..most]).unwrap();
                assert_ne!(n, 0, "closed");
                assert_eq!(buffer[..n], expected[*heard..*heard + n]);
                *heard += n;
            }
        }
    }
    let rig = publisher.join().unwrap();
    eventually("all is counted", || rig.reactors.totals().deliveries == READERS as u64 * ENTRIES);
    rig.reactors.shutdown();
}
