//! A room's log in memory, and whether it follows the partition's stream.
//!
//! Decides when the history must be read: to open the room, after a hole, and when what was shown may be lost. What the
//! stream brings meanwhile is set aside. Never reads anything itself.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::super::backoff::Backoff;
use crate::{
    bus::{HeldRoom, RESTORE_WINDOW},
    deadlines::hub::LOOK,
    rooms::{
        Entry, Position, RoomName,
        follow::{Follow, News, ReadHistory},
        log::{Log, Window},
    },
};

/// Whether the log follows the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// The history must be read; entries of the stream are set aside.
    Wanted,
    /// It is being read. `again`: it must be read once more after that.
    Reading {
        again: bool,
    },
    Live,
}

/// The log of a room in use.
#[derive(Debug)]
pub(crate) struct RoomLog {
    /// `None` until the history was read for the first time.
    log: Option<Log>,
    sync: Sync,
    backoff: Backoff,
    /// Before the next reading.
    pause: Duration,
    /// When the reading under way, or the last one, began.
    began: Option<Instant>,
    /// When it was last read for a position ahead of the log.
    looked_ahead: Option<Instant>,
    /// When the last reading began that has succeeded: until then at least the log is complete.
    read: Option<Instant>,
    older_under_way: bool,
    /// Entries of the stream that came while the history is read.
    aside: Vec<Arc<Entry>>,
    aside_bytes: usize,
}

impl RoomLog {
    pub(crate) fn new() -> Self {
        Self {
            log: None,
            sync: Sync::Wanted,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            began: None,
            looked_ahead: None,
            read: None,
            older_under_way: false,
            aside: Vec::new(),
            aside_bytes: 0,
        }
    }

