//! A bus that fails, loses and lies on demand, and that several gateways share.
//!
//! One stream for all partitions: the hub ignores what is not for its rooms.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, broadcast},
    time::{sleep, timeout},
};

use crate::{
    bus::{
        AppendError, Appended, Batch, Bus, Head, Health, HeldRoom, KnownRooms, Offset, Page, RESTORE_SKIP, Record,
        Routed, TAIL_WAIT, Task,
    },
    rooms::{Entry, Epoch, Partition, Post, RoomName, Signal, Unavailable},
};

/// What happens to a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Nothing is written, and the caller learns so.
    Refused,
    /// It is written, and the caller hears that the bus is unavailable.
    Unanswered,
    /// Nothing is written, and the caller hears nothing.
    Silent,
}

#[derive(Default)]
struct State {
    epoch: u64,
    /// Times that all data was lost, and how many of them each gateway has been through.
    lives: u64,
    lived: HashMap<usize, u64>,
    rooms: HashMap<RoomName, Log>,
    /// The oldest seq that histories hold.
    kept: u64,
    stream: Vec<Record>,
    keys: HashMap<Arc<str>, Appended>,
    counts: HashMap<(RoomName, usize), u32>,
    fates: VecDeque<Fate>,
    /// Entries that the stream skips.
    skipped: u32,
}

#[derive(Default)]
struct Log {
    head: u64,
    entries: Vec<Arc<Entry>>,
}

struct Core {
    state: Mutex<State>,
    changed: Notify,
    signals: broadcast::Sender<(RoomName, Signal)>,
    /// Calls, and whether they fail.
    history: AtomicUsize,
    members: AtomicUsize,
    unavailable: AtomicBool,
    /// Sums of members are not answered.
    sums_silent: AtomicBool,
}

/// One gateway's handle.
pub(super) struct Fake {
    core: Arc<Core>,
    gateway: usize,
    heard: tokio::sync::Mutex<broadcast::Receiver<(RoomName, Signal)>>,
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        let (signals, heard) = broadcast::channel(1024);
        let state = Mutex::new(State { epoch: 1, kept: 1, ..State::default() });
        let core = Core {
            state,
            changed: Notify::new(),
            signals,
            history: AtomicUsize::new(0),
            members: AtomicUsize::new(0),
            unavailable: AtomicBool::new(false),
            sums_silent: AtomicBool::new(false),
        };
        Arc::new(Self { core: Arc::new(core), gateway: 0, heard: heard.into() })
    }

    /// A handle for another gateway.
    pub(super) fn another(&self) -> Arc<Self> {
        let heard = self.core.signals.subscribe().into();
        Arc::new(Self { core: Arc::clone(&self.core), gateway: self.gateway + 1, heard })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.core.state.lock().unwrap()
    }

    pub(super) fn reads(&self) -> (usize, usize) {
        (self.core.history.load(Relaxed), self.core.members.load(Relaxed))
    }

    /// Reads fail from now on, or work again.
    pub(super) fn set_unavailable(&self, unavailable: bool) {
        self.core.unavailable.store(unavailable, Relaxed);
    }

    /// Sums of members are not answered from now on, or are again.
    pub(super) fn silence_sums(&self, silent: bool) {
        self.core.sums_silent.store(silent, Relaxed);
    }

    pub(super) fn next_groups(&self, fates: &[Fate]) {
        self.state().fates.extend(fates);
    }

    pub(super) fn forget_fates(&self) {
        self.state().fates.clear();
    }

    pub(super) fn pending_fates(&self) -> usize {
        self.state().fates.len()
    }

    /// The stream skips the next `count` entries.
    pub(super) fn skip(&self, count: u32) {
        self.state().skipped = count;
    }

    /// Histories forget what is older than `seq`.
    pub(super) fn trim(&self, seq: u64) {
        self.state().kept = seq;
    }

    /// A promoted replica lacks the newest `lost` entries of a room.
    pub(super) fn fail_over(&self, room: &RoomName, lost: usize) {
        let mut state = self.state();
        state.epoch += 1;
        let epoch = Epoch(state.epoch);
        let log = state.rooms.entry(room.clone()).or_default();
        log.entries.truncate(log.entries.len() - lost.min(log.entries.len()));
        let left = if lost > 0 { log.entries.last().map_or(0, |last| last.seq) } else { log.head };
        log.head = left;
        state.keys.retain(|_, first| first.seq <= left);
        state.stream.push(Record::Boundary { epoch, lost: lost > 0 });
        drop(state);
        self.core.changed.notify_waiters();
    }

    /// All data is gone.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.lives += 1;
        let epoch = Epoch(state.epoch);
        state.rooms.clear();
        state.keys.clear();
        state.stream.push(Record::Boundary { epoch, lost: true });
        drop(state);
        self.core.changed.notify_waiters();
    }

    /// The keys of a room's entries, by seq.
    pub(super) fn keys(&self, room: &RoomName) -> BTreeMap<u64, String> {
        let state = self.state();
        let entries = state.rooms.get(room).map_or(&[][..], |log| &log.entries);
        entries.iter().map(|entry| (entry.seq, entry.key.to_string())).collect()
    }

    /// This gateway's lease ends.
    pub(super) fn forget_counts(&self) {
        let forgotten = |(_, gateway): &(RoomName, usize), _: &mut u32| *gateway == self.gateway;
        let forgotten: Vec<_> = self.state().counts.extract_if(forgotten).collect();
        // The gateway that takes them out of the sums says so.
        for ((room, _), _) in forgotten {
            drop(self.core.signals.send((room, Signal::Count)));
        }
    }

    fn takes_silent_fate(&self) -> bool {
        let silent = |fate: &mut Fate| matches!(fate, Fate::Silent);
        self.state().fates.pop_front_if(silent).is_some()
    }

    fn check(&self) -> Result<(), Unavailable> {
        if self.core.unavailable.load(Relaxed) { Err(Unavailable("as the test wants".into())) } else { Ok(()) }
    }
}

