//! Random schedules of one room against a simple model: posts, failovers, trims, holes, repeated deliveries, resumes, and
//! the loss of all data, given back by who held what.

use std::{collections::BTreeMap, sync::Arc};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::value::RawValue;

use super::{
    Author, Content, Entry, Epoch, Origin, Position, ProtocolId,
    follow::{Follow, News, ReadHistory},
    log::{Log, Span, Window},
    resume::Resume,
};

const WINDOW: Window = Window { entries: 8, bytes: 1 << 20 };

/// Seqs left out behind what is given back; few, so that some readers are further than that.
const SKIP: u64 = 3;

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
        amends: None,
        present: None,
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
    branch: BTreeMap<u64, Arc<Entry>>,
    head: u64,
    /// When and where the room continued after its data was lost.
    reborn: Position,
    /// Seqs below are trimmed from the history.
    kept: u64,
    stream: Vec<Record>,
    read: usize,
}

impl Room {
    fn post(&mut self) {
        self.head += 1;
        let entry = entry(self.head, self.epoch);
        self.branch.insert(self.head, Arc::clone(&entry));
        self.stream.push(Record::Entry(entry));
    }

    /// The newest `count` entries are lost; the reader saw what it had read of them.
    fn fail_over(&mut self, count: u64) {
        self.head = self.head.saturating_sub(count).max(self.reborn.seq);
        let gone = self.branch.split_off(&(self.head + 1));
        let unread = self.stream.split_off(self.read);
        let survives = |record: &Record| match record {
            Record::Entry(entry) => !gone.values().any(|lost| Arc::ptr_eq(entry, lost)),
            Record::Boundary { .. } => true,
        };
        let before = unread.len();
        self.stream.extend(unread.into_iter().filter(survives));
        let lost = before - (self.stream.len() - self.read) < gone.len();
        self.epoch += 1;
        self.kept = self.kept.min(self.head + 1);
        self.stream.push(Record::Boundary { lost });
    }

    /// All data is gone, and comes back as far as `keeper` holds it.
    fn lose(&mut self, keeper: Option<&Log>) {
        self.epoch += 1;
        self.kept = 1;
        self.branch.clear();
        self.head = 0;
        if let Some(log) = keeper.filter(|log| log.head().seq > 0) {
            self.branch.extend(log.to_restore(WINDOW).into_iter().map(|entry| (entry.seq, entry)));
            self.head = log.head().seq + SKIP;
        }
        self.reborn = Position { epoch: Epoch(self.epoch), seq: self.head };
        self.stream.truncate(self.read);
        self.stream.push(Record::Boundary { lost: true });
    }

    fn reading(&self, limit: u64) -> ReadHistory {
        let kept: Vec<_> = self.branch.range(self.kept..).map(|(_, entry)| Arc::clone(entry)).collect();
        let start = kept.len().saturating_sub(limit as usize);
        let head = Position { epoch: Epoch(self.epoch), seq: self.head };
        ReadHistory { head, entries: kept[start..].to_vec(), complete: start == 0 }
    }

    /// Whether a reader at the position was shown nothing else than the branch, as far as the rule can tell.
    fn has(&self, position: Position) -> bool {
        let written = self.branch.get(&position.seq).map_or(self.reborn.epoch, |entry| entry.epoch);
        position.seq == 0 || position.seq <= self.head && written <= position.epoch
    }
}

