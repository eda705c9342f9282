//! A room's log in memory: a bounded, contiguous run of the newest entries, and what it knows of the room's branch.
//!
//! Decides which entries belong to the log, which were lost, and where a hole must be read again. Never reads anything
//! itself. Called by the hub with what the tail and the history bring, in any order and more than once.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Entry, Epoch, Position,
    amendments::{fold, unsure},
    aside::Aside,
};

/// How much of a room stays in memory; the newest entry always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Most entries.
    pub entries: usize,
    /// Most bytes, counted by [`Entry::size`].
    pub bytes: usize,
}

/// Entries `first..=last` of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub last: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// It is the new head.
    Appended,
    /// It is the new head and the first of its epoch. `lost`: entries that were held before and are not part of
    /// the new branch.
    NewEpoch { lost: Option<Span> },
    /// It was held already.
    Duplicate,
    /// It is of an older epoch than the log and above its head: lost, or the log was read in between.
    /// The history knows.
    Stale,
    /// Entries before it are missing; it was not taken.
    Hole { missing: Span },
}

/// The newest entries of one room.
#[derive(Debug)]
pub struct Log {
    window: Window,
    /// Contiguous; the last one is the head.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The newest seq, and the highest epoch in which the log is known to be valid.
    head: Position,
    /// Nothing older than the first entry exists anywhere.
    complete: bool,
    /// What was held before the newest hole.
    aside: Aside,
    /// Messages up to this seq may show changes that are lost with their branch; 0: none does.
    unsure: u64,
}

impl Log {
    /// A log with its head at `head` that holds nothing yet.
    pub fn new(window: Window, head: Position) -> Self {
        Self {
            window,
            entries: VecDeque::new(),
            bytes: 0,
            head,
            complete: head.seq == 0,
            aside: Aside::default(),
            unsure: 0,
        }
    }

    /// The newest entry's seq, and the epoch in which it is known to be valid.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Seq of the oldest entry held; one above the head when none is.
    pub fn first(&self) -> u64 {
        self.head.seq + 1 - self.entries.len() as u64
    }

    /// Bytes held, counted by [`Entry::size`].
    pub fn bytes(&self) -> usize {
        self.bytes + self.aside.bytes()
    }

    /// True when nothing older than [`Log::first`] exists anywhere.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// The entry with this seq, if it is held.
    pub fn get(&self, seq: u64) -> Option<&Arc<Entry>> {
        let index = seq.checked_sub(self.first())?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The entries above `seq`, ascending.
    pub fn after(&self, seq: u64) -> impl ExactSizeIterator<Item = &Arc<Entry>> {
        let skip = (seq + 1).saturating_sub(self.first()).min(self.entries.len() as u64);
        self.entries.range(skip as usize..)
    }

    /// What can be given back of the room: the newest entries that fit into `bound`, ascending, with holes where data was
    /// lost before.
    pub fn to_restore(&self, bound: Window) -> Vec<Arc<Entry>> {
        let mut bytes = 0;
        let fits = |entry: &&Arc<Entry>| {
            bytes += entry.size();
            bytes <= bound.bytes
        };
        let count = self.entries.iter().rev().take(bound.entries).take_while(fits).count();
        let newest = self.entries.range(self.entries.len() - count..).cloned();
        // What follows the hole comes first.
        let left = if count == self.entries.len() { bound.entries - count } else { 0 };
        self.aside.newest(left, bound.bytes.saturating_sub(self.bytes)).chain(newest).collect()
    }

    /// Takes the next entry, or says why not.
    pub fn append(&mut self, entry: &Arc<Entry>) -> Append {
        if entry.epoch < self.head.epoch {
            return if entry.seq <= self.head.seq { Append::Duplicate } else { Append::Stale };
        }
        if entry.seq > self.head.seq + 1 {
            return Append::Hole { missing: Span { first: self.head.seq + 1, last: entry.seq - 1 } };
        }
        let newer = entry.epoch > self.head.epoch;
        let lost = if entry.seq <= self.head.seq {
            if !self.contradicted_by(entry) {
                return Append::Duplicate;
            }
            let lost = Span { first: entry.seq, last: self.head.seq };
            self.truncate(entry.seq - 1);
            Some(lost)
        } else {
            None
        };
        self.forget_unsure();
        self.push(entry);
        if newer || lost.is_some() { Append::NewEpoch { lost } } else { Append::Appended }
    }

    /// Whether what is held at the entry's seq was written on another branch.
    fn contradicted_by(&self, entry: &Entry) -> bool {
        match self.get(entry.seq) {
            Some(held) => held.epoch < entry.epoch,
            None => entry.epoch > self.head.epoch,
        }
    }

    pub(super) fn push(&mut self, entry: &Arc<Entry>) {
        self.bytes += entry.size();
        self.entries.push_back(Arc::clone(entry));
        self.head = Position { epoch: self.head.epoch.max(entry.epoch), seq: entry.seq };
        self.amend(entry);
        self.trim();
    }

    /// What is held becomes what `by` makes of it.
    fn amend(&mut self, by: &Entry) {
        let grown = fold(&mut self.entries, by, Entry::size);
        self.bytes = self.bytes.saturating_add_signed(grown);
    }

    /// Forgets messages that may show changes of a branch that is lost: the history knows what they are now.
    pub(super) fn forget_unsure(&mut self) {
        let unsure = std::mem::take(&mut self.unsure);
        if unsure > 0 {
            self.forget_below(unsure + 1);
        }
    }

    fn trim(&mut self) {
        while self.entries.len() > 1 && (self.entries.len() > self.window.entries || self.bytes > self.window.bytes) {
            self.drop_oldest();
            self.complete = false;
        }
        let entries = self.window.entries.saturating_sub(self.entries.len());
        self.aside.shrink(entries, self.window.bytes.saturating_sub(self.bytes));
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.size();
        }
    }

