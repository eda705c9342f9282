//! What the hub brings: answers for one connection, chunks for all readers of a room.

use std::{ops::Range, sync::Arc};

use super::{
    Settings, SlowConsumer,
    connection::{Connection, Flags, Outgoing, Pending, Reading},
    counters::Counters,
    feed::{Fallen, Feed},
    turn::Reactor,
};
use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        link::{ConnectionId, RoomId, ToReactor},
        session::{Answer, Input, Presence},
    },
    rooms::{Epoch, Origin, RoomName},
};

impl Reactor {
    /// Takes one message of the hub; returns the bytes that it added to a room's ring.
    pub(super) fn hub_message(&mut self, message: ToReactor) -> usize {
        match message {
            ToReactor::Chunk { room, encoding, epoch, chunk } => return self.chunk(room, encoding, epoch, chunk),
            ToReactor::Joined { to, room, encoding, answer, backlog } => {
                self.joined(to, room, encoding, answer, &backlog);
            }
            ToReactor::Answer { to, answer } => self.answer(to, answer),
            ToReactor::Posted { to, tag, result } => {
                if let Some(slot) = self.connections.find(to) {
                    self.tell(slot, Input::Posted { tag, result });
                }
            }
            ToReactor::Gap { room, epoch, from, to } => self.gap(room, epoch, from, to),
            ToReactor::Presence { room, encoding, presence } => self.presence(room, encoding, &presence),
        }
        0
    }

    fn chunk(&mut self, room: RoomId, encoding: EncodingId, epoch: Epoch, chunk: Chunk) -> usize {
        let notice = chunk.notice;
        let bytes = self.keep_chunk(room, encoding, epoch, chunk);
        if notice {
            self.notice(room, encoding);
        }
        bytes
    }

    fn keep_chunk(&mut self, room: RoomId, encoding: EncodingId, epoch: Epoch, chunk: Chunk) -> usize {
        let bytes = chunk.bytes.len();
        let Some(index) = self.feed_of(room, encoding).filter(|_| bytes > 0) else { return 0 };
        let feed = &mut self.feeds[index as usize];
        let before = feed.bytes();
        feed.push(chunk, epoch);
        let Settings { ring_bytes, ring_chunks, rings_bytes, .. } = self.settings;
        let most = if self.rings > rings_bytes { 0 } else { ring_bytes };
        feed.bound(most, ring_chunks, &mut self.fallen);
        self.rings = self.rings + feed.bytes() - before;
        self.has_news(index);
        if !self.fallen.is_empty() {
            self.fell_out(index);
        }
        bytes
    }

    fn notice(&mut self, room: RoomId, encoding: EncodingId) {
        let Some(index) = self.feed_of(room, encoding) else { return };
        let feed = &self.feeds[index as usize];
        let name = feed.name.clone();
        let slots: Vec<u32> = feed.members.iter().map(|member| member.slot).collect();
        for slot in slots {
            if self.reads(slot as usize, index) {
                self.tell(slot as usize, Input::Notice { room: name.clone() });
            }
        }
    }

    fn fell_out(&mut self, index: u32) {
        let feed = &self.feeds[index as usize];
        let (name, epoch) = (feed.name.clone(), feed.epoch);
        for Fallen { slot, missed } in std::mem::take(&mut self.fallen) {
            let slot = slot as usize;
            match (self.settings.slow_consumer, missed) {
                (SlowConsumer::Disconnect, _) => {
                    Counters::add(&self.counters.slow_disconnected, 1);
                    self.count_refusal(slot, "slow_consumer");
                    self.close(slot, Some(1013), "slow_consumer");
                }
                (SlowConsumer::SkipToLatest, Some((from, to))) => {
                    Counters::add(&self.counters.slow_skipped, 1);
                    self.tell(slot, Input::Gap { room: name.clone(), epoch, from, to: Some(to) });
                }
                // Signals only: nothing that a gap could name.
                (SlowConsumer::SkipToLatest, None) => {}
            }
        }
    }

