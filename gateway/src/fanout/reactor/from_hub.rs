//! What the hub brings: answers for one connection, chunks for all readers of a room.
//!
//! Decides which sessions receive it, and in which order: what came before a gap is queued before the gap.

use std::sync::Arc;

use super::{
    counters::Counters,
    ids::Slot,
    next::{Next, Todo},
    readers::{Pushed, Readers, pass_on},
    settings::SlowConsumer,
    sockets::{Pending, Sockets, Table},
    write,
};
use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        messages::{RoomId, ToReactor, Unheard},
        session::{Answer, Input},
    },
    moderation::{Moderation, News},
    rooms::{Epoch, Position, RoomName},
};

/// What messages of the hub may touch.
pub(super) struct Arrival<'a> {
    pub(super) sockets: &'a mut Sockets,
    pub(super) readers: &'a mut Readers,
    pub(super) moderation: &'a Moderation,
    pub(super) counters: &'a Counters,
    pub(super) slow_consumer: SlowConsumer,
    pub(super) todo: &'a mut Todo,
}

impl Arrival<'_> {
    /// Takes one message; returns the bytes that it added to a room's ring.
    pub(super) fn take(&mut self, message: ToReactor) -> usize {
        match message {
            ToReactor::Chunk { room, encoding, epoch, chunk } => return self.chunk(room, encoding, epoch, chunk),
            ToReactor::Joined { to, room, encoding, answer, backlog } => {
                // The hub knows already of one that ended meanwhile.
                if let Some(slot) = self.sockets.find(to) {
                    self.joined(slot, room, encoding, answer, backlog);
                }
            }
            ToReactor::Answer { to, answer } => {
                if let Some(slot) = self.sockets.find(to) {
                    self.sockets.end_asking(slot);
                    self.todo.push_back(Next::Tell(slot, Input::Answer(answer)));
                    self.todo.push_back(Next::ReadOn(slot));
                }
            }
            ToReactor::Posted { to, tag, result, unheard } => {
                if let Some(slot) = self.sockets.find(to) {
                    unheard.into_iter().for_each(Unheard::heard);
                    self.todo.push_back(Next::Tell(slot, Input::Posted { tag, result }));
                }
            }
            ToReactor::Moderated { to, news } => {
                if let Some(slot) = self.sockets.find(to) {
                    self.moderated(slot, news);
                }
            }
            ToReactor::Gap { room, epoch, from, to } => self.gap(room, epoch, from, to),
            ToReactor::Presence { room, encoding, presence } => {
                let (name, slots) = self.readers.presence_readers_of(room, encoding).unzip();
                self.tell_all(name, slots, |room| Input::Presence { room, presence: Arc::clone(&presence) });
            }
        }
        0
    }

    fn chunk(&mut self, room: RoomId, encoding: EncodingId, epoch: Epoch, chunk: Chunk) -> usize {
        let notice = chunk.notice;
        let Pushed { bytes, fallen } = self.readers.push(room, encoding, epoch, chunk);
        if let Some((name, epoch, fallen)) = fallen {
            for fallen in fallen {
                self.fell_out(fallen.slot, &name, epoch, fallen.missed);
            }
        }
        if notice {
            let (name, slots) = self.readers.readers_of(room, encoding).unzip();
            self.tell_all(name, slots, |room| Input::Notice { room });
        }
        bytes
    }

    /// A person who is kicked or banned learns it, and is closed.
    fn moderated(&mut self, slot: Slot, news: Arc<News>) {
        if let Some((ban, address)) = news.addresses_of.as_ref().zip(self.sockets.address(slot)) {
            self.moderation.saw_address(ban, address);
        }
        let code = news.code;
        self.todo.push_back(Next::Tell(slot, Input::Moderated(news)));
        if code.closes() {
            self.sockets.count_refusal(slot, code.name());
            self.todo.push_back(Next::Close { slot, code: 1008, reason: code.name() });
        }
    }

    fn tell_all(
        &mut self,
        name: Option<RoomName>,
        slots: Option<Vec<Slot>>,
        input: impl Fn(RoomName) -> Input<'static>,
    ) {
        let (Some(name), Some(slots)) = (name, slots) else { return };
        self.todo.extend(slots.into_iter().map(|slot| Next::Tell(slot, input(name.clone()))));
    }

    fn fell_out(&mut self, slot: Slot, room: &RoomName, epoch: Epoch, missed: Option<(u64, u64)>) {
        match (self.slow_consumer, missed) {
            (SlowConsumer::Disconnect, _) => {
                Counters::add(&self.counters.slow_disconnected, 1);
                self.sockets.count_refusal(slot, "slow_consumer");
                self.todo.push_back(Next::Close { slot, code: 1013, reason: "slow_consumer" });
            }
            (SlowConsumer::SkipToLatest, Some((from, to))) => {
                Counters::add(&self.counters.slow_skipped, 1);
                self.todo.push_back(Next::Tell(slot, Input::Gap { room: room.clone(), epoch, from, to: Some(to) }));
            }
            // Signals only: nothing that a gap could name.
            (SlowConsumer::SkipToLatest, None) => {}
        }
    }

    fn joined(&mut self, slot: Slot, room: RoomId, encoding: EncodingId, answer: Answer, backlog: Vec<Chunk>) {
        let Some(Pending::Join { room: name, presence }) = self.sockets.end_asking(slot) else { return };
        let unknown = Position { epoch: Epoch::default(), seq: 0 };
        let head = if let Answer::Joined(joined) = &answer { joined.head } else { unknown };
        // One that joins again is first written what it had not got yet.
        write::settle_room(slot, &name, self.sockets.table(), self.readers, self.counters);
        self.readers.leave(slot, &name);
        let feed = self.readers.join(slot, room, &name, encoding, head, presence);
        self.todo.push_back(Next::Tell(slot, Input::Answer(answer)));
        self.todo.push_back(Next::Joined { slot, feed, backlog });
    }

    fn gap(&mut self, room: RoomId, epoch: Epoch, from: u64, to: Option<u64>) {
        for (feed, name, slots) in self.readers.begin_epoch(room, epoch) {
            for slot in slots {
                write::settle(slot, feed, self.sockets.table(), self.readers, self.counters);
                self.todo.push_back(Next::Tell(slot, Input::Gap { room: name.clone(), epoch, from, to }));
            }
        }
    }
}

/// Queues what the log had before a join for the connection, if it is still a reader of the feed.
pub(super) fn queue_backlog(slot: Slot, backlog: &[Chunk], table: &mut Table, counters: &Counters) {
    let origin = table.origin(slot);
    let delivered = pass_on(backlog.iter(), origin, |bytes| table.queue_chunk(slot, bytes));
    Counters::add(&counters.deliveries, delivered);
}
