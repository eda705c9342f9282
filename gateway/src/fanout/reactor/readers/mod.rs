//! Who reads which room here, and what each reader has not got yet.
//!
//! Decides what is kept for slow readers and who falls behind; never touches a socket: what is to be written goes
//! through [`Sink`]. Keeps three things in agreement: a connection's places and its rooms' readers, the bytes of all
//! rings and their sum, and the feeds that wait for a flush and their marks.

mod chunks;
mod feed;
#[cfg(test)]
mod tests;
mod walk;

use std::{collections::HashMap, io::IoSlice, mem};

use bytes::Bytes;
use slab::Slab;
use smallvec::SmallVec;

use self::{
    chunks::{entries, visible},
    feed::Feed,
};
pub(super) use self::{
    feed::Fallen,
    walk::{Sink, Walked, Wrote},
};
use super::{
    ids::{FeedId, ReaderIndex, Slot},
    settings::ReactorSettings,
};
use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        messages::RoomId,
    },
    rooms::{Epoch, Origin, Position, RoomName},
};

/// A room that a connection reads.
#[derive(Clone, Copy, Debug)]
struct FeedReader {
    feed: FeedId,
    place: ReaderIndex,
}

/// The readers of a reactor.
pub(super) struct Readers {
    settings: ReactorSettings,
    feeds: Slab<Feed>,
    /// The feeds of a room that is read here.
    rooms: HashMap<RoomId, SmallVec<[(EncodingId, FeedId); 2]>>,
    /// The rooms that a connection reads, by slot.
    reading: Vec<SmallVec<[FeedReader; 2]>>,
    /// Bytes in the rings of all feeds.
    ring_bytes: usize,
    /// Feeds to flush, and those of the flush that is under way.
    dirty: Vec<FeedId>,
    flushing: Vec<FeedId>,
    /// What several chunks are merged in, for one write to many readers.
    merged: Vec<u8>,
}

/// What came of a chunk.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// Bytes that it added to a ring.
    pub(super) bytes: usize,
    /// Readers for which it was one too many, and what they read.
    pub(super) fallen: Option<(RoomName, Epoch, Vec<Fallen>)>,
}

impl Readers {
    pub(super) fn new(settings: ReactorSettings) -> Self {
        Self {
            settings,
            feeds: Slab::new(),
            rooms: HashMap::new(),
            reading: Vec::new(),
            ring_bytes: 0,
            dirty: Vec::new(),
            flushing: Vec::new(),
            merged: Vec::new(),
        }
    }

    // Who reads what.

    /// Whether the connection may read `room`: it reads it already, or is in fewer rooms than allowed.
    pub(super) fn may_join(&self, slot: Slot, room: &RoomName) -> bool {
        let rooms = self.rooms_of(slot);
        rooms.len() < self.settings.rooms_per_connection || self.reading_of(slot, room).is_some()
    }

    /// Makes the connection a reader, from the room's end on, which it knows to be `head`.
    pub(super) fn join(
        &mut self,
        slot: Slot,
        room: RoomId,
        name: &RoomName,
        encoding: EncodingId,
        head: Position,
        presence: bool,
    ) -> FeedId {
        let feed = self.feed_of(room, encoding).unwrap_or_else(|| {
            let feed = FeedId(self.feeds.insert(Feed::new(room, name.clone(), encoding, head.epoch)) as u32);
            self.rooms.entry(room).or_default().push((encoding, feed));
            feed
        });
        let place = self.feeds[feed.index()].join(slot, head, presence);
        if self.reading.len() <= slot.index() {
            self.reading.resize_with(slot.index() + 1, SmallVec::new);
        }
        self.reading[slot.index()].push(FeedReader { feed, place });
        feed
    }

    /// Takes the connection out of the room's readers; what it has not got yet is not written.
    pub(super) fn leave(&mut self, slot: Slot, room: &RoomName) {
        let Some(at) = self.reading_of(slot, room) else { return };
        let FeedReader { feed: id, place } = self.reading[slot.index()].swap_remove(at);
        let feed = &mut self.feeds[id.index()];
        for (slot, place) in feed.leave(place) {
            let moved = self.reading.get_mut(slot.index()).into_iter().flatten();
            moved.filter(|reading| reading.feed == id).for_each(|reading| reading.place = place);
        }
        if feed.is_empty() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: FeedId) {
        let feed = self.feeds.remove(id.index());
        self.ring_bytes -= feed.bytes();
        self.dirty.retain(|dirty| *dirty != id);
        self.flushing.retain(|flushing| *flushing != id);
        if let Some(feeds) = self.rooms.get_mut(&feed.room) {
            feeds.retain(|(encoding, _)| *encoding != feed.encoding);
            if feeds.is_empty() {
                self.rooms.remove(&feed.room);
            }
        }
    }

