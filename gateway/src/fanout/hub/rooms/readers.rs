//! Who reads a room on this gateway, and what its readers have been sent.
//!
//! Decides what becomes a chunk, and when readers learn a new epoch. Never decides what a join is sent.

use std::{mem, sync::Arc};

use super::{
    super::{
        delivery::{Delivery, Seat},
        presence::rosters::LocalPeople,
    },
    backlog::Backlogs,
    chunk::CHUNK_BYTES,
};
use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        messages::{ConnectionId, RoomId, ToReactor},
        presence::Presence,
    },
    rooms::{Author, Entry, Epoch, ProtocolId, RoomName, Signal, follow::News, log::Log, membership::Membership},
};

/// What is kept of a member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) who: Author,
    pub(crate) protocol: ProtocolId,
    /// Whether others learn of its coming and going.
    pub(crate) announce: bool,
    /// Everything after this seq was written to it, or reported to it as a gap.
    pub(crate) shown_after: u64,
}

/// The readers of a room.
#[derive(Debug)]
pub(crate) struct Readers {
    id: RoomId,
    room: RoomName,
    members: Membership<ConnectionId, Seat, Member>,
    /// The epoch that every reader knows.
    told: Epoch,
    unsent: Vec<Arc<Entry>>,
    unsent_bytes: usize,
    backlogs: Backlogs,
}

impl Readers {
    pub(crate) fn new(id: RoomId, room: RoomName) -> Self {
        Self {
            id,
            room,
            members: Membership::default(),
            told: Epoch::default(),
            unsent: Vec::new(),
            unsent_bytes: 0,
            backlogs: Backlogs::default(),
        }
    }

    pub(crate) fn id(&self) -> RoomId {
        self.id
    }

    pub(crate) fn room(&self) -> &RoomName {
        &self.room
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Everything after which seq this reader was shown, if it is one.
    pub(crate) fn shown_after(&self, connection: &ConnectionId) -> Option<u64> {
        self.members.get(connection).map(|member| member.shown_after)
    }

    /// Adds a reader, or replaces it.
    pub(crate) fn insert(&mut self, connection: ConnectionId, seat: Seat, member: Member) {
        self.members.insert(connection, seat, member);
    }

    pub(crate) fn remove(&mut self, connection: &ConnectionId) -> Option<Member> {
        self.members.remove(connection)
    }

    /// The connections that read the room here, and who they are.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (ConnectionId, &Author)> {
        self.members.connections().map(|(connection, member)| (*connection, &member.who))
    }

    /// Who reads the room here, by name.
    pub(crate) fn people(&self) -> LocalPeople {
        LocalPeople::of(self.members.iter().map(|member| &member.who))
    }

    /// True if a reader asked for presence.
    pub(crate) fn watched(&self) -> bool {
        self.watchers().next().is_some()
    }

    fn watchers(&self) -> impl Iterator<Item = Seat> {
        self.members.seats().filter(|seat| seat.presence)
    }

    /// Readers know this epoch, or learn it when they join.
    pub(crate) fn know(&mut self, epoch: Epoch) {
        self.told = self.told.max(epoch);
    }

    /// Passes news on to the readers, in order.
    pub(crate) fn hear(&mut self, news: impl Iterator<Item = News>, delivery: &mut Delivery) {
        for news in news {
            match news {
                News::Entry(entry) => {
                    if let Some(amendment) = &entry.amends {
                        self.backlogs.amended(amendment);
                    }
                    self.queue(entry, delivery);
                }
                News::Missing { epoch, span } => self.gap(epoch, span.first, Some(span.last), delivery),
                News::Lost { epoch, span } => self.gap(epoch, span.first, None, delivery),
            }
        }
    }

    fn queue(&mut self, entry: Arc<Entry>, delivery: &mut Delivery) {
        if self.members.is_empty() {
            return self.know(entry.epoch);
        }
        let parts = self.unsent.first().is_some_and(|first| first.epoch != entry.epoch);
        if parts || self.unsent_bytes + entry.size() > CHUNK_BYTES {
            self.flush(delivery);
        }
        self.unsent_bytes += entry.size();
        self.unsent.push(entry);
    }

    /// Sends what was queued: encoded once for an encoding, one chunk for a reactor.
    pub(crate) fn flush(&mut self, delivery: &mut Delivery) {
        let Some(first) = self.unsent.first() else { return };
        let epoch = (first.epoch > self.told).then_some(first.epoch);
        self.told = self.told.max(first.epoch);
        let entries = mem::take(&mut self.unsent);
        self.unsent_bytes = 0;
        delivery.chunks(self.id, self.told, self.members.seats(), |delivery, encoding| {
            let chunk = delivery.encode(encoding, &self.room, epoch, &entries)?;
            Some(chunk.appended(entries.last()?.time))
        });
    }

    fn gap(&mut self, epoch: Epoch, from: u64, to: Option<u64>, delivery: &mut Delivery) {
        self.flush(delivery);
        self.backlogs.clear();
        self.know(epoch);
        if !self.members.is_empty() {
            delivery.told_gap();
        }
        let (room, epoch) = (self.id, self.told);
        delivery.each(self.members.seats(), || ToReactor::Gap { room, epoch, from, to });
    }

    /// Sends a signal to all readers.
    pub(crate) fn signal(&self, signal: &Signal, delivery: &mut Delivery) {
        delivery.chunks(self.id, self.told, self.members.seats(), |delivery, encoding| {
            delivery.encode_signal(encoding, &self.room, signal)
        });
    }

    /// Tells those who asked for it who is in the room.
    pub(crate) fn presence(&self, presence: &Arc<Presence>, delivery: &mut Delivery) {
        delivery.presence(self.id, &self.room, self.told, self.watchers(), presence);
    }

    /// The entries after `after`, which the log must hold, up to its head: encoded once for all that ask for the same.
    pub(crate) fn backlog(
        &mut self,
        after: u64,
        encoding: EncodingId,
        log: &Log,
        viewer: &Author,
        delivery: &Delivery,
    ) -> Vec<Chunk> {
        self.backlogs.after(after, encoding, &self.room, log, viewer, delivery)
    }

    /// Forgets the backlogs that nobody came back for since the last call.
    pub(crate) fn forget_unused_backlogs(&mut self) {
        self.backlogs.clear_unused();
    }
}