    fn answer(&mut self, to: ConnectionId, answer: Answer) {
        let Some(slot) = self.connections.find(to) else { return };
        self.end_asking(slot);
        self.tell(slot, Input::Answer(answer));
        self.go_on(slot, Flags::default());
    }

    fn end_asking(&mut self, slot: usize) -> Option<Pending> {
        self.connections.hot[slot].flags.clear(Flags::ASKING);
        self.connections.get(slot).and_then(|connection| connection.pending.take())
    }

    fn joined(&mut self, to: ConnectionId, room: RoomId, encoding: EncodingId, answer: Answer, backlog: &[Chunk]) {
        // One that ended meanwhile has told the hub so.
        let Some(slot) = self.connections.find(to) else { return };
        let Some(Pending::Join { room: name, presence }) = self.end_asking(slot) else { return };
        let epoch = if let Answer::Joined(joined) = &answer { joined.head.epoch } else { Epoch::default() };
        self.leave_feed(slot, &name, true);
        let feed = self.feed_or_new(room, &name, encoding, epoch);
        let place = self.feeds[feed as usize].join(slot as u32, presence);
        if let Some(connection) = self.connections.get(slot) {
            connection.rooms.push(Reading { feed, place });
        }
        self.tell(slot, Input::Answer(answer));
        let origin = self.connections.origin(slot);
        let reads = self.reads(slot, feed) && !self.connections.hot[slot].flags.any(Flags::ENDED);
        if let (true, Some(connection)) = (reads, self.connections.get(slot)) {
            let entries: u64 = backlog.iter().map(|chunk| queue(connection, chunk, origin)).sum();
            Counters::add(&self.counters.deliveries, entries);
            self.mark_dirty(slot);
        }
        self.go_on(slot, Flags::default());
    }

    fn gap(&mut self, room: RoomId, epoch: Epoch, from: u64, to: Option<u64>) {
        for (_, index) in self.rooms.get(&room).cloned().unwrap_or_default() {
            let feed = &mut self.feeds[index as usize];
            feed.epoch = epoch;
            let name = feed.name.clone();
            let slots: Vec<u32> = feed.members.iter().map(|member| member.slot).collect();
            for slot in slots {
                let slot = slot as usize;
                if self.reads(slot, index) {
                    // What came before the gap is written before its notice.
                    self.settle(slot, index);
                    self.tell(slot, Input::Gap { room: name.clone(), epoch, from, to });
                }
            }
        }
    }

    fn presence(&mut self, room: RoomId, encoding: EncodingId, presence: &Arc<Presence>) {
        let Some(index) = self.feed_of(room, encoding) else { return };
        let feed = &self.feeds[index as usize];
        let name = feed.name.clone();
        let wanting = feed.members.iter().filter(|member| member.presence);
        let slots: Vec<u32> = wanting.map(|member| member.slot).collect();
        for slot in slots {
            if self.reads(slot as usize, index) {
                self.tell(slot as usize, Input::Presence { room: name.clone(), presence: Arc::clone(presence) });
            }
        }
    }

    fn reads(&mut self, slot: usize, feed: u32) -> bool {
        self.connections.get(slot).is_some_and(|connection| connection.rooms.iter().any(|reading| reading.feed == feed))
    }

    fn feed_of(&self, room: RoomId, encoding: EncodingId) -> Option<u32> {
        self.rooms.get(&room)?.iter().find(|(id, _)| *id == encoding).map(|(_, index)| *index)
    }

    fn feed_or_new(&mut self, room: RoomId, name: &RoomName, encoding: EncodingId, epoch: Epoch) -> u32 {
        self.feed_of(room, encoding).unwrap_or_else(|| {
            let index = self.feeds.insert(Feed::new(room, name.clone(), encoding, epoch)) as u32;
            self.rooms.entry(room).or_default().push((encoding, index));
            index
        })
    }