/// A reader that believes what it receives.
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
        for seq in self.joined + 1..=room.head {
            match (self.shown.get(&seq), room.branch.get(&seq)) {
                (Some(epoch), Some(entry)) => assert_eq!(*epoch, entry.epoch, "seq {seq} is of another branch"),
                (Some(epoch), None) => assert!(*epoch < room.reborn.epoch, "seq {seq} was left out"),
                (None, _) => assert!(
                    self.missing.iter().any(|span| (span.first..=span.last).contains(&seq)),
                    "seq {seq} was skipped silently"
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
        let reborn = Position { epoch: Epoch(0), seq: 0 };
        let mut room =
            Room { epoch: 1, branch: BTreeMap::new(), head: 0, reborn, kept: 1, stream: Vec::new(), read: 0 };
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
        match self.random.random_range(0..21) {
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
            16 => self.room.kept = self.room.kept.max(self.random.random_range(0..=self.room.head)),
            17 => self.heal(),
            18 => self.gone.push(self.client.clone()),
            19 => self.lose(),
            _ => {
                let mut older = self.room.reading(u64::MAX / 2);
                older.entries.retain(|entry| entry.seq < self.log.first());
                self.log.prepend(&older.entries, older.complete);
            }
        }
    }

    /// This log's gateway gives the data back, or another one that is further or not as far, or none.
    fn lose(&mut self) {
        let mut reading = self.room.reading(self.random.random_range(1..10));
        let behind = self.random.random_range(0..6).min(reading.head.seq.saturating_sub(self.room.reborn.seq));
        reading.head.seq -= behind;
        let other = Log::of(WINDOW, reading);
        let keeper = [Some(&self.log), Some(&other), None][self.random.random_range(0..3)];
        self.room.lose(keeper);
    }

    fn verify(&mut self) {
        self.heal();
        self.client.verify(&self.room);
        let last = self.room.branch.keys().last().copied().unwrap_or(0);
        assert!(self.log.head().seq == self.room.head && (self.log.first()..=last).all(|seq| self.holds(seq)));
        for client in std::mem::take(&mut self.gone) {
            self.resume(client);
        }
    }

    /// Whether the log holds what the branch has there; where the branch has nothing, it may hold what was lost.
    fn holds(&self, seq: u64) -> bool {
        let written = self.room.branch.get(&seq).map(|entry| entry.epoch);
        let held = self.log.get(seq).map(|entry| entry.epoch);
        held == written || written.is_none() && held < Some(self.room.reborn.epoch)
    }

    fn resume(&self, mut client: Client) {
        let position = client.position;
        let on_branch = self.room.has(position);
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
fn readers_see_the_branch_or_receive_a_gap() {
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

#[test]
fn what_lay_before_a_loss_is_given_back_after_the_next_one_too() {
    let read = |entries: Vec<_>, head, epoch, complete| {
        let head = Position { epoch: Epoch(epoch), seq: head };
        ReadHistory { head, entries, complete }
    };
    let seqs = |log: &Log| log.to_restore(WINDOW).iter().map(|entry| entry.seq).collect::<Vec<_>>();
    let before = || (1..=4).map(|seq| entry(seq, 1)).collect::<Vec<_>>();
    // The log that held it when it was lost reads only what follows the hole.
    let (mut held, mut news) = (Log::of(WINDOW, read(before(), 4, 1, true)), Vec::new());
    held.merge(&read(vec![entry(3, 1), entry(4, 1)], 4 + SKIP, 2, false), &mut news);
    held.follow(&entry(5 + SKIP, 2), &mut news);
    assert_eq!(seqs(&held), [1, 2, 3, 4, 5 + SKIP]);
    // A log that is opened later reads both.
    let both: Vec<_> = before().into_iter().chain([entry(5 + SKIP, 2)]).collect();
    let later = Log::of(WINDOW, read(both, 5 + SKIP, 2, true));
    assert_eq!((seqs(&later), later.first()), (vec![1, 2, 3, 4, 5 + SKIP], 5 + SKIP));
    // Both are bounded together, and the newest stay.
    (6 + SKIP..=11 + SKIP).for_each(|seq| assert_eq!(held.follow(&entry(seq, 2), &mut news), Follow::Taken));
    assert_eq!(seqs(&held)[..2], [4, 5 + SKIP]);
    // What parts from it is another branch.
    held.merge(&read(vec![entry(1, 3)], 1, 3, true), &mut news);
    assert_eq!(seqs(&held), [1]);
}
