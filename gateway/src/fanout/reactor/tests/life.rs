use std::{
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::rig::*;
use crate::{
    fanout::{
        messages::{ToHub, ToReactor, Unheard},
        reactor::ReactorSettings,
        session::{Answer, Ask, OverRate, Policy, Posted},
    },
    rooms::Epoch,
};

#[test]
fn bytes_that_came_with_the_upgrade_are_read_first() {
    let mut rig = Rig::start(settings());
    // "hi", masked with zeros.
    let mut client = rig.connect_with(policy(), Bytes::from_static(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']));
    client.say("there");
    assert_eq!((client.hear(), client.hear()), ("hi".to_owned(), "there".to_owned()));
    rig.reactors.shutdown();
}

#[test]
fn nothing_is_read_while_an_answer_is_pending() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    client.say("members lobby");
    client.say("after");
    client.say("members lobby");
    let ToHub::Ask { from, .. } = rig.next() else { panic!("an ask") };
    assert!(client.hears_nothing(Duration::from_millis(50)));
    assert!(rig.is_silent(Duration::from_millis(50)));
    rig.push(from.reactor, vec![ToReactor::Answer { to: from, answer: Answer::Members(3) }]);
    assert_eq!((client.hear(), client.hear()), ("members 3".to_owned(), "after".to_owned()));
    assert!(matches!(rig.next(), ToHub::Ask { .. }));
    rig.reactors.shutdown();
}

#[test]
fn a_session_that_asks_again_when_it_is_answered_is_read_only_after_its_second_answer() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    client.say("twice lobby");
    client.say("members attic");
    for _ in 0..2 {
        let ToHub::Ask { from, ask: Ask::Members { room } } = rig.next() else { panic!("an ask") };
        assert_eq!(room.as_str(), "lobby");
        assert!(rig.is_silent(Duration::from_millis(50)), "one question at a time");
        rig.push(from.reactor, vec![ToReactor::Answer { to: from, answer: Answer::Members(3) }]);
    }
    let ToHub::Ask { ask: Ask::Members { room }, .. } = rig.next() else { panic!("an ask") };
    assert_eq!(room.as_str(), "attic");
    assert_eq!(client.hear(), "members 3");
    rig.reactors.shutdown();
}

#[test]
fn an_acknowledgement_whose_connection_has_ended_counts_as_unheard() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    let unheard = Arc::new(AtomicUsize::new(0));
    let posted = |to| {
        let unheard = Arc::clone(&unheard);
        let count = move || {
            unheard.fetch_add(1, SeqCst);
        };
        let unheard = Some(Unheard::new(count));
        let result = Ok(Posted { seq: 7, epoch: Epoch(1), time: 0, duplicate: false });
        ToReactor::Posted { to, tag: 1, result, unheard }
    };
    client.say("members lobby");
    let ToHub::Ask { from, .. } = rig.next() else { panic!("an ask") };
    rig.push(from.reactor, vec![ToReactor::Answer { to: from, answer: Answer::Members(1) }, posted(from)]);
    assert_eq!((client.hear(), client.hear()), ("members 1".to_owned(), "posted 7".to_owned()));
    assert_eq!(unheard.load(SeqCst), 0);
    client.socket.get_ref().shutdown(Shutdown::Both).unwrap();
    eventually("the connection is gone", || rig.reactors.connections() == 0);
    rig.push(from.reactor, vec![posted(from)]);
    eventually("nobody has heard", || unheard.load(SeqCst) == 1);
    rig.reactors.shutdown();
}