    /// What is held, once the history was read.
    pub(crate) fn held(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// What is held, while it follows the stream.
    pub(crate) fn live(&self) -> Option<&Log> {
        self.log.as_ref().filter(|_| self.sync == Sync::Live)
    }

    /// True while the history must be read, and is not.
    pub(crate) fn wants_reading(&self) -> bool {
        self.sync == Sync::Wanted
    }

    /// True while the history is read, the newest entries or older ones.
    pub(crate) fn reading(&self) -> bool {
        self.older_under_way || matches!(self.sync, Sync::Reading { .. })
    }

    /// True while older entries are read.
    pub(crate) fn older_under_way(&self) -> bool {
        self.older_under_way
    }

    /// True if the history was read, from its beginning to its end, after `since`.
    pub(crate) fn read_since(&self, since: Instant) -> bool {
        self.read.is_some_and(|began| began >= since)
    }

    /// The log must be compared with the history before it continues.
    pub(crate) fn doubt(&mut self) {
        self.sync = match self.sync {
            Sync::Reading { .. } => Sync::Reading { again: true },
            Sync::Wanted | Sync::Live => Sync::Wanted,
        };
    }

    /// A position may be ahead because the stream is late: the history is read, at most once per [`LOOK`].
    pub(crate) fn look_ahead(&mut self) {
        if self.sync == Sync::Live && self.looked_ahead.is_none_or(|at| at.elapsed() >= LOOK) {
            self.looked_ahead = Some(Instant::now());
            self.doubt();
        }
    }

    /// The history is being read from now on. Answers how long that should wait.
    pub(crate) fn begin_reading(&mut self) -> Duration {
        self.sync = Sync::Reading { again: false };
        self.began = Some(Instant::now());
        self.pause
    }

    /// Older entries are being read from now on. Answers the first seq that is held; `None` if they are read already.
    pub(crate) fn begin_older(&mut self) -> Option<u64> {
        let first = self.log.as_ref()?.first();
        (!mem::replace(&mut self.older_under_way, true)).then_some(first)
    }

    /// Takes an entry of the stream. `in_use` false: nobody reads the room, so the history will have it.
    pub(crate) fn take(&mut self, entry: &Arc<Entry>, bound: Window, in_use: bool, news: &mut Vec<News>) {
        if let (Sync::Live, Some(log)) = (self.sync, &mut self.log) {
            if log.follow(entry, news) != Follow::Reread {
                return;
            }
            self.doubt();
        }
        if in_use || self.sync != Sync::Wanted {
            self.set_aside(entry, bound);
        }
    }

    /// What does not fit the history will have.
    fn set_aside(&mut self, entry: &Arc<Entry>, bound: Window) {
        if self.aside.len() >= bound.entries || self.aside_bytes + entry.size() > bound.bytes {
            self.take_aside();
            self.doubt();
        }
        self.keep(entry);
    }

    fn keep(&mut self, entry: &Arc<Entry>) {
        self.aside_bytes += entry.size();
        self.aside.push(Arc::clone(entry));
    }

    fn take_aside(&mut self) -> Vec<Arc<Entry>> {
        self.aside_bytes = 0;
        mem::take(&mut self.aside)
    }

    /// Takes what was read, and then what the stream has brought meanwhile.
    pub(crate) fn read(&mut self, reading: &ReadHistory, window: Window, news: &mut Vec<News>) {
        let again = self.sync == Sync::Reading { again: true };
        match &mut self.log {
            Some(log) => log.merge(reading, news),
            None => self.log = Some(Log::of(window, reading.clone())),
        }
        (self.read, self.pause, self.sync) = (self.began, Duration::ZERO, Sync::Live);
        self.catch_up(news);
        if again {
            self.doubt();
        }
    }

    /// What the history knows better is dropped. A hole means that it must be read again.
    fn catch_up(&mut self, news: &mut Vec<News>) {
        let aside = self.take_aside();
        for (at, entry) in aside.iter().enumerate() {
            let Some(log) = &mut self.log else { return };
            if log.follow(entry, news) == Follow::Reread && entry.epoch >= log.head().epoch {
                aside[at..].iter().for_each(|entry| self.keep(entry));
                self.pause = self.backoff.failed();
                self.sync = Sync::Wanted;
                return;
            }
        }
        self.backoff.reset();
    }

    /// The history could not be read.
    pub(crate) fn reading_failed(&mut self) {
        self.pause = self.backoff.failed();
        self.sync = Sync::Wanted;
    }

    /// What was read cannot be compared yet: it is read again once the room was given back.
    pub(crate) fn read_too_early(&mut self) {
        self.sync = Sync::Wanted;
    }

    /// Takes older entries; `None` if they could not be read.
    pub(crate) fn read_older(&mut self, older: Option<(&[Arc<Entry>], bool)>) {
        self.older_under_way = false;
        if let (Some((entries, complete)), Some(log)) = (older, &mut self.log) {
            log.prepend(entries, complete);
        }
    }

    /// Forgets entries from before `oldest` (milliseconds since the Unix epoch), and what exceeds the window.
    pub(crate) fn trim(&mut self, oldest: u64, window: Window) {
        if let Some(log) = &mut self.log {
            log.expire(oldest);
            log.resize(window);
        }
    }

    /// True when a reading ends before what is held, in a later epoch.
    pub(crate) fn falls_short(&self, head: Position) -> bool {
        let held = self.log.as_ref().map(Log::head);
        held.is_some_and(|held| head.epoch > held.epoch && head.seq < held.seq)
    }

    /// What can be given back of the room, if anything.
    pub(crate) fn to_restore(&self, room: &RoomName) -> Option<HeldRoom> {
        let log = self.log.as_ref().filter(|log| log.head().seq > 0)?;
        Some(HeldRoom { room: room.clone(), head: log.head().seq, entries: log.to_restore(RESTORE_WINDOW) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Epoch, model::entry};

    const WINDOW: Window = Window { entries: 10, bytes: 1 << 20 };

    fn reading(head: u64) -> ReadHistory {
        let entries = (1..=head).map(|seq| entry(seq, 1)).collect();
        ReadHistory { head: Position { epoch: Epoch(1), seq: head }, entries, complete: true }
    }

    fn seqs(news: &[News]) -> Vec<u64> {
        let seq = |news: &News| match news {
            News::Entry(entry) => Some(entry.seq),
            News::Missing { .. } | News::Lost { .. } => None,
        };
        news.iter().filter_map(seq).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_the_history_is_read_is_shown_after_it() {
        let (mut log, mut news) = (RoomLog::new(), Vec::new());
        assert!(log.wants_reading());
        log.begin_reading();
        log.take(&entry(2, 1), WINDOW, true, &mut news);
        log.take(&entry(3, 1), WINDOW, true, &mut news);
        assert!(news.is_empty() && log.live().is_none());
        log.read(&reading(2), WINDOW, &mut news);
        assert_eq!((seqs(&news), log.live().map(|log| log.head().seq)), (vec![3], Some(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hole_is_read_again_and_nothing_behind_it_is_shown_before() {
        let (mut log, mut news) = (RoomLog::new(), Vec::new());
        log.begin_reading();
        log.read(&reading(1), WINDOW, &mut news);
        log.take(&entry(3, 1), WINDOW, true, &mut news);
        assert!(log.wants_reading() && news.is_empty());
        log.begin_reading();
        log.read(&reading(3), WINDOW, &mut news);
        assert_eq!(seqs(&news), [2, 3]);
        assert!(!log.wants_reading());
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_during_a_reading_leads_to_another_one() {
        let (mut log, mut news) = (RoomLog::new(), Vec::new());
        log.begin_reading();
        log.doubt();
        log.read(&reading(1), WINDOW, &mut news);
        assert!(log.wants_reading());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_reading_that_began_later_and_succeeded_counts() {
        let (mut log, mut news) = (RoomLog::new(), Vec::new());
        log.begin_reading();
        tokio::time::sleep(LOOK).await;
        let since = Instant::now();
        log.read(&reading(1), WINDOW, &mut news);
        assert!(!log.read_since(since), "it may have been read before");
        log.look_ahead();
        log.begin_reading();
        log.reading_failed();
        assert!(!log.read_since(since));
        log.begin_reading();
        log.read(&reading(1), WINDOW, &mut news);
        assert!(log.read_since(since));
    }
}
