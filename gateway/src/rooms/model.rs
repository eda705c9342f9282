//! Random schedules of one room against a simple model: posts, failovers, trims, holes, repeated deliveries, resumes.

use std::{collections::BTreeMap, sync::Arc};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::value::RawValue;

use super::{
    Author, Content, Entry, Epoch, Origin, Position, ProtocolId,
    follow::{Follow, News, Reading},
    log::{Log, Span, Window},
    resume::Resume,
};

const WINDOW: Window = Window { entries: 8, bytes: 1 << 20 };

pub(crate) fn entry(seq: u64, epoch: u64) -> Arc<Entry> {
    let body = RawValue::from_string(format!("{{\"text\":\"{seq}\"}}")).unwrap();
    Arc::new(Entry {
        seq,
        epoch: Epoch(epoch),
        time: seq,
        from: Author { id: "u1".into(), name: "ada".into(), extra: None },
        protocol: ProtocolId::Native,
        key: "k".into(),
        content: Content { body, verbatim: None },
        origin: Origin::default(),
    })
}

/// What the tail brings, as the bus promises it.
#[derive(Clone)]
enum Record {
    Entry(Arc<Entry>),
    /// `lost`: the reader was shown entries that the new branch does not hold.
    Boundary {
        lost: bool,
    },
}

/// The room as the bus has it: the branch that counts, and the stream as one reader gets it.
struct Room {
    epoch: u64,
    branch: Vec<Arc<Entry>>,
    /// Seqs below are trimmed from the history.
    kept: u64,
    stream: Vec<Record>,
    read: usize,
}

impl Room {
    fn post(&mut self) {
        let entry = entry(self.branch.len() as u64 + 1, self.epoch);
        self.branch.push(Arc::clone(&entry));
        self.stream.push(Record::Entry(entry));
    }

    /// The newest `count` entries are lost; the reader saw what it had read of them.
    fn fail_over(&mut self, count: usize) {
        let left = self.branch.len().saturating_sub(count);
        let gone = self.branch.split_off(left);
        let unread = self.stream.split_off(self.read);
        let survives = |record: &Record| match record {
            Record::Entry(entry) => !gone.iter().any(|lost| Arc::ptr_eq(entry, lost)),
            Record::Boundary { .. } => true,
        };
        let before = unread.len();
        self.stream.extend(unread.into_iter().filter(survives));
        let lost = before - (self.stream.len() - self.read) < gone.len();
        self.epoch += 1;
        self.kept = self.kept.min(left as u64 + 1);
        self.stream.push(Record::Boundary { lost });
    }

    fn reading(&self, limit: u64) -> Reading {
        let seq = self.branch.len() as u64;
        let start = (seq + 1).saturating_sub(limit).max(self.kept);
        let entries = (start..=seq).map(|seq| Arc::clone(&self.branch[seq as usize - 1])).collect();
        Reading { head: Position { epoch: Epoch(self.epoch), seq }, entries, complete: start == self.kept }
    }
}

/// A reader that believes what it is told.
#[derive(Clone)]
struct Client {
    joined: u64,
    position: Position,
    shown: BTreeMap<u64, Epoch>,
    missing: Vec<Span>,
}

impl Client {
    fn at(position: Position) -> Self {
        Self { joined: position.seq, position, shown: BTreeMap::new(), missing: Vec::new() }
    }

    fn hear(&mut self, news: &News) {
        match news {
            News::Entry(entry) => {
                assert_eq!(entry.seq, self.position.seq + 1, "after {:?}", self.position);
                self.shown.insert(entry.seq, entry.epoch);
                self.position.seq = entry.seq;
                self.position.epoch = self.position.epoch.max(entry.epoch);
            }
            News::Missing { epoch, span } => {
                self.shown.split_off(&span.first);
                self.missing.push(*span);
                self.position = Position { epoch: *epoch, seq: span.last };
            }
            News::Lost { epoch, span } => {
                self.shown.split_off(&span.first);
                self.position = Position { epoch: *epoch, seq: span.first - 1 };
            }
        }
    }