    /// Queues what the connection has not got yet of a feed, so that what is queued next comes after it.
    fn settle(&mut self, slot: usize, index: u32) {
        let origin = self.connections.origin(slot);
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(reading) = connection.rooms.iter().find(|reading| reading.feed == index).copied() else { return };
        let feed = &mut self.feeds[index as usize];
        let cursor = feed.members[reading.place as usize].cursor;
        if cursor == feed.end() {
            return;
        }
        let entries: u64 = feed.from(cursor).map(|chunk| queue(connection, chunk, origin)).sum();
        feed.members[reading.place as usize].cursor = feed.end();
        Counters::add(&self.counters.deliveries, entries);
        self.mark_dirty(slot);
    }

    /// Queues what the connection has not got yet of any of its rooms.
    pub(super) fn settle_all(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else { return };
        for reading in connection.rooms.clone() {
            self.settle(slot, reading.feed);
        }
    }

    /// Takes the connection out of the room's readers. `settle`: what it has not got yet is still written.
    pub(super) fn leave_feed(&mut self, slot: usize, room: &RoomName, settle: bool) {
        let feeds = &self.feeds;
        let Some(connection) = self.connections.cold[slot].as_deref() else { return };
        let named = |reading: &Reading| feeds[reading.feed as usize].name == *room;
        let Some(at) = connection.rooms.iter().position(named) else { return };
        let Reading { feed: index, place } = connection.rooms[at];
        if settle {
            self.settle(slot, index);
        }
        if let Some(connection) = self.connections.get(slot) {
            connection.rooms.swap_remove(at);
        }
        let feed = &mut self.feeds[index as usize];
        for (slot, place) in feed.leave(place) {
            let moved = self.connections.get(slot as usize);
            if let Some(reading) = moved.and_then(|moved| moved.rooms.iter_mut().find(|reading| reading.feed == index))
            {
                reading.place = place;
            }
        }
        if feed.members.is_empty() {
            self.drop_feed(index);
        }
    }

    fn drop_feed(&mut self, index: u32) {
        self.end_rest(index);
        let feed = self.feeds.remove(index as usize);
        self.rings -= feed.bytes();
        if feed.dirty {
            self.dirty_feeds.retain(|dirty| *dirty != index);
        }
        self.flushing.retain(|flushing| *flushing != index);
        if let Some(feeds) = self.rooms.get_mut(&feed.room) {
            feeds.retain(|(encoding, _)| *encoding != feed.encoding);
            if feeds.is_empty() {
                self.rooms.remove(&feed.room);
            }
        }
    }

    pub(super) fn mark_feed_dirty(&mut self, index: u32) {
        self.end_rest(index);
        let feed = &mut self.feeds[index as usize];
        if !feed.dirty {
            feed.dirty = true;
            self.dirty_feeds.push(index);
        }
    }
}

/// Queues what `origin` may see of `chunk`; returns the number of entries.
pub(super) fn queue(connection: &mut Connection, chunk: &Chunk, origin: Origin) -> u64 {
    visible(chunk, origin, |range| connection.outgoing.push_back(Outgoing::Shared(chunk.bytes.slice(range))));
    entries(chunk)
}

/// Entries in `chunk`.
pub(super) fn entries(chunk: &Chunk) -> u64 {
    chunk.seqs.map_or(0, |(first, last)| (last + 1).saturating_sub(first))
}

/// The runs of `chunk` that the connection `origin` may see, none of them empty.
pub(super) fn visible(chunk: &Chunk, origin: Origin, mut run: impl FnMut(Range<usize>)) {
    let mut at = 0;
    for hidden in chunk.hidden.iter().filter(|hidden| hidden.from == origin) {
        if at < hidden.start as usize {
            run(at..hidden.start as usize);
        }
        at = hidden.end as usize;
    }
    if at < chunk.bytes.len() {
        run(at..chunk.bytes.len());
    }
}
