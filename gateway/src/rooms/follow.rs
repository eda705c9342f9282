//! How a log follows its room, and what its readers receive on the way.
//!
//! Decides which entries readers see next, and when they receive a gap. The tail brings entries one by one; the
//! history is read when the tail has left a hole, jumped or parted from what was shown. Pure; called by the hub.

use std::sync::Arc;

use super::{
    Entry, Epoch, Position,
    log::{Append, Log, Span, Window},
};

/// What was read of a room's history: its head then, and the newest entries up to it, ascending and contiguous.
#[derive(Clone, Debug)]
pub struct ReadHistory {
    pub head: Position,
    pub entries: Vec<Arc<Entry>>,
    /// Nothing older exists.
    pub complete: bool,
}

/// What readers receive, in order.
#[derive(Clone, Debug)]
pub enum News {
    /// The next entry.
    Entry(Arc<Entry>),
    /// These entries cannot be shown; the next one comes after them.
    Missing { epoch: Epoch, span: Span },
    /// These entries were shown on a branch that is lost; the next one has the first of their seqs.
    Lost { epoch: Epoch, span: Span },
}

/// Whether the history must be read before the log can continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    Taken,
    Known,
    /// The entry was not taken, because others are missing before it.
    Reread,
}

impl Log {
    /// A log of what was read.
    pub fn of(window: Window, reading: ReadHistory) -> Self {
        let mut log = Self::new(window, reading.head);
        let read = clipped(&reading);
        log.prepend(&read, reading.complete);
        if let Some(first) = behind_hole(&reading) {
            log.set_aside_below(first, &read);
        }
        log
    }

    /// Takes an entry of the tail.
    pub fn follow(&mut self, entry: &Arc<Entry>, news: &mut Vec<News>) -> Follow {
        match self.append(entry) {
            Append::Appended | Append::NewEpoch { lost: None } => {}
            Append::NewEpoch { lost: Some(span) } => news.push(News::Lost { epoch: entry.epoch, span }),
            Append::Duplicate => return Follow::Known,
            Append::Stale | Append::Hole { .. } => return Follow::Reread,
        }
        news.push(News::Entry(Arc::clone(entry)));
        Follow::Taken
    }

    /// Takes what was read of the history, which knows better than the tail.
    pub fn merge(&mut self, reading: &ReadHistory, news: &mut Vec<News>) {
        let epoch = reading.head.epoch;
        if epoch < self.head().epoch {
            return;
        }
        news.extend(self.doubt(reading).map(|span| News::Missing { epoch, span }));
        news.extend(self.part(reading).map(|span| News::Lost { epoch, span }));
        news.extend(self.step_back(reading).map(|span| News::Lost { epoch, span }));
        self.forget_unsure();
        for entry in clipped(reading) {
            news.extend(self.skip_to(entry.seq).map(|span| News::Missing { epoch, span }));
            if entry.seq == self.head().seq + 1 {
                self.push(&entry);
                news.push(News::Entry(entry));
            }
        }
        news.extend(self.skip_to(reading.head.seq + 1).map(|span| News::Missing { epoch, span }));
        if let Some(first) = behind_hole(reading) {
            self.set_aside_below(first, &clipped(reading));
        }
        self.confirm(epoch);
    }

    /// When epochs passed unseen and the history no longer reaches back to where branches parted, all that is held
    /// may be lost: it is given up, because claiming too much of a gap is honest and claiming too little is not.
    fn doubt(&mut self, reading: &ReadHistory) -> Option<Span> {
        let (head, first) = (self.head(), self.first());
        let oldest = reading.entries.first();
        let shared = |entry: &Arc<Entry>| self.get(entry.seq).is_some_and(|held| held.epoch == entry.epoch);
        let goes_on = oldest.zip(self.get(head.seq)).is_some_and(|(entry, held)| entry.epoch == held.epoch);
        let covered = oldest.is_some_and(|entry| entry.seq <= first) || reading.entries.iter().any(shared);
        let unheld = first > head.seq || first > reading.head.seq;
        if reading.head.epoch == head.epoch || covered || goes_on || unheld {
            return None;
        }
        self.truncate(first - 1);
        self.forget_aside();
        self.skip_to(oldest.map_or(reading.head.seq + 1, |entry| entry.seq))
    }

    /// Cuts the log to the head of a branch that is shorter. When that is below all that is held, nothing proves what was
    /// shown before: all of the room counts as new.
    fn step_back(&mut self, reading: &ReadHistory) -> Option<Span> {
        let mut lost = self.check(reading.head)?;
        if self.first() > self.head().seq {
            self.truncate(0);
            lost.first = 1;
        }
        Some(lost)
    }

    /// Forgets what is held from the first entry on that was written on another branch. When nothing that is held is
    /// shared, what was shown before may be lost too: all that was written later counts as new.
    fn part(&mut self, reading: &ReadHistory) -> Option<Span> {
        let differs = |entry: &&Arc<Entry>| self.get(entry.seq).is_some_and(|held| held.epoch != entry.epoch);
        let mut first = reading.entries.iter().find(differs)?.seq;
        if let Some(held) = self.get(first).filter(|_| first == self.first()) {
            let later = reading.entries.iter().position(|entry| entry.epoch > held.epoch);
            first = later.map_or(first, |at| if at == 0 { 1 } else { reading.entries[at].seq }).min(first);
        }
        let span = Span { first, last: self.head().seq };
        self.truncate(first - 1);
        Some(span)
    }
}

/// Where the seqs continue behind the newest hole, which data leaves that was lost and restored: a reader that held more than was
/// given back must not show it as if it were followed by what comes now.
fn behind_hole(reading: &ReadHistory) -> Option<u64> {
    let mut first = reading.head.seq + 1;
    for entry in clipped(reading).iter().rev() {
        if entry.seq + 1 != first {
            return Some(first);
        }
        first = entry.seq;
    }
    None
}

/// The entries up to the head: what lies above it is not known to be on two copies.
fn clipped(reading: &ReadHistory) -> Vec<Arc<Entry>> {
    reading.entries.iter().filter(|entry| entry.seq <= reading.head.seq).cloned().collect()
}