#[test]
fn a_reused_slot_gets_no_answer_of_the_one_before() {
    let mut rig = Rig::start(settings());
    let mut first = rig.connect(policy());
    first.say("members lobby");
    let ToHub::Ask { from: gone, .. } = rig.next() else { panic!("an ask") };
    first.socket.get_ref().shutdown(Shutdown::Both).unwrap();
    drop(first);
    rig.push(gone.reactor, vec![ToReactor::Answer { to: gone, answer: Answer::Members(1) }]);
    eventually("the first is gone", || rig.reactors.connections() == 0);
    let mut second = rig.connect(policy());
    second.say("members lobby");
    let ToHub::Ask { from, .. } = rig.next() else { panic!("an ask") };
    assert_eq!((from.slot, from.generation), (gone.slot, gone.generation + 1));
    for (to, members) in [(gone, 666), (from, 2)] {
        rig.push(to.reactor, vec![ToReactor::Answer { to, answer: Answer::Members(members) }]);
    }
    assert_eq!(second.hear(), "members 2");
    rig.reactors.shutdown();
}

#[test]
fn a_connection_that_ends_leaves_its_rooms_and_the_one_it_was_joining() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    client.say("join attic");
    let ToHub::Join { from, .. } = rig.next() else { panic!("a join") };
    client.say("close is not read any more");
    drop(client.socket);
    // Reading is paused: the end is seen once the answer is there, or when writing fails.
    rig.push(from.reactor, vec![ToReactor::Answer { to: from, answer: Answer::RoomLimit }]);
    let ToHub::Leave { room, asked: false, .. } = rig.next() else { panic!("it left") };
    assert_eq!(room.as_str(), "lobby");
    assert_eq!(client.events.recv_timeout(PATIENCE).unwrap(), "closed");
    eventually("it is gone", || rig.reactors.connections() == 0);
    rig.reactors.shutdown();
}

#[test]
fn close_frames_are_answered_and_sessions_can_close() {
    let mut rig = Rig::start(settings());
    let (mut leaving, mut refused, mut cut) = (rig.connect(policy()), rig.connect(policy()), rig.connect(policy()));
    let frame = tungstenite::protocol::CloseFrame { code: 4001.into(), reason: "bye".into() };
    leaving.socket.close(Some(frame)).unwrap();
    assert_eq!(leaving.hear(), "(4001 )");
    refused.say("one");
    refused.say("close");
    assert_eq!((refused.hear(), refused.hear()), ("one".to_owned(), "(1008 asked)".to_owned()));
    cut.say("terminate");
    assert!(cut.hear().contains("reset without closing"));
    drop((leaving, refused, cut));
    eventually("all are gone", || rig.reactors.connections() == 0);
    rig.reactors.shutdown();
}

#[test]
fn timers_run_out_once_unless_stopped_and_pings_are_answered() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    let start = Instant::now();
    client.say("timer 100");
    assert_eq!(client.hear(), "timer");
    assert!((100..1000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    client.say("timer 50");
    client.say("cancel");
    assert!(client.hears_nothing(Duration::from_millis(150)));
    client.socket.send(tungstenite::Message::Ping(Bytes::from_static(b"x"))).unwrap();
    assert_eq!(client.hear(), "(pong b\"x\")");
    client.say("ping");
    assert_eq!(client.hear(), "(ping)");
    client.socket.flush().unwrap();
    assert_eq!(client.hear(), "pong");
    rig.reactors.shutdown();
}

#[test]
fn timers_stand_still_while_an_answer_is_pending() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    client.say("timer 100");
    client.say("members lobby");
    let ToHub::Ask { from, .. } = rig.next() else { panic!("an ask") };
    assert!(client.hears_nothing(Duration::from_millis(300)));
    rig.push(from.reactor, vec![ToReactor::Answer { to: from, answer: Answer::Members(3) }]);
    assert_eq!((client.hear(), client.hear()), ("members 3".to_owned(), "timer".to_owned()));
    rig.reactors.shutdown();
}

#[test]
fn draining_keeps_its_rate_and_stops_when_asked() {
    let mut rig = Rig::start(ReactorSettings { threads: 2, ..settings() });
    let mut clients: Vec<_> = (0..60).map(|_| rig.connect(policy())).collect();
    let start = Instant::now();
    rig.reactors.drain(100);
    std::thread::sleep(Duration::from_millis(300));
    rig.reactors.undrain();
    let most = start.elapsed().as_millis() as usize / 10 + 1;
    std::thread::sleep(Duration::from_millis(100));
    let moved = clients.iter_mut().filter_map(|client| (!client.hears_nothing(Duration::from_millis(1))).then_some(()));
    let moved = moved.count();
    assert!((20..=most).contains(&moved), "{moved} of at most {most}");
    assert_eq!(rig.reactors.connections(), 60, "they have five seconds");
    rig.reactors.shutdown();
}

