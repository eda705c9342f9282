//! Random schedules over two gateways and a faulty bus: posts, lost answers, holes, outages, failovers, people who leave
//! and come back elsewhere. Every reader sees the branch in order, each entry once, or learns what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    fake::{Fake, Fate},
    world::{Gateway, at, room, text},
};
use crate::{
    fanout::{
        messages::{ConnectionId, ToReactor},
        session::{Answer, Joined},
    },
    rooms::Position,
};

const ROOM: &str = "lobby";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Away,
    Joining,
    Reading,
}

#[derive(Debug)]
struct Client {
    state: State,
    gateway: usize,
    id: ConnectionId,
    first: Option<u64>,
    position: Option<Position>,
    shown: BTreeMap<u64, String>,
    missing: Vec<(u64, u64)>,
}

impl Client {
    fn show(&mut self, text: &str) {
        for entry in text.split_whitespace().filter(|word| *word != "epoch!") {
            let (seq, key) = entry.split_once(':').unwrap();
            let (seq, position) = (seq.parse().unwrap(), self.position.as_mut().unwrap());
            assert_eq!(seq, position.seq + 1, "in order, without a hole, once");
            position.seq = seq;
            self.shown.insert(seq, key.into());
        }
    }

    fn gap(&mut self, from: u64, to: Option<u64>) {
        self.shown.split_off(&from);
        self.missing.extend(to.map(|to| (from, to)));
        self.position.as_mut().unwrap().seq = to.unwrap_or(from - 1);
    }

    fn joined(&mut self, joined: &Joined, backlog: &str) {
        self.state = State::Reading;
        let head = joined.head;
        self.first.get_or_insert(head.seq);
        let position = self.position.get_or_insert(head);
        position.epoch = head.epoch;
        match joined.gap {
            None => {}
            Some(gap) if gap.to.is_some() => self.gap(gap.from, gap.to),
            // A new beginning: the client pages the history instead.
            Some(_) => {
                (self.first, self.position) = (Some(head.seq), Some(head));
                self.shown.clear();
            }
        }
        self.show(backlog);
        assert_eq!(self.position.unwrap().seq, head.seq);
    }

    fn verify(&self, branch: &BTreeMap<u64, String>) {
        let first = self.first.unwrap();
        for (seq, key) in branch.range(first + 1..) {
            let missing = self.missing.iter().any(|(from, to)| (from..=to).contains(&seq));
            assert!(missing || self.shown.get(seq) == Some(key), "seq {seq}: {:?}, not {key}", self.shown.get(seq));
        }
        assert_eq!(Some(&self.position.unwrap().seq), branch.keys().last());
    }
}

