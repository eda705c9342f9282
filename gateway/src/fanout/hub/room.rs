//! A room in use: its log, its members, and what its readers have been sent.
//!
//! Decides what becomes a chunk and which epoch readers are told. Owned by the actor of its partition.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Shared,
    backlog::Backlogs,
    backoff::Backoff,
    delivery::{Delivery, Seat},
    joins::Waiter,
    presence::Presence,
};
use crate::{
    fanout::link::{ConnectionId, RoomId, ToReactor},
    rooms::{
        Author, Entry, Epoch, ProtocolId, RoomName,
        follow::{Follow, News},
        log::{Log, Window},
        membership::Membership,
        pace::Pace,
    },
};

/// Bytes of entries in one chunk, except that one entry always fits: readers see the first lines of a long run early,
/// and a chunk stays a small part of a reactor's ring.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Joins a second, and leaves a second, that others are told of one by one.
const ANNOUNCED: u32 = 50;

/// What is kept of a member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) who: Author,
    pub(super) protocol: ProtocolId,
    /// Whether others are told of its coming and going.
    pub(super) announce: bool,
}

/// Whether the log follows the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// The history must be read; entries of the tail wait in `pending`.
    Wanted,
    /// It is being read. `again`: it must be read once more after that.
    Reading {
        again: bool,
    },
    Live,
}

/// A room in memory.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) id: RoomId,
    /// None until the history was read for the first time.
    pub(super) log: Option<Log>,
    pub(super) sync: Sync,
    pub(super) backoff: Backoff,
    /// Before the next reading.
    pub(super) pause: Duration,
    /// When the history was last read for a position ahead of the log.
    pub(super) reread: Option<Instant>,
    /// Entries of the tail that came while the history is read.
    pending: Vec<Arc<Entry>>,
    pending_bytes: usize,
    /// Waits for its turn to be read.
    pub(super) queued: bool,
    /// Older entries are being read.
    pub(super) reading_older: bool,
    pub(super) members: Membership<ConnectionId, Seat, Member>,
    pub(super) waiting: VecDeque<Waiter>,
    /// The epoch that every reader knows.
    pub(super) told: Epoch,
    unsent: Vec<Arc<Entry>>,
    unsent_bytes: usize,
    pub(super) backlogs: Backlogs,
    pub(super) joins: Pace,
    pub(super) leaves: Pace,
    pub(super) presence: Presence,
    /// The count of members that the bus has acknowledged.
    pub(super) reported: u32,
    /// Counted in `limits.rooms`.
    pub(super) admitted: bool,
    /// Without members and joins since.
    pub(super) idle: Option<Instant>,
}

impl Room {
    pub(super) fn new(name: RoomName, id: RoomId) -> Self {
        Self {
            name,
            id,
            log: None,
            sync: Sync::Wanted,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            reread: None,
            pending: Vec::new(),
            pending_bytes: 0,
            queued: false,
            reading_older: false,
            members: Membership::default(),
            waiting: VecDeque::new(),
            told: Epoch::default(),
            unsent: Vec::new(),
            unsent_bytes: 0,
            backlogs: Backlogs::default(),
            joins: Pace::new(ANNOUNCED),
            leaves: Pace::new(ANNOUNCED),
            presence: Presence::default(),
            reported: 0,
            admitted: false,
            idle: None,
        }
    }

    /// Takes a place among `limits.rooms`, if there is one.
    pub(super) fn admit(&mut self, shared: &Shared) -> bool {
        let free = |used: usize| (used < shared.settings.rooms).then_some(used + 1);
        self.admitted = self.admitted || shared.rooms.fetch_update(Relaxed, Relaxed, free).is_ok();
        if self.admitted {
            self.idle = None;
        }
        self.admitted
    }

    /// Gives the place back once nobody is left.
    pub(super) fn release(&mut self, shared: &Shared) {
        if self.members.is_empty() && self.waiting.is_empty() && self.admitted {
            self.admitted = false;
            shared.rooms.fetch_sub(1, Relaxed);
            self.idle = Some(Instant::now());
        }
    }

    /// True while somebody reads it or waits to.
    pub(super) fn in_use(&self) -> bool {
        self.admitted
    }

    /// The log must be compared with the history before it goes on.
    pub(super) fn want_reading(&mut self) {
        self.sync = match self.sync {
            Sync::Reading { .. } => Sync::Reading { again: true },
            Sync::Wanted | Sync::Live => Sync::Wanted,
        };
    }

    /// Takes an entry of the tail.
    pub(super) fn take(&mut self, entry: &Arc<Entry>, bound: Window, delivery: &mut Delivery) {
        if let (Sync::Live, Some(log)) = (self.sync, &mut self.log) {
            let mut news = Vec::new();
            if log.follow(entry, &mut news) != Follow::Reread {
                self.hear(news, delivery);
                return;
            }
            self.want_reading();
        }
        self.set_aside(entry, bound);
    }

    /// Keeps an entry until the history has been read. What does not fit, or comes while nobody reads the room, the
    /// history will have.
    fn set_aside(&mut self, entry: &Arc<Entry>, bound: Window) {
        if self.sync == Sync::Wanted && !self.in_use() {
            return;
        }
        if self.pending.len() >= bound.entries || self.pending_bytes + entry.size() > bound.bytes {
            self.take_aside();
            self.want_reading();
        }
        self.keep(entry);
    }

    pub(super) fn keep(&mut self, entry: &Arc<Entry>) {
        self.pending_bytes += entry.size();
        self.pending.push(Arc::clone(entry));
    }

    /// What was set aside, which is nothing afterwards.
    pub(super) fn take_aside(&mut self) -> Vec<Arc<Entry>> {
        self.pending_bytes = 0;
        mem::take(&mut self.pending)
    }

    /// Passes on what readers are told, in order.
    pub(super) fn hear(&mut self, news: Vec<News>, delivery: &mut Delivery) {
        for news in news {
            match news {
                News::Entry(entry) => self.queue(entry, delivery),
                News::Missing { epoch, span } => self.gap(epoch, span.first, Some(span.last), delivery),
                News::Lost { epoch, span } => self.gap(epoch, span.first, None, delivery),
            }
        }
    }

    fn queue(&mut self, entry: Arc<Entry>, delivery: &mut Delivery) {
        if self.members.is_empty() {
            self.told = self.told.max(entry.epoch);
            return;
        }
        let parts = self.unsent.first().is_some_and(|first| first.epoch != entry.epoch);
        if parts || self.unsent_bytes + entry.size() > CHUNK_BYTES {
            self.flush(delivery);
        }
        self.unsent_bytes += entry.size();
        self.unsent.push(entry);
    }

    /// Sends what was queued: encoded once an encoding, one chunk a reactor.
    pub(super) fn flush(&mut self, delivery: &mut Delivery) {
        let Some(first) = self.unsent.first() else { return };
        let epoch = (first.epoch > self.told).then_some(first.epoch);
        self.told = self.told.max(first.epoch);
        let entries = mem::take(&mut self.unsent);
        self.unsent_bytes = 0;
        delivery.chunks(self.id, self.told, self.members.seats(), |delivery, encoding| {
            delivery.encode(encoding, &self.name, epoch, &entries)
        });
    }

    fn gap(&mut self, epoch: Epoch, from: u64, to: Option<u64>, delivery: &mut Delivery) {
        self.flush(delivery);
        self.backlogs.clear();
        self.told = self.told.max(epoch);
        if !self.members.is_empty() {
            delivery.told_gap();
        }
        let (room, epoch) = (self.id, self.told);
        delivery.each(self.members.seats(), || ToReactor::Gap { room, epoch, from, to });
    }
}