    /// Any room that the connection reads.
    pub(super) fn any_room(&self, slot: Slot) -> Option<RoomName> {
        self.rooms_of(slot).first().map(|reading| self.feeds[reading.feed.index()].name.clone())
    }

    /// The feed through which the connection reads a room.
    pub(super) fn feed_read(&self, slot: Slot, room: &RoomName) -> Option<FeedId> {
        Some(self.rooms_of(slot)[self.reading_of(slot, room)?].feed)
    }

    pub(super) fn reads(&self, slot: Slot, feed: FeedId) -> bool {
        self.rooms_of(slot).iter().any(|reading| reading.feed == feed)
    }

    /// Up to where the connection has got each of its rooms, as far as that is known.
    pub(super) fn read_by(&self, slot: Slot) -> Vec<(RoomName, Position)> {
        let read = |reading: &FeedReader| {
            let feed = &self.feeds[reading.feed.index()];
            Some((feed.name.clone(), feed.read_by(reading.place)?))
        };
        self.rooms_of(slot).iter().filter_map(read).collect()
    }

    /// The room's name and readers here in one encoding.
    pub(super) fn readers_of(&self, room: RoomId, encoding: EncodingId) -> Option<(RoomName, Vec<Slot>)> {
        let feed = &self.feeds[self.feed_of(room, encoding)?.index()];
        Some((feed.name.clone(), feed.readers().collect()))
    }

    /// The room's name, and those of its readers in one encoding that see who is in it.
    pub(super) fn presence_readers_of(&self, room: RoomId, encoding: EncodingId) -> Option<(RoomName, Vec<Slot>)> {
        let feed = &self.feeds[self.feed_of(room, encoding)?.index()];
        Some((feed.name.clone(), feed.presence_readers().collect()))
    }

    /// The room's feeds here: its readers know `epoch` from now on.
    pub(super) fn begin_epoch(&mut self, room: RoomId, epoch: Epoch) -> Vec<(FeedId, RoomName, Vec<Slot>)> {
        let ids = self.rooms.get(&room).into_iter().flatten().map(|(_, id)| *id);
        ids.map(|id| {
            let feed = &mut self.feeds[id.index()];
            feed.begin_epoch(epoch);
            (id, feed.name.clone(), feed.readers().collect())
        })
        .collect()
    }

    fn feed_of(&self, room: RoomId, encoding: EncodingId) -> Option<FeedId> {
        self.rooms.get(&room)?.iter().find(|(id, _)| *id == encoding).map(|(_, feed)| *feed)
    }

    fn rooms_of(&self, slot: Slot) -> &[FeedReader] {
        self.reading.get(slot.index()).map_or(&[], SmallVec::as_slice)
    }

    fn reading_of(&self, slot: Slot, room: &RoomName) -> Option<usize> {
        self.rooms_of(slot).iter().position(|reading| self.feeds[reading.feed.index()].name == *room)
    }

    // What there is to read.

    /// Appends a chunk to a room's log; readers that fall too far behind move to its end.
    pub(super) fn push(&mut self, room: RoomId, encoding: EncodingId, epoch: Epoch, chunk: Chunk) -> Pushed {
        let bytes = chunk.bytes.len();
        let Some(id) = self.feed_of(room, encoding).filter(|_| bytes > 0) else { return Pushed::default() };
        let ReactorSettings { ring_bytes, ring_chunks, rings_bytes, .. } = self.settings;
        let most = if self.ring_bytes > rings_bytes { 0 } else { ring_bytes };
        let fallen = self.change(id, |feed| {
            feed.push(chunk, epoch);
            feed.bound(most, ring_chunks)
        });
        self.mark_dirty(id);
        let feed = &self.feeds[id.index()];
        let fallen = (!fallen.is_empty()).then(|| (feed.name.clone(), feed.epoch, fallen));
        Pushed { bytes, fallen }
    }

    /// Changes what a feed keeps, and the sum with it.
    fn change<R>(&mut self, id: FeedId, change: impl FnOnce(&mut Feed) -> R) -> R {
        let feed = &mut self.feeds[id.index()];
        let before = feed.bytes();
        let changed = change(feed);
        self.ring_bytes = self.ring_bytes + feed.bytes() - before;
        changed
    }

    /// Passes what the connection has not got of a feed to `queue`, as the runs of bytes that `origin` may see, and
    /// counts it as got. Returns the number of entries.
    pub(super) fn settle(&mut self, slot: Slot, id: FeedId, origin: Origin, queue: impl FnMut(Bytes)) -> u64 {
        let Some(reading) = self.rooms_of(slot).iter().find(|reading| reading.feed == id).copied() else { return 0 };
        let feed = &mut self.feeds[id.index()];
        let delivered = pass_on(feed.from(feed.cursor(reading.place)), origin, queue);
        feed.set_cursor(reading.place, feed.end());
        delivered
    }

