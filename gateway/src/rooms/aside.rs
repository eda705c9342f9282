//! What a log holds from before a hole that lost data has left: no reader is shown it, because what follows it is another
//! branch, but it can be given back when data is lost again.
//!
//! Decides what of it is still good. Pure; owned by the log.

use std::{collections::VecDeque, sync::Arc};

use super::Entry;

/// Entries in the order of their seqs, with holes.
#[derive(Debug, Default)]
pub(super) struct Aside {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Aside {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next entry.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        if self.entries.back().is_none_or(|last| last.seq < entry.seq) {
            self.bytes += entry.size();
            self.entries.push_back(entry);
        }
    }

    /// Forgets everything above `seq`.
    pub(super) fn truncate(&mut self, seq: u64) {
        while self.entries.back().is_some_and(|entry| entry.seq > seq) {
            let gone = self.entries.pop_back();
            self.forgot(gone);
        }
    }

    /// Forgets entries from before `time`.
    pub(super) fn expire(&mut self, time: u64) {
        while self.entries.front().is_some_and(|entry| entry.time < time) {
            let gone = self.entries.pop_front();
            self.forgot(gone);
        }
    }

    /// Forgets the oldest until there are at most so many entries and bytes.
    pub(super) fn shrink(&mut self, entries: usize, bytes: usize) {
        while self.entries.len() > entries || self.bytes > bytes {
            let gone = self.entries.pop_front();
            self.forgot(gone);
        }
    }

    fn forgot(&mut self, gone: Option<Arc<Entry>>) {
        self.bytes -= gone.map_or(0, |entry| entry.size());
    }

    /// The newest, at most so many entries and bytes, ascending.
    pub(super) fn newest(&self, entries: usize, bytes: usize) -> impl Iterator<Item = Arc<Entry>> {
        let mut taken = 0;
        let fits = |entry: &&Arc<Entry>| {
            taken += entry.size();
            taken <= bytes
        };
        let count = self.entries.iter().rev().take(entries).take_while(fits).count();
        self.entries.range(self.entries.len() - count..).cloned()
    }
}
