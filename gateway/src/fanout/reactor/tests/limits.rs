use std::{
    io::Write,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use super::rig::*;
use crate::{
    fanout::{
        messages::ToHub,
        reactor::ReactorSettings,
        session::{OverRate, Policy},
    },
    rooms::ProtocolId,
};

#[test]
fn a_message_over_the_limit_closes_with_1009_and_is_counted() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    client.say(&"x".repeat(4096));
    assert_eq!(client.hear().len(), 4096);
    client.say(&"x".repeat(4097));
    assert_eq!(client.hear(), "(1009 too_large)");
    assert_eq!(rig.reactors.totals().refusals[&(ProtocolId::Native, "too_large")], 1);
    rig.reactors.shutdown();
}

#[test]
fn violations_close_with_their_code() {
    let mut rig = Rig::start(settings());
    for (bytes, expected) in
        [(&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], "(1007 bad_utf8)"), (&[0x81, 0x01, b'a'][..], "(1002 protocol_error)")]
    {
        let mut client = rig.connect(policy());
        client.socket.get_mut().write_all(bytes).unwrap();
        assert_eq!(client.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn above_the_rate_a_session_that_answers_is_told() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(Policy { messages_per_second: 5, over_rate: OverRate::Answer, ..policy() });
    for n in 0..12 {
        client.say(&format!("n{n}"));
    }
    for n in 0..10 {
        assert_eq!(client.hear(), format!("n{n}"));
    }
    assert_eq!((client.hear(), client.hear()), ("limited n10 true".to_owned(), "limited n11 true".to_owned()));
    rig.reactors.shutdown();
}

#[test]
fn above_the_rate_the_other_sessions_are_read_later_and_miss_nothing() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(Policy { messages_per_second: 20, ..policy() });
    let start = Instant::now();
    for n in 0..50 {
        client.say(&format!("n{n}"));
    }
    for n in 0..50 {
        assert_eq!(client.hear(), format!("n{n}"));
    }
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(450)..Duration::from_secs(3)).contains(&took),
        "ten above the burst of 40: {took:?}"
    );
    rig.reactors.shutdown();
}

#[test]
fn a_full_hub_is_told_to_sessions_that_answer_and_stops_the_reading_of_the_others() {
    let mut rig = Rig::start(settings());
    let mut told = rig.connect(Policy { over_rate: OverRate::Answer, ..policy() });
    let mut stopped = rig.connect(policy());
    rig.full.store(true, SeqCst);
    told.say("post attic");
    assert_eq!(told.hear(), "too many messages are waiting for the bus");
    stopped.say("post attic");
    stopped.say("post attic");
    stopped.say("after");
    assert!(stopped.hears_nothing(Duration::from_millis(100)));
    rig.full.store(false, SeqCst);
    assert_eq!(stopped.hear(), "after");
    let (ToHub::Post { post: first, .. }, ToHub::Post { post: second, .. }) = (rig.next(), rig.next()) else {
        panic!("two posts")
    };
    assert_ne!(first.key, second.key, "each has a key of its own");
    assert_eq!(first.origin, second.origin);
    rig.reactors.shutdown();
}

#[test]
fn rooms_of_a_connection_are_limited() {
    let mut rig = Rig::start(ReactorSettings { rooms_per_connection: 2, ..settings() });
    let mut client = rig.connect(policy());
    rig.join(&mut client, "a", 1, vec![]);
    rig.join(&mut client, "b", 2, vec![]);
    client.say("join c");
    assert_eq!(client.hear(), "RoomLimit");
    rig.join(&mut client, "b", 2, vec![]);
    client.say("leave a");
    assert!(matches!(rig.next(), ToHub::Leave { asked: true, .. }));
    rig.join(&mut client, "c", 3, vec![]);
    rig.reactors.shutdown();
}

#[test]
fn a_client_that_takes_no_replies_is_not_read() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(Policy { messages_per_second: 1_000_000, ..policy() });
    client.socket.get_ref().set_nonblocking(true).unwrap();
    let mut asked = 0;
    let deadline = Instant::now() + PATIENCE;
    let mut stuck = Instant::now();
    // 100 kB of replies for a few bytes each, until the socket takes no more requests.
    while stuck.elapsed() < Duration::from_millis(300) && Instant::now() < deadline {
        match client.socket.send(tungstenite::Message::text("big 100000")) {
            Ok(()) => (asked, stuck) = (asked + 1, Instant::now()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        if rig.reactors.totals().messages_in + 1000 < asked {
            break;
        }
    }
    assert!(rig.reactors.totals().messages_in < asked, "it is not read any more");
    assert_eq!(rig.reactors.connections(), 1);
    rig.reactors.shutdown();
}

#[test]
fn every_ping_is_answered_before_the_messages_that_come_after_it() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    // Masked with zeros, all in one segment.
    let frame = |first: u8, text: &str| [&[first, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
    let said = [
        frame(0x81, "a"),
        frame(0x89, "1"),
        frame(0x89, "2"),
        frame(0x81, "b"),
        frame(0x01, "one "),
        frame(0x89, "3"),
        frame(0x80, "message"),
    ];
    client.socket.get_mut().write_all(&said.concat()).unwrap();
    for expected in ["a", "(pong b\"1\")", "(pong b\"2\")", "b", "(pong b\"3\")", "one message"] {
        assert_eq!(client.hear(), expected);
    }
    rig.reactors.shutdown();
}

#[test]
fn a_client_that_sends_pings_and_takes_no_pongs_is_not_read() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(policy());
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'p'; 125]].concat().repeat(100);
    let socket = client.socket.get_mut();
    socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut sent = 0;
    while sent < 100 << 20 {
        match socket.write(&ping) {
            Ok(n) => sent += n as u64,
            Err(_) => break,
        }
    }
    assert!(sent < 100 << 20, "it is not read on");
    assert!(rig.reactors.totals().bytes_in < sent);
    rig.reactors.shutdown();
}

#[test]
fn a_client_that_floods_is_closed_with_1008() {
    let mut rig = Rig::start(settings());
    let mut client = rig.connect(Policy { messages_per_second: 5, over_rate: OverRate::Answer, ..policy() });
    for n in 0..3000 {
        if client.socket.send(tungstenite::Message::text(format!("n{n}"))).is_err() {
            break;
        }
    }
    let (mut limited, mut last) = (0, String::new());
    while !last.starts_with('(') {
        last = client.hear();
        limited += usize::from(last.starts_with("limited"));
    }
    assert_eq!(last, "(1008 flood)");
    assert!((900..=1000 + 10 * 20).contains(&limited), "{limited} were refused before");
    assert_eq!(rig.reactors.totals().refusals[&(ProtocolId::Native, "flood")], 1);
    rig.reactors.shutdown();
}

#[test]
fn replies_that_clients_leave_unread_are_bounded_over_all_of_them() {
    let mut rig = Rig::start(ReactorSettings { replies_bytes: 4 << 20, ..settings() });
    let mut honest = rig.connect(policy());
    let mut deaf: Vec<_> = (0..12).map(|_| rig.connect(policy())).collect();
    for client in &mut deaf {
        // More than the sockets take.
        client.say("big 3000000");
    }
    eventually("most of them are cut", || rig.reactors.connections() <= 3);
    assert!(rig.reactors.totals().slow_disconnected >= 10);
    honest.say("big 1000000");
    assert_eq!(honest.hear().len(), 1_000_000);
    rig.reactors.shutdown();
}
