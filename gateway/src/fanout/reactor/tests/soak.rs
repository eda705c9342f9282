//! Readers that come, go and stall at random see every entry that is due once, in order, or receive a gap.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tungstenite::{Message, WebSocket, protocol::Role};

use super::rig::*;
use crate::{
    fanout::{
        encoding::{Chunk, ChunkWriter},
        messages::{RoomId, ToHub, ToReactor},
        reactor::{ReactorSettings, SlowConsumer},
        session::{Answer, Joined},
    },
    rooms::{Epoch, Origin, Position},
};

const CLIENTS: usize = 16;
const ROOMS: [&str; 3] = ["a", "b", "c"];

/// Which client an entry is hidden from.
type HiddenFrom = HashMap<(usize, u64), usize>;

struct Talker {
    writer: WebSocket<std::net::TcpStream>,
    reader: JoinHandle<()>,
    heard: Arc<Mutex<Vec<String>>>,
    origin: Origin,
    member: [bool; 3],
}

impl Talker {
    fn start(rig: &mut Rig, stall: Duration) -> Self {
        let mut client = rig.connect(policy());
        client.say("post attic");
        let ToHub::Post { post, .. } = rig.next() else { panic!("a post") };
        let writer = WebSocket::from_raw_socket(client.socket.get_ref().try_clone().unwrap(), Role::Client, None);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let reader = std::thread::spawn(move || {
            std::thread::sleep(stall);
            let mut last = String::new();
            while last != "end" {
                last = client.hear();
                assert!(!last.starts_with('('), "{last} after {} messages", hears.lock().unwrap().len());
                hears.lock().unwrap().push(last.clone());
            }
        });
        Self { writer, reader, heard, origin: post.origin, member: [false; 3] }
    }

    fn say(&mut self, text: &str) {
        self.writer.send(Message::text(text)).unwrap();
    }

    /// Whether this, client `who`, has all that is due to it, up to `heads`; panics over what cannot be mended.
    fn has_all(&self, who: usize, heads: &[u64; 3], hidden: &HiddenFrom) -> bool {
        let next = follow(who, &self.heard.lock().unwrap(), hidden);
        (0..ROOMS.len())
            .filter(|at| self.member[*at])
            .all(|at| next[at].is_some_and(|next| (next..=heads[at]).all(|seq| hidden.get(&(at, seq)) == Some(&who))))
    }
}

/// A chunk of up to four entries, each perhaps hidden from someone.
fn chunk(rng: &mut StdRng, at: usize, head: &mut u64, talkers: &[Talker], hidden: &mut HiddenFrom) -> Chunk {
    let (first, mut writer) = (*head + 1, ChunkWriter::default());
    for _ in 0..rng.random_range(1..=4) {
        *head += 1;
        let text = format!("{} {head} {}", ROOMS[at], "x".repeat(rng.random_range(0..6000)));
        if rng.random_bool(0.1) {
            let author = rng.random_range(0..CLIENTS);
            hidden.insert((at, *head), author);
            writer.own(talkers[author].origin, |writer| writer.text(text.as_bytes()));
        } else {
            writer.text(text.as_bytes());
        }
    }
    writer.seal(Some((first, *head)))
}

/// Answers what has been asked; returns how many joins that were.
fn answer_joins(rig: &mut Rig, heads: &[u64; 3]) -> usize {
    let mut answered = 0;
    while !rig.is_silent(Duration::ZERO) {
        let ToHub::Join { from, join, .. } = rig.next() else { continue };
        let at = ROOMS.iter().position(|room| *room == join.room.as_str()).unwrap();
        let answer = Answer::Joined(Joined {
            room: join.room,
            head: Position { epoch: Epoch(1), seq: heads[at] },
            members: 1,
            recovered: false,
            gap: None,
            announced: true,
        });
        let joined =
            ToReactor::Joined { to: from, room: RoomId(at as u32), encoding: ENCODING, answer, backlog: vec![] };
        rig.push(from.reactor, vec![joined]);
        answered += 1;
    }
    answered
}