struct Schedule {
    random: SmallRng,
    bus: Arc<Fake>,
    gateways: [Gateway; 2],
    clients: Vec<Client>,
    posts: u32,
    acknowledged: Vec<String>,
    lossless: bool,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let bus = Fake::new();
        let gateways = [Gateway::start(bus.clone()), Gateway::start(bus.another())];
        let client = |slot| Client {
            state: State::Away,
            gateway: 0,
            id: at(0, slot),
            first: None,
            position: None,
            shown: BTreeMap::new(),
            missing: Vec::new(),
        };
        let random = SmallRng::seed_from_u64(seed);
        let clients = (0..6).map(client).collect();
        Self { random, bus, gateways, clients, posts: 0, acknowledged: Vec::new(), lossless: seed.is_multiple_of(2) }
    }

    async fn run(&mut self) {
        for _ in 0..80 {
            self.step();
            let pause = self.random.random_range(0..60);
            self.hear(Duration::from_millis(pause)).await;
        }
        self.bus.set_unavailable(false);
        self.bus.forget_fates();
        self.bus.skip(0);
        self.hear(Duration::from_secs(12)).await;
        // A hole shows when the next entry comes.
        self.post();
        self.hear(Duration::from_secs(3)).await;
        while let Some(n) = self.clients.iter().position(|client| client.state != State::Reading) {
            if self.clients[n].state == State::Away {
                self.join(n);
            }
            self.hear(Duration::from_secs(3)).await;
        }
        self.verify();
    }

    fn verify(&self) {
        let branch = self.bus.keys(&room(ROOM));
        self.clients.iter().for_each(|client| client.verify(&branch));
        let keys: BTreeSet<_> = branch.values().collect();
        assert_eq!(keys.len(), branch.len(), "nothing is written twice");
        if self.lossless {
            assert!(self.acknowledged.iter().all(|key| keys.contains(key)), "what was acknowledged stays");
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..24) {
            0..10 => self.post(),
            10 => self.bus.next_groups(&[Fate::Refused]),
            11 => self.bus.next_groups(&[Fate::Unanswered]),
            12 => self.bus.skip(1),
            13 => self.bus.set_unavailable(true),
            14..16 => self.bus.set_unavailable(false),
            16 => {
                let lost = if self.lossless { 0 } else { self.random.random_range(0..3) };
                self.bus.fail_over(&room(ROOM), lost);
            }
            17 if !self.lossless => {
                let head = self.bus.keys(&room(ROOM)).keys().last().copied();
                self.bus.trim(head.unwrap_or(1));
            }
            18 if !self.lossless => self.bus.lose(),
            _ => {
                let n = self.random.random_range(0..self.clients.len());
                if self.clients[n].state == State::Away { self.join(n) } else { self.leave(n) }
            }
        }
    }

    fn post(&mut self) {
        self.posts += 1;
        let gateway = &self.gateways[self.random.random_range(0..2)];
        gateway.send(crate::fanout::messages::ToHub::Post {
            from: at(1, self.posts),
            tag: self.posts.into(),
            post: super::world::post(ROOM, &format!("k{}", self.posts)),
            if_gone: None,
        });
    }

    fn join(&mut self, n: usize) {
        let client = &mut self.clients[n];
        client.gateway = self.random.random_range(0..2);
        client.id.generation += 1;
        client.state = State::Joining;
        let join = self.gateways[client.gateway].join(client.id, ROOM);
        match client.position {
            Some(position) => join.after(position).send(),
            None => join.send(),
        }
    }

    fn leave(&mut self, n: usize) {
        let client = &mut self.clients[n];
        client.state = State::Away;
        self.gateways[client.gateway].leave(client.id, ROOM, false);
    }

    /// Time passes; what comes goes to the clients that read it.
    async fn hear(&mut self, time: Duration) {
        let [one, two] = &mut self.gateways;
        let (one, two) = tokio::join!(one.all_during(time), two.all_during(time));
        for (gateway, message) in one.into_iter().map(|m| (0, m)).chain(two.into_iter().map(|m| (1, m))) {
            match message {
                ToReactor::Joined { to, answer: Answer::Joined(joined), backlog, .. } => {
                    let backlog = backlog.iter().map(text).collect::<Vec<_>>().join(" ");
                    self.waiting(gateway, to).for_each(|client| client.joined(&joined, &backlog));
                }
                ToReactor::Answer { to, answer: Answer::Unavailable { .. } } => {
                    self.waiting(gateway, to).for_each(|client| client.state = State::Away);
                }
                ToReactor::Chunk { chunk, epoch, .. } => {
                    let text = text(&chunk);
                    for client in self.reading(gateway) {
                        client.show(&text);
                        if text.starts_with("epoch!") {
                            client.position.as_mut().unwrap().epoch = epoch;
                        }
                    }
                }
                ToReactor::Gap { epoch, from, to, .. } => {
                    for client in self.reading(gateway) {
                        client.gap(from, to);
                        client.position.as_mut().unwrap().epoch = epoch;
                    }
                }
                ToReactor::Posted { tag, result: Ok(_), .. } => self.acknowledged.push(format!("k{tag}")),
                _ => {}
            }
        }
    }

    fn waiting(&mut self, gateway: usize, to: ConnectionId) -> impl Iterator<Item = &mut Client> {
        let waits =
            move |client: &&mut Client| client.state == State::Joining && (client.gateway, client.id) == (gateway, to);
        self.clients.iter_mut().filter(waits)
    }

    fn reading(&mut self, gateway: usize) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut().filter(move |client| client.state == State::Reading && client.gateway == gateway)
    }
}

#[test]
fn readers_see_every_entry_once_in_order_or_receive_a_gap() {
    for seed in 0..60 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async { Schedule::new(seed).run().await });
        }));
        assert!(ran.is_ok(), "seed {seed}");
    }
}