    /// Everything since the join was shown as the branch has it, or announced as missing.
    fn verify(&self, room: &Room) {
        for entry in room.branch.iter().filter(|entry| entry.seq > self.joined) {
            match self.shown.get(&entry.seq) {
                Some(epoch) => assert_eq!(*epoch, entry.epoch, "seq {} is of another branch", entry.seq),
                None => assert!(
                    self.missing.iter().any(|span| (span.first..=span.last).contains(&entry.seq)),
                    "seq {} was skipped silently",
                    entry.seq
                ),
            }
        }
    }
}

struct Schedule {
    random: SmallRng,
    room: Room,
    log: Log,
    client: Client,
    gone: Vec<Client>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut room = Room { epoch: 1, branch: Vec::new(), kept: 1, stream: Vec::new(), read: 0 };
        for _ in 0..random.random_range(0..12) {
            room.post();
        }
        let log = Log::of(WINDOW, room.reading(random.random_range(0..10)));
        let client = Client::at(log.head());
        Self { random, room, log, client, gone: Vec::new() }
    }

    fn hear(&mut self, news: Vec<News>) {
        news.iter().for_each(|news| self.client.hear(news));
    }

    fn heal(&mut self) {
        let mut news = Vec::new();
        self.log.merge(&self.room.reading(u64::MAX / 2), &mut news);
        self.hear(news);
    }

    fn take(&mut self, at: usize) {
        let mut news = Vec::new();
        let reread = match self.room.stream[at].clone() {
            Record::Entry(entry) => self.log.follow(&entry, &mut news) == Follow::Reread,
            Record::Boundary { lost } => lost,
        };
        self.hear(news);
        if reread {
            self.heal();
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..20) {
            0..7 => self.room.post(),
            7..13 if self.room.read < self.room.stream.len() => {
                let at = self.room.read;
                self.room.read += 1;
                self.take(at);
            }
            13 if self.room.read > 0 => {
                let again = self.random.random_range(0..self.room.read);
                if matches!(&self.room.stream[again], Record::Entry(entry) if entry.epoch == self.log.head().epoch) {
                    self.take(again);
                }
            }
            14 => {
                let trimmed = self.random.random_range(self.room.read..=self.room.stream.len());
                self.room.read = trimmed;
                self.heal();
            }
            15 => {
                let count = self.random.random_range(0..4);
                self.room.fail_over(count);
            }
            16 => self.room.kept = self.room.kept.max(self.random.random_range(0..=self.room.branch.len() as u64)),
            17 => self.heal(),
            18 => self.gone.push(self.client.clone()),
            _ => {
                let mut older = self.room.reading(u64::MAX / 2);
                older.entries.retain(|entry| entry.seq < self.log.first());
                self.log.prepend(&older.entries, older.complete);
            }
        }
    }

    fn verify(&mut self) {
        self.heal();
        self.client.verify(&self.room);
        let held: Vec<_> = self.log.after(0).map(|entry| (entry.seq, entry.epoch)).collect();
        let first = self.log.first() as usize - 1;
        assert!(held.iter().copied().eq(self.room.branch[first..].iter().map(|entry| (entry.seq, entry.epoch))));
        for client in std::mem::take(&mut self.gone) {
            self.resume(client);
        }
    }

    fn resume(&self, mut client: Client) {
        let (position, branch) = (client.position, &self.room.branch);
        let on_branch = position.seq == 0
            || branch.get(position.seq as usize - 1).is_some_and(|entry| entry.epoch <= position.epoch);
        let after = match self.log.resume(position) {
            Resume::Complete { after } => after,
            Resume::Partial { gap, after } => {
                assert_eq!((gap.first, gap.last), (position.seq + 1, self.log.first() - 1));
                client.hear(&News::Missing { epoch: self.log.head().epoch, span: gap });
                after
            }
            Resume::UnknownBranch => {
                let unsure = position.seq < self.log.first();
                assert!(!on_branch || unsure, "{position:?} is on the branch");
                return;
            }
            Resume::Ahead => panic!("nothing is ahead of a log that has read everything: {position:?}"),
        };
        assert!(on_branch, "{position:?} was resumed on another branch");
        self.log.after(after).for_each(|entry| client.hear(&News::Entry(Arc::clone(entry))));
        client.verify(&self.room);
    }
}

#[test]
fn readers_see_the_branch_or_are_told_what_they_miss() {
    for seed in 0..20_000 {
        let mut schedule = Schedule::new(seed);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..40 {
                schedule.step();
            }
            schedule.verify();
        }));
        assert!(ran.is_ok(), "seed {seed}");
    }
}