/// Walks over what client `who` heard; returns the next entry that it expects of each room.
fn follow(who: usize, heard: &[String], hidden: &HiddenFrom) -> [Option<u64>; 3] {
    let mut next: [Option<u64>; 3] = [None; 3];
    for line in heard {
        let words: Vec<&str> = line.split(' ').collect();
        let room = |word: &str| ROOMS.iter().position(|room| *room == word).unwrap();
        let unseen = |at: usize, from: u64, to: u64| (from..to).all(|seq| hidden.get(&(at, seq)) == Some(&who));
        match words[..] {
            ["joined", name, head] => next[room(name)] = Some(head.parse::<u64>().unwrap() + 1),
            ["gap", name, from, to] => {
                let (at, from) = (room(name), from.parse::<u64>().unwrap());
                let expected = next[at].expect("a gap for a member");
                assert!(expected >= from || unseen(at, expected, from), "client {who} lost {expected}..{from}");
                let to = to.trim_start_matches("Some(").trim_end_matches(')');
                next[at] = Some(to.parse::<u64>().unwrap() + 1);
            }
            [name, seq, _] => {
                let (at, seq) = (room(name), seq.parse::<u64>().unwrap());
                let expected = next[at].expect("an entry for a member");
                assert!(seq >= expected, "client {who} got {seq} of {name} again, expected {expected}");
                assert!(unseen(at, expected, seq), "client {who} got {seq} of {name}, expected {expected}");
                assert_ne!(hidden.get(&(at, seq)), Some(&who), "client {who} must not see {seq} of {name}");
                next[at] = Some(seq + 1);
            }
            _ => assert_eq!(line, "end"),
        }
    }
    next
}

fn soak(seed: u64) {
    let settings =
        ReactorSettings { threads: 2, slow_consumer: SlowConsumer::SkipToLatest, ring_bytes: 256 << 10, ..settings() };
    let (mut rig, mut rng) = (Rig::start(settings), StdRng::seed_from_u64(seed));
    let stall = |n: usize| Duration::from_millis(if n < 4 { 700 } else { 0 });
    let mut talkers: Vec<Talker> = (0..CLIENTS).map(|n| Talker::start(&mut rig, stall(n))).collect();
    let (mut heads, mut hidden) = ([0_u64; 3], HiddenFrom::new());
    let mut joins = 0;
    for _ in 0..4000 {
        let at = rng.random_range(0..ROOMS.len());
        let chunk = chunk(&mut rng, at, &mut heads[at], &talkers, &mut hidden);
        rig.publish(at as u32, &chunk);
        if rng.random_bool(0.05) {
            let (who, at) = (rng.random_range(0..CLIENTS), rng.random_range(0..ROOMS.len()));
            let word = if std::mem::replace(&mut talkers[who].member[at], true) && rng.random_bool(0.5) {
                talkers[who].member[at] = false;
                "leave"
            } else {
                joins += 1;
                "join"
            };
            talkers[who].say(&format!("{word} {}", ROOMS[at]));
        }
        joins -= answer_joins(&mut rig, &heads);
    }
    eventually("all joins are answered", || {
        joins -= answer_joins(&mut rig, &heads);
        joins == 0
    });
    eventually("everybody has what is due", || {
        talkers.iter().enumerate().all(|(who, talker)| talker.has_all(who, &heads, &hidden))
    });
    // A reply overtakes chunks that wait: the last word is said when nothing does.
    for (who, mut talker) in talkers.into_iter().enumerate() {
        talker.say("end");
        talker.reader.join().unwrap();
        follow(who, &talker.heard.lock().unwrap(), &hidden);
    }
    assert!(rig.reactors.totals().slow_skipped > 0, "someone was too slow");
    assert_eq!(rig.reactors.totals().slow_disconnected, 0);
    rig.reactors.shutdown();
}

#[test]
fn readers_that_come_go_and_stall_miss_nothing_in_the_end() {
    for seed in 0..2 {
        soak(seed);
    }
}