#[test]
fn clients_that_cannot_resume_are_asked_to_move_last_and_no_more_than_wanted() {
    let mut rig = Rig::start(ReactorSettings { threads: 1, ..settings() });
    let mut stay: Vec<_> = (0..5).map(|_| rig.connect(Policy { resumes: false, ..policy() })).collect();
    let mut resume: Vec<_> = (0..5).map(|_| rig.connect(policy())).collect();
    rig.reactors.give_away(7, 10_000);
    assert!(resume.iter_mut().all(|client| client.hear() == "moved"));
    let moved = stay.iter_mut().filter_map(|client| (!client.hears_nothing(Duration::from_millis(100))).then_some(()));
    assert_eq!(moved.count(), 2, "seven in all");
    rig.reactors.shutdown();
}

#[test]
fn shutdown_tells_every_client_and_every_room() {
    let mut rig = Rig::start(ReactorSettings { threads: 2, ..settings() });
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    rig.reactors.shutdown();
    assert_eq!(client.hear(), "(1012 going_away)");
    assert!(matches!(rig.next(), ToHub::Leave { asked: false, .. }));
    assert_eq!(rig.reactors.connections(), 0);
}

#[test]
fn leaves_are_not_lost_while_the_hub_is_full() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(Policy { over_rate: OverRate::Answer, ..policy() });
    rig.join(&mut client, "lobby", 1, vec![]);
    rig.full.store(true, SeqCst);
    drop(client);
    eventually("it is gone", || rig.reactors.connections() == 0);
    eventually("its leave waits", || rig.reactors.totals().held_back == 1);
    rig.full.store(false, SeqCst);
    assert!(matches!(rig.next(), ToHub::Leave { asked: false, .. }));
    eventually("nothing waits", || rig.reactors.totals().held_back == 0);
    rig.reactors.shutdown();
}

/// A member of a room in which two entries came, which it was written.
fn reader(rig: &mut Rig, first: u64) -> Client {
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![]);
    for seq in first..first + 2 {
        rig.publish(1, &entry(seq, "x"));
        assert_eq!(client.hear(), "x");
    }
    client
}

/// The input that its session received at the end. The hub learns that the connection has left.
fn ended(rig: &mut Rig, client: &Client) -> String {
    let told = client.events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(rig.next(), ToHub::Leave { .. }));
    told
}

#[test]
fn a_session_learns_up_to_where_a_client_that_says_goodbye_or_moves_has_got_its_rooms() {
    let mut rig = Rig::start(settings());
    let mut client = reader(&mut rig, 6);
    client.socket.close(None).unwrap();
    assert_eq!(ended(&mut rig, &client), "closed lobby 2:7");
    let mut client = rig.connect(policy());
    rig.join(&mut client, "lobby", 1, vec![entry(4, "four")]);
    assert_eq!(client.hear(), "four");
    client.socket.close(None).unwrap();
    assert_eq!(ended(&mut rig, &client), "closed lobby 1:5", "what its join told it");
    let client = reader(&mut rig, 8);
    rig.reactors.drain(1000);
    assert_eq!(ended(&mut rig, &client), "closed lobby 2:9");
    rig.reactors.shutdown();
}

#[test]
fn nothing_is_known_of_what_a_client_has_got_that_vanishes_or_is_shown_the_door() {
    let mut rig = Rig::start(settings());
    let client = reader(&mut rig, 6);
    client.socket.get_ref().shutdown(Shutdown::Both).unwrap();
    assert_eq!(ended(&mut rig, &client), "closed");
    let mut client = reader(&mut rig, 8);
    client.say("close");
    assert_eq!(ended(&mut rig, &client), "closed");
    rig.reactors.shutdown();
}
