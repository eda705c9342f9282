//! Reads of a room's history: to open a room, to heal a hole or compare branches, and to reach further back.
//!
//! Decides how much is read. Single flight: one read of the newest and one of older entries a room, whoever waits.

use std::{mem, sync::Arc, time::Duration};

use super::{
    Shared,
    actor::{Actor, Done, Older},
    backoff::rest,
    counters::tick,
    room::{Room, Sync},
    tail::within,
};
use crate::{
    bus::{Bus, Page},
    rooms::{
        Entry, Position, RoomName, Unavailable,
        follow::{Follow, News, Reading},
        log::{Log, Window},
    },
};

/// Entries a read: a page as clients ask for it, and a millisecond of Redis.
const PAGE: u32 = 100;

/// Reads under way at once, a partition: after a failover all rooms want one.
const READS: usize = 16;

struct Reader {
    bus: Arc<dyn Bus>,
    room: RoomName,
    window: Window,
    shared: Arc<Shared>,
}

impl Reader {
    async fn page(&self, before: Option<u64>) -> Result<Page, Unavailable> {
        tick(&self.shared.counters.reads);
        within(self.bus.history(&self.room, before, PAGE)).await
    }

    /// The newest entries, back to `floor` where that is known.
    async fn newest(&self, floor: Option<u64>) -> Result<Reading, Unavailable> {
        let page = self.page(None).await?;
        let head = Position { epoch: page.head.epoch, seq: page.head.seq };
        let (mut entries, mut complete) = (page.entries, !page.more);
        if let (Some(floor), Some(first)) = (floor, entries.first())
            && first.seq > floor
            && !complete
        {
            let (mut older, none) = self.older(first.seq, floor).await?;
            complete = none;
            if older.last().is_some_and(|last| last.epoch > first.epoch) {
                return Err(Unavailable("the branch changed while it was read".into()));
            }
            older.append(&mut entries);
            entries = older;
        }
        Ok(Reading { head, entries, complete })
    }

    /// The entries below `before`, back to `floor` or the window's size.
    async fn older(&self, before: u64, floor: u64) -> Result<Older, Unavailable> {
        let (mut pages, mut first, mut room) = (Vec::new(), before, self.window);
        let mut complete = false;
        while first > floor && first > 1 && !complete && room.entries > 0 && room.bytes > 0 {
            let page = self.page(Some(first)).await?;
            let Some(oldest) = contiguous(&page.entries, first) else {
                complete = page.entries.is_empty() && !page.more;
                break;
            };
            complete = !page.more;
            first = oldest;
            room.entries = room.entries.saturating_sub(page.entries.len());
            room.bytes = room.bytes.saturating_sub(page.entries.iter().map(|entry| entry.size()).sum());
            pages.push(page.entries);
        }
        Ok((pages.into_iter().rev().flatten().collect(), complete))
    }
}

/// The first seq of a page that ends right before `before`.
fn contiguous(entries: &[Arc<Entry>], before: u64) -> Option<u64> {
    let fits = entries.last().is_some_and(|last| last.seq + 1 == before);
    entries.first().filter(|_| fits).map(|first| first.seq)
}

impl Actor {
    fn reader(&self, room: &RoomName) -> Reader {
        let window = self.window();
        Reader { bus: Arc::clone(&self.bus), room: room.clone(), window, shared: Arc::clone(&self.shared) }
    }

    /// What each room may keep now.
    pub(super) fn window(&self) -> Window {
        let settings = &self.shared.settings;
        let share = settings.partition_bytes / self.rooms.len().max(1);
        Window { bytes: settings.window.bytes.min(share), ..settings.window }
    }

    /// Starts the reads that are wanted, as many as may be under way.
    pub(super) fn read_next(&mut self) {
        while self.reads < READS
            && self.tail.started
            && !self.restoring.under_way()
            && let Some(name) = self.unread.pop_front()
        {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            room.queued = false;
            if room.sync != Sync::Wanted || !room.in_use() {
                continue;
            }
            room.sync = Sync::Reading { again: false };
            let floor = floor(room);
            let pause = room.pause;
            let reader = self.reader(&name);
            self.reads += 1;
            self.work.push(Box::pin(async move {
                rest(pause).await;
                let result = reader.newest(floor).await;
                Done::Newest { room: name, result }
            }));
        }
    }

