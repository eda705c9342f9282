//! The encoded log of a room on one reactor: sealed chunks that some reader has not got yet, and the readers' cursors.
//!
//! Decides what is kept and who fell out. Never writes to a socket.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        messages::RoomId,
        reactor::ids::{ReaderIndex, Slot},
    },
    rooms::{Epoch, Origin, Position, RoomName},
};

/// A reader. 16 bytes, so that a flush walks four per cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// The next chunk to write, counted from the feed's first.
    pub(super) cursor: u64,
    pub(super) slot: Slot,
    /// Whether it wants `Input::Presence`.
    presence: bool,
}

/// A room in one encoding.
pub(super) struct Feed {
    pub(super) room: RoomId,
    pub(super) name: RoomName,
    pub(super) encoding: EncodingId,
    /// What readers of the newest chunk know.
    pub(super) epoch: Epoch,
    /// The newest entry that came; None where it is not known in this epoch.
    head: Option<u64>,
    readers: Vec<Reader>,
    ring: VecDeque<Chunk>,
    /// The number of the ring's first chunk.
    start: u64,
    bytes: usize,
    /// Chunks below were offered to every reader that could take them.
    flushed: u64,
    /// The flush that is under way.
    flush: Flush,
    /// Whether the feed waits for a flush.
    dirty: bool,
}

/// Where an interrupted flush continues.
struct Flush {
    /// Readers before were visited.
    next: usize,
    /// The lowest cursor seen so far.
    lowest: u64,
    /// The feed's end when the flush began: what has come since was not offered to the first readers.
    offered: u64,
}

impl Flush {
    fn none() -> Self {
        Self { next: 0, lowest: u64::MAX, offered: 0 }
    }
}

/// A reader whose next chunk is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fanout::reactor) struct Fallen {
    pub(in crate::fanout::reactor) slot: Slot,
    /// First and last entry it does not get; None when only signals were lost.
    pub(in crate::fanout::reactor) missed: Option<(u64, u64)>,
}

impl Feed {
    pub(super) fn new(room: RoomId, name: RoomName, encoding: EncodingId, epoch: Epoch) -> Self {
        Self {
            room,
            name,
            encoding,
            epoch,
            head: None,
            readers: Vec::new(),
            ring: VecDeque::new(),
            start: 0,
            bytes: 0,
            flushed: 0,
            flush: Flush::none(),
            dirty: false,
        }
    }