    /// Forgets everything above `seq`.
    pub(super) fn truncate(&mut self, seq: u64) {
        self.aside.truncate(seq);
        while self.head.seq > seq && !self.entries.is_empty() {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= entry.size();
                self.unsure = self.unsure.max(unsure(&self.entries, &entry));
            }
            self.head.seq -= 1;
        }
        if self.head.seq > seq {
            self.head.seq = seq;
            self.complete = seq == 0;
        }
    }

    /// Learns that the room stood at `head`. Answers what the log held beyond it, if that is lost.
    pub fn check(&mut self, head: Position) -> Option<Span> {
        if head.epoch <= self.head.epoch || head.seq >= self.head.seq {
            return None;
        }
        let lost = Span { first: head.seq + 1, last: self.head.seq };
        self.truncate(head.seq);
        self.head.epoch = head.epoch;
        Some(lost)
    }

    /// Learns that everything held is valid in the epoch of `epoch` too.
    pub fn confirm(&mut self, epoch: Epoch) {
        self.head.epoch = self.head.epoch.max(epoch);
    }

    /// Gives up on the entries between the head and `seq`: the head is right before `seq`, and nothing older is held but
    /// to be given back.
    pub fn skip_to(&mut self, seq: u64) -> Option<Span> {
        let missing = Span { first: self.head.seq + 1, last: seq.checked_sub(1)? };
        if missing.last < missing.first {
            return None;
        }
        self.entries.drain(..).for_each(|entry| self.aside.push(entry));
        self.bytes = 0;
        self.head.seq = missing.last;
        self.complete = false;
        Some(missing)
    }

    /// Puts older entries before the first: ascending, contiguous, ending right before it (else they are not taken).
    /// `complete`: nothing older exists. Stops at the window.
    pub fn prepend(&mut self, older: &[Arc<Entry>], complete: bool) {
        let first = self.first();
        self.complete |= self.extend_back(older) && complete;
        // They were read before what is held came, or after it.
        let later: Vec<_> = self.after(first - 1).filter(|entry| entry.amends.is_some()).cloned().collect();
        later.iter().for_each(|amendment| self.amend(amendment));
    }

    /// False where it stops before the oldest of them.
    fn extend_back(&mut self, older: &[Arc<Entry>]) -> bool {
        let ceiling = self.entries.front().map_or(self.head.epoch, |entry| entry.epoch);
        for entry in older.iter().rev() {
            let full = self.entries.len() >= self.window.entries || self.bytes + entry.size() > self.window.bytes;
            if full || entry.seq + 1 != self.first() || entry.epoch > ceiling {
                return false;
            }
            self.bytes += entry.size();
            self.entries.push_front(Arc::clone(entry));
        }
        true
    }

    /// Forgets entries before `seq`; older ones may exist.
    pub(super) fn forget_below(&mut self, seq: u64) {
        while self.entries.front().is_some_and(|entry| entry.seq < seq) {
            self.drop_oldest();
            self.complete = false;
        }
    }

    /// Keeps entries before `seq`, where a hole ends, for nothing but to give them back.
    pub(super) fn set_aside_below(&mut self, seq: u64, read: &[Arc<Entry>]) {
        let held = self.entries.iter().take_while(|entry| entry.seq < seq);
        held.chain(read.iter().filter(|entry| entry.seq < seq)).for_each(|entry| self.aside.push(Arc::clone(entry)));
        self.forget_below(seq);
        self.trim();
    }

    /// Forgets what was set aside.
    pub(super) fn forget_aside(&mut self) {
        self.aside = Aside::default();
    }

    /// Forgets entries from before `time` (milliseconds since the Unix epoch).
    pub fn expire(&mut self, time: u64) {
        self.aside.expire(time);
        while self.entries.front().is_some_and(|entry| entry.time < time) {
            self.drop_oldest();
        }
    }

    /// Changes how much is kept.
    pub fn resize(&mut self, window: Window) {
        self.window = window;
        self.trim();
    }

    /// True when nothing more fits before the first entry.
    pub fn full(&self) -> bool {
        self.entries.len() >= self.window.entries || self.bytes >= self.window.bytes
    }

    /// The newest `limit` entries below `before`, ascending, and whether older ones exist. None: the history knows.
    pub fn page(&self, before: Option<u64>, limit: u32) -> Option<(Vec<Arc<Entry>>, bool)> {
        let end = before.unwrap_or(u64::MAX).min(self.head.seq + 1);
        let start = end.saturating_sub(limit.into()).max(self.first());
        if !self.complete && (end <= start || start == self.first()) {
            return None;
        }
        let entries = (start..end).filter_map(|seq| self.get(seq).cloned()).collect();
        Some((entries, start > self.first()))
    }
}