impl State {
    fn write(&mut self, post: &Post) -> Appended {
        if let Some(first) = self.keys.get(&post.key) {
            return Appended { duplicate: true, ..*first };
        }
        let log = self.rooms.entry(post.room.clone()).or_default();
        let seq = log.head + 1;
        let entry = Arc::new(Entry {
            seq,
            epoch: Epoch(self.epoch),
            time: u64::MAX / 2,
            from: post.from.clone(),
            protocol: post.protocol,
            key: Arc::clone(&post.key),
            content: post.content.clone(),
            origin: post.origin,
            amends: post.amends.clone(),
            present: None,
        });
        log.head = seq;
        log.entries.push(Arc::clone(&entry));
        if self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.stream.push(Record::Entry(Routed { room: post.room.clone(), entry }));
        }
        let answer = Appended { seq, epoch: Epoch(self.epoch), time: 0, duplicate: false };
        self.keys.insert(Arc::clone(&post.key), answer);
        answer
    }

    fn page(&self, room: &RoomName, before: Option<u64>, limit: u32) -> Page {
        let log = self.rooms.get(room);
        let head = Head { epoch: Epoch(self.epoch), seq: log.map_or(0, |log| log.head) };
        let below = |entry: &&Arc<Entry>| before.is_none_or(|before| entry.seq < before);
        let kept = log.map_or(&[][..], |log| &log.entries).iter().filter(|entry| entry.seq >= self.kept);
        let entries: Vec<_> = kept.filter(below).cloned().collect();
        let start = entries.len().saturating_sub(limit as usize);
        Page { head, entries: entries[start..].to_vec(), more: start > 0 }
    }

    fn restore(&mut self, held: &HeldRoom) {
        if self.rooms.get(&held.room).is_some_and(|log| log.head > 0) {
            return;
        }
        for entry in &held.entries {
            let answer = Appended { seq: entry.seq, epoch: entry.epoch, time: entry.time, duplicate: false };
            self.keys.insert(Arc::clone(&entry.key), answer);
        }
        let log = Log { head: held.head + RESTORE_SKIP, entries: held.entries.clone() };
        self.rooms.insert(held.room.clone(), log);
    }
}