    /// Bytes in the ring.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = Slot> {
        self.readers.iter().map(|reader| reader.slot)
    }

    /// Those that want to see who is in the room.
    pub(super) fn presence_readers(&self) -> impl Iterator<Item = Slot> {
        self.readers.iter().filter(|reader| reader.presence).map(|reader| reader.slot)
    }

    /// The number after the newest chunk's.
    pub(super) fn end(&self) -> u64 {
        self.start + self.ring.len() as u64
    }

    /// A chunk that is kept: every reader's cursor and what follows it is.
    pub(super) fn chunk(&self, number: u64) -> &Chunk {
        &self.ring[(number - self.start) as usize]
    }

    /// The chunks from `cursor` on.
    pub(super) fn from(&self, cursor: u64) -> impl Iterator<Item = &Chunk> {
        self.ring.range((cursor - self.start) as usize..)
    }

    pub(super) fn cursor(&self, place: ReaderIndex) -> u64 {
        self.readers[place.index()].cursor
    }

    pub(super) fn set_cursor(&mut self, place: ReaderIndex, cursor: u64) {
        self.readers[place.index()].cursor = cursor;
    }

    /// The chunks that no flush has been through yet.
    fn news(&self) -> impl Iterator<Item = &Chunk> {
        self.from(self.flushed.max(self.start))
    }

    /// The connections that must not see part of what is new.
    pub(super) fn authors(&self) -> SmallVec<[Origin; 2]> {
        let mut authors: SmallVec<[Origin; 2]> =
            self.news().flat_map(|chunk| chunk.hidden.iter().map(|hidden| hidden.from)).collect();
        authors.sort_unstable_by_key(|origin| (origin.gateway, origin.connection));
        authors.dedup();
        authors
    }

    /// Adds a reader at the end, which it knows to be `head`; returns its place.
    pub(super) fn join(&mut self, slot: Slot, head: Position, presence: bool) -> ReaderIndex {
        if head.epoch == self.epoch {
            self.head = self.head.max(Some(head.seq));
        }
        self.readers.push(Reader { cursor: self.end(), slot, presence });
        ReaderIndex((self.readers.len() - 1) as u32)
    }

    /// Removes the reader at `place`; returns the slots of those that have moved, with their places.
    pub(super) fn leave(&mut self, place: ReaderIndex) -> SmallVec<[(Slot, ReaderIndex); 2]> {
        let (mut hole, mut moved) = (place.index(), SmallVec::new());
        if hole < self.flush.next {
            // The last that was visited fills the hole, and the last of all its place: those that an interrupted flush
            // has visited stay before the others.
            self.flush.next -= 1;
            if hole < self.flush.next {
                self.readers[hole] = self.readers[self.flush.next];
                moved.push((self.readers[hole].slot, ReaderIndex(hole as u32)));
                hole = self.flush.next;
            }
        }
        self.readers.swap_remove(hole);
        moved.extend(self.readers.get(hole).map(|reader| (reader.slot, ReaderIndex(hole as u32))));
        moved
    }

    /// Appends the next chunk.
    pub(super) fn push(&mut self, chunk: Chunk, epoch: Epoch) {
        self.epoch = epoch;
        self.head = chunk.seqs.map_or(self.head, |(_, last)| Some(last));
        self.bytes += chunk.bytes.len();
        self.ring.push_back(chunk);
    }

    /// The readers know another epoch from now on, in which nothing has come yet.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch) {
        (self.epoch, self.head) = (epoch, None);
    }

    /// Up to where the reader at `place` has got the room, if that is known.
    pub(super) fn read_by(&self, place: ReaderIndex) -> Option<Position> {
        let next = self.from(self.cursor(place)).find_map(|chunk| chunk.seqs).map(|(first, _)| first - 1);
        Some(Position { epoch: self.epoch, seq: next.or(self.head)? })
    }

    /// Notes that the feed waits for a flush; false if it does already.
    pub(super) fn mark_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.dirty, true)
    }

    /// A flush begins, or continues. What comes from now on makes the feed wait for the next.
    pub(super) fn begin_flush(&mut self) {
        if self.flush.next == 0 {
            self.flush.offered = self.end();
            self.dirty = false;
        }
    }

    /// The reader to be looked at next in a flush.
    pub(super) fn next(&self) -> Option<(ReaderIndex, Reader)> {
        self.readers.get(self.flush.next).map(|reader| (ReaderIndex(self.flush.next as u32), *reader))
    }

    /// Notes where the reader at `place` is now, and continues with the next.
    pub(super) fn visited(&mut self, place: ReaderIndex, cursor: u64) {
        self.readers[place.index()].cursor = cursor;
        self.flush.lowest = self.flush.lowest.min(cursor);
        self.flush.next = place.index() + 1;
    }

    /// Every reader was visited: lets go what all have got. Calls `shown` with what was new, chunk by chunk.
    pub(super) fn end_flush(&mut self, shown: impl FnMut(&Chunk)) {
        let Flush { lowest, offered, .. } = std::mem::replace(&mut self.flush, Flush::none());
        let from = self.flushed.max(self.start);
        self.from(from).take(offered.saturating_sub(from) as usize).for_each(shown);
        let lowest = lowest.min(self.end());
        self.trim(lowest);
        self.flushed = offered;
    }

    fn trim(&mut self, to: u64) {
        while self.start < to {
            let Some(chunk) = self.ring.pop_front() else { return };
            self.bytes -= chunk.bytes.len();
            self.start += 1;
        }
        if self.ring.is_empty() {
            // A room without news holds nothing.
            self.ring.shrink_to(8);
        }
    }

    /// Lets the oldest chunks go while there are more than `bytes` or `chunks`, and moves readers that still needed
    /// them to the end. Only readers that could not take what they were offered can be among them.
    pub(super) fn bound(&mut self, bytes: usize, chunks: usize) -> Vec<Fallen> {
        if self.bytes <= bytes && self.ring.len() <= chunks {
            return Vec::new();
        }
        // A quarter more than needed, so that the walk over the readers is rare.
        let (mut left, mut keep) = (self.bytes, self.start);
        let (few, small) = (chunks - chunks / 4, bytes - bytes / 4);
        while keep < self.flushed && (left > small || (self.end() - keep) as usize > few) {
            left -= self.chunk(keep).bytes.len();
            keep += 1;
        }
        let (end, mut fallen) = (self.end(), Vec::new());
        for place in 0..self.readers.len() {
            let Reader { cursor, slot, .. } = self.readers[place];
            if cursor < keep {
                fallen.push(Fallen { slot, missed: self.missed(cursor) });
                self.readers[place].cursor = end;
            }
        }
        self.trim(keep);
        fallen
    }

    fn missed(&self, cursor: u64) -> Option<(u64, u64)> {
        let mut seqs = self.from(cursor).filter_map(|chunk| chunk.seqs);
        let (first, mut last) = seqs.next()?;
        if let Some((_, newest)) = seqs.last() {
            last = newest;
        }
        Some((first, last))
    }

    /// Whether nothing is kept.
    #[cfg(test)]
    fn is_at_rest(&self) -> bool {
        self.ring.is_empty() && self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::encoding::ChunkWriter;

    const HEAD: Position = Position { epoch: Epoch(1), seq: 0 };

    fn feed() -> Feed {
        Feed::new(RoomId(0), RoomName::new("lobby").unwrap(), EncodingId(8), Epoch(1))
    }

    fn chunk(seqs: Option<(u64, u64)>) -> Chunk {
        let mut writer = ChunkWriter::default();
        writer.text(&[b'a'; 98]);
        writer.seal(seqs)
    }

    fn flush(feed: &mut Feed, stuck: Slot) {
        feed.begin_flush();
        while let Some((place, reader)) = feed.next() {
            feed.visited(place, if reader.slot == stuck { reader.cursor } else { feed.end() });
        }
        feed.end_flush(|_| {});
    }

    #[test]
    fn a_reader_that_is_behind_keeps_chunks_and_one_that_catches_up_lets_them_go() {
        let mut feed = feed();
        feed.join(Slot(1), HEAD, false);
        feed.join(Slot(2), HEAD, false);
        feed.push(chunk(Some((1, 1))), Epoch(1));
        flush(&mut feed, Slot(2));
        assert!(!feed.is_at_rest());
        flush(&mut feed, Slot(9));
        assert!(feed.is_at_rest());
    }

    #[test]
    fn a_chunk_that_comes_during_a_flush_reaches_the_readers_not_visited_yet_and_the_others_in_the_next_flush() {
        let mut feed = feed();
        for slot in 1..=3 {
            feed.join(Slot(slot), HEAD, false);
        }
        feed.push(chunk(Some((1, 1))), Epoch(1));
        feed.mark_dirty();
        feed.begin_flush();
        assert!(!feed.dirty, "what comes now makes it wait for another flush");
        feed.visited(ReaderIndex(0), feed.end());
        feed.push(chunk(Some((2, 2))), Epoch(1));
        feed.mark_dirty();
        feed.begin_flush();
        assert!(feed.dirty);
        feed.visited(ReaderIndex(1), feed.end());
        feed.visited(ReaderIndex(2), feed.end());
        feed.end_flush(|_| {});
        assert_eq!(feed.news().count(), 1, "the first reader has only one of them");
        assert_eq!(feed.readers.iter().map(|reader| reader.cursor).collect::<Vec<_>>(), [1, 2, 2]);
        flush(&mut feed, Slot(9));
        assert!(feed.is_at_rest());
    }

    #[test]
    fn a_reader_that_leaves_during_a_flush_makes_it_miss_nobody_and_visit_nobody_twice() {
        for (left, next) in (0..5).flat_map(|left| (0..=5).map(move |next| (left, next))) {
            let mut feed = feed();
            let mut places: Vec<ReaderIndex> = (0..5).map(|slot| feed.join(Slot(slot), HEAD, false)).collect();
            feed.push(chunk(Some((1, 1))), Epoch(1));
            feed.begin_flush();
            let mut visited: Vec<u32> = Vec::new();
            while let Some((place, reader)) = feed.next().filter(|(place, _)| *place < ReaderIndex(next)) {
                visited.push(reader.slot.0);
                feed.visited(place, feed.end());
            }
            for (slot, place) in feed.leave(ReaderIndex(left)) {
                places[slot.index()] = place;
            }
            while let Some((place, reader)) = feed.next() {
                visited.push(reader.slot.0);
                feed.visited(place, feed.end());
            }
            visited.retain(|slot| *slot != left);
            visited.sort_unstable();
            let others: Vec<u32> = (0..5).filter(|slot| *slot != left).collect();
            assert_eq!(visited, others, "{left} left after {next} were visited");
            for slot in others {
                assert_eq!(feed.readers[places[slot as usize].index()].slot, Slot(slot));
            }
        }
    }

    #[test]
    fn a_reader_that_falls_out_receives_a_gap_for_all_that_it_misses() {
        let mut feed = feed();
        feed.join(Slot(1), HEAD, false);
        feed.join(Slot(2), HEAD, false);
        feed.push(chunk(None), Epoch(1));
        for seq in 1..=9 {
            feed.push(chunk(Some((seq * 2 - 1, seq * 2))), Epoch(1));
            flush(&mut feed, Slot(2));
        }
        assert!(feed.bound(1000, 100).is_empty(), "ten chunks of 100 bytes fit");
        feed.push(chunk(Some((19, 19))), Epoch(1));
        assert_eq!(feed.bound(1000, 100), [Fallen { slot: Slot(2), missed: Some((1, 19)) }]);
    }

    #[test]
    fn a_reader_that_was_not_offered_a_chunk_yet_never_falls_out() {
        let mut feed = feed();
        feed.join(Slot(1), HEAD, false);
        for seq in 1..=100 {
            feed.push(chunk(Some((seq, seq))), Epoch(1));
            assert!(feed.bound(1000, 10).is_empty());
        }
    }

    #[test]
    fn a_reader_is_two_words() {
        assert_eq!(size_of::<Reader>(), 16);
    }
}