    /// As [`Readers::settle`], for all rooms of the connection.
    pub(super) fn settle_all(&mut self, slot: Slot, origin: Origin, mut queue: impl FnMut(Bytes)) -> u64 {
        let feeds: SmallVec<[FeedId; 2]> = self.rooms_of(slot).iter().map(|reading| reading.feed).collect();
        feeds.into_iter().map(|id| self.settle(slot, id, origin, &mut queue)).sum()
    }

    // Writing to one connection.

    /// Collects what the connection has not got of its rooms, at most `most` slices in all; false when there is more.
    pub(super) fn gather<'a, const N: usize>(
        &'a self,
        slot: Slot,
        origin: Origin,
        slices: &mut SmallVec<[IoSlice<'a>; N]>,
    ) -> bool {
        for reading in self.rooms_of(slot) {
            let feed = &self.feeds[reading.feed.index()];
            for chunk in feed.from(feed.cursor(reading.place)) {
                if slices.len() + chunk.hidden.len() >= N && !slices.is_empty() {
                    return false;
                }
                visible(chunk, origin, |range| slices.push(IoSlice::new(&chunk.bytes[range])));
            }
        }
        true
    }

    /// Moves past the `n` bytes that were written, in the order of [`Readers::gather`]. A chunk that was cut in two counts
    /// as got, and the rest of it goes to `keep`. Returns the number of entries.
    pub(super) fn wrote(&mut self, slot: Slot, origin: Origin, mut n: usize, mut keep: impl FnMut(Bytes)) -> u64 {
        let mut delivered = 0;
        for reading in self.reading.get(slot.index()).into_iter().flatten() {
            let feed = &mut self.feeds[reading.feed.index()];
            let mut cursor = feed.cursor(reading.place);
            let mut stopped = false;
            while cursor < feed.end() && !stopped {
                let chunk = feed.chunk(cursor);
                let (mut size, before) = (0, n);
                visible(chunk, origin, |range| size += range.len());
                if n < size && n == 0 {
                    stopped = true;
                    continue;
                }
                visible(chunk, origin, |range| {
                    let written = n.min(range.len());
                    n -= written;
                    if written < range.len() {
                        keep(chunk.bytes.slice(range.start + written..range.end));
                    }
                });
                stopped = before < size;
                delivered += entries(chunk);
                cursor += 1;
            }
            feed.set_cursor(reading.place, cursor);
            if stopped {
                break;
            }
        }
        delivered
    }

    // Writing to all.

    /// Whether any room waits to be written.
    pub(super) fn have_news(&self) -> bool {
        !self.dirty.is_empty() || !self.flushing.is_empty()
    }

    fn mark_dirty(&mut self, id: FeedId) {
        if self.feeds[id.index()].mark_dirty() {
            self.dirty.push(id);
        }
    }

    /// A connection had kept chunks from being let go: its rooms are looked at again.
    pub(super) fn mark_rooms_dirty(&mut self, slot: Slot) {
        let feeds: SmallVec<[FeedId; 2]> = self.rooms_of(slot).iter().map(|reading| reading.feed).collect();
        feeds.into_iter().for_each(|id| self.mark_dirty(id));
    }

    /// A flush begins, or continues. Rooms that get news while others are being written to wait for their turn, or a
    /// flush would chase an end that moves.
    pub(super) fn begin_flush(&mut self) {
        if self.flushing.is_empty() {
            mem::swap(&mut self.flushing, &mut self.dirty);
        }
    }

    /// The room to be written to next, in one encoding.
    pub(super) fn next_to_flush(&self) -> Option<FeedId> {
        self.flushing.last().copied()
    }

    /// The connections that must not see part of what is new in a feed.
    pub(super) fn authors(&self, id: FeedId) -> SmallVec<[Origin; 2]> {
        self.feeds[id.index()].authors()
    }

    /// Gives every reader of a feed what it has not got, with at most `writes` writes; the rest is for the next turn.
    /// `shown` is called with what was new once all were visited.
    pub(super) fn flush(
        &mut self,
        id: FeedId,
        writes: usize,
        sink: &mut impl Sink,
        shown: impl FnMut(&Chunk),
    ) -> Walked {
        let mut merged = mem::take(&mut self.merged);
        let feed = &mut self.feeds[id.index()];
        feed.begin_flush();
        let walked = walk::walk(feed, writes, sink, &mut merged);
        self.merged = merged;
        if walked.done {
            self.change(id, |feed| feed.end_flush(shown));
            self.flushing.retain(|flushing| *flushing != id);
        }
        walked
    }
}

/// Passes what `origin` may see of `chunks` to `queue`; returns the number of entries.
pub(super) fn pass_on<'a>(
    chunks: impl Iterator<Item = &'a Chunk>,
    origin: Origin,
    mut queue: impl FnMut(Bytes),
) -> u64 {
    chunks
        .map(|chunk| {
            visible(chunk, origin, |range| queue(chunk.bytes.slice(range)));
            entries(chunk)
        })
        .sum()
}