    pub(super) fn read_newest(&mut self, name: &RoomName, result: Result<Reading, Unavailable>) {
        self.reads -= 1;
        let window = self.window();
        let Some(room) = self.rooms.get(name) else { return };
        let short = result.as_ref().is_ok_and(|reading| self.needs_restore(room, reading.head));
        if short {
            self.restore();
        }
        let Some(room) = self.rooms.get_mut(name) else { return };
        let again = room.sync == Sync::Reading { again: true };
        match result {
            Ok(_) if short => room.sync = Sync::Wanted,
            Ok(reading) => {
                let news = room.merge(&reading, window);
                room.hear(news, &mut self.delivery);
                room.catch_up(&mut self.delivery);
                room.flush(&mut self.delivery);
            }
            Err(away) => {
                tick(&self.shared.counters.away);
                tracing::debug!(room = %name, %away, "the history waits");
                room.pause = room.backoff.failed();
                room.sync = Sync::Wanted;
            }
        }
        if again {
            room.want_reading();
        }
        self.want(name);
        self.unsettle(name);
    }

    /// Reads a room's history when its turn comes, if it wants that.
    pub(super) fn want(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if room.sync == Sync::Wanted && room.in_use() && !mem::replace(&mut room.queued, true) {
            self.unread.push_back(name.clone());
        }
    }

    /// Reads back to where the waiting joins resume from.
    pub(super) fn reach_back(&mut self, name: &RoomName) {
        let reader = self.reader(name);
        let Some(room) = self.rooms.get_mut(name).filter(|room| !room.reading_older) else { return };
        let Some(log) = &room.log else { return };
        let positions = room.waiting.iter().filter_map(|waiter| waiter.join.after);
        let Some(floor) = positions.filter(|at| log.wants_older(*at)).map(|at| at.seq).min() else { return };
        let first = log.first();
        room.reading_older = true;
        room.waiting.iter_mut().for_each(|waiter| waiter.looked = true);
        let name = name.clone();
        self.work.push(Box::pin(async move {
            let result = reader.older(first, floor).await;
            Done::Older { room: name, result }
        }));
    }

    pub(super) fn read_older(&mut self, name: &RoomName, result: Result<Older, Unavailable>) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.reading_older = false;
        match (result, &mut room.log) {
            (Ok((entries, complete)), Some(log)) => log.prepend(&entries, complete),
            (Ok(_), None) => {}
            (Err(away), _) => {
                tick(&self.shared.counters.away);
                tracing::debug!(room = %name, %away, "older history is not to be had");
                // Tried again when joins are next looked at.
                room.waiting.iter_mut().for_each(|waiter| waiter.looked = false);
                return;
            }
        }
        self.unsettle(name);
    }
}

/// How far back a reading should go: to the head it is compared with, and to where joins want to resume from.
fn floor(room: &Room) -> Option<u64> {
    let head = room.log.as_ref().map(|log| log.head().seq);
    let wanted = room.waiting.iter().filter_map(|waiter| waiter.join.after.map(|after| after.seq)).min();
    head.into_iter().chain(wanted.filter(|_| head.is_none())).min()
}

impl Room {
    /// Takes a reading; answers what readers are told.
    fn merge(&mut self, reading: &Reading, window: Window) -> Vec<News> {
        let mut news = Vec::new();
        match &mut self.log {
            Some(log) => log.merge(reading, &mut news),
            None => {
                let log = Log::of(window, reading.clone());
                self.told = log.head().epoch;
                self.log = Some(log);
            }
        }
        self.pause = Duration::ZERO;
        self.sync = Sync::Live;
        news
    }

    /// Takes the entries of the tail that came meanwhile. What the history knows better is dropped; a hole means that
    /// it must be read again.
    fn catch_up(&mut self, delivery: &mut super::delivery::Delivery) {
        let pending = self.take_aside();
        for (at, entry) in pending.iter().enumerate() {
            let Some(log) = &mut self.log else { return };
            let mut news = Vec::new();
            let reread = log.follow(entry, &mut news) == Follow::Reread && entry.epoch >= log.head().epoch;
            self.hear(news, delivery);
            if reread {
                pending[at..].iter().for_each(|entry| self.keep(entry));
                self.pause = self.backoff.failed();
                self.sync = Sync::Wanted;
                return;
            }
        }
        self.backoff.reset();
    }
}