impl Bus for Fake {
    fn append<'a>(
        &'a self,
        _: Partition,
        group: &'a [Post],
    ) -> Task<'a, Result<Vec<Result<Appended, AppendError>>, AppendError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            if self.takes_silent_fate() {
                return pending().await;
            }
            let unavailable = Err(AppendError::Unavailable("as the test wants".into()));
            let mut state = self.state();
            if state.lived.get(&self.gateway).copied().unwrap_or(0) < state.lives {
                return Err(AppendError::Lost);
            }
            let fate = state.fates.pop_front();
            if let Some(Fate::Refused) = fate {
                return unavailable;
            }
            let answers = group.iter().map(|post| Ok(state.write(post))).collect();
            drop(state);
            self.core.changed.notify_waiters();
            if fate.is_some() { unavailable } else { Ok(answers) }
        })
    }

    fn restore<'a>(&'a self, _: Partition, rooms: &'a [HeldRoom]) -> Task<'a, Result<Epoch, Unavailable>> {
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            self.check()?;
            let mut state = self.state();
            rooms.iter().for_each(|room| state.restore(room));
            let lives = state.lives;
            state.lived.insert(self.gateway, lives);
            Ok(Epoch(state.epoch))
        })
    }

    fn end(&self, _: Partition) -> Task<'_, Result<Offset, Unavailable>> {
        Box::pin(async move {
            self.check()?;
            Ok(Offset { epoch: 1, offset: self.state().stream.len() as u64 })
        })
    }

    fn tail(&self, _: Partition, from: Offset, limit: u32) -> Task<'_, Result<Batch, Unavailable>> {
        Box::pin(async move {
            self.check()?;
            let changed = self.core.changed.notified();
            if self.state().stream.len() as u64 == from.offset {
                drop(timeout(TAIL_WAIT, changed).await);
            }
            self.check()?;
            let state = self.state();
            let records: Vec<_> = state.stream[from.offset as usize..].iter().take(limit as usize).cloned().collect();
            let offset = from.offset + records.len() as u64;
            Ok(Batch { records, next: Offset { offset, ..from } })
        })
    }

    fn head<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<Head, Unavailable>> {
        Box::pin(async move { Ok(self.state().page(room, None, 0).head) })
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        limit: u32,
    ) -> Task<'a, Result<Page, Unavailable>> {
        Box::pin(async move {
            self.core.history.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(5)).await;
            self.check()?;
            Ok(self.state().page(room, before, limit))
        })
    }

    fn rooms<'a>(&'a self, _: Partition, _: Option<&'a str>) -> Task<'a, Result<KnownRooms, Unavailable>> {
        Box::pin(async move { Ok(KnownRooms::default()) })
    }

    fn signal<'a>(&'a self, room: &'a RoomName, signal: &'a Signal) -> Task<'a, ()> {
        Box::pin(async move { drop(self.core.signals.send((room.clone(), signal.clone()))) })
    }

    fn signals(&self) -> Task<'_, Vec<(RoomName, Signal)>> {
        Box::pin(async move { self.heard.lock().await.recv().await.into_iter().collect() })
    }

    fn watch(&self, _: Partition, _: bool) -> Task<'_, ()> {
        Box::pin(async {})
    }

    fn count<'a>(&'a self, _: Partition, counts: &'a [(RoomName, u32)]) -> Task<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.check()?;
            let counts = counts.iter().map(|(room, count)| ((room.clone(), self.gateway), *count));
            self.state().counts.extend(counts);
            Ok(())
        })
    }

    fn members<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<u64, Unavailable>> {
        Box::pin(async move {
            self.core.members.fetch_add(1, Relaxed);
            sleep(Duration::from_millis(5)).await;
            if self.core.sums_silent.load(Relaxed) {
                return pending().await;
            }
            self.check()?;
            let state = self.state();
            Ok(state.counts.iter().filter(|((name, _), _)| name == room).map(|(_, count)| u64::from(*count)).sum())
        })
    }

    fn now(&self) -> u64 {
        0
    }

    fn health(&self) -> Health {
        Health::Replicated
    }

    fn close(&self, _: Duration) -> Task<'_, ()> {
        Box::pin(async {})
    }
}
