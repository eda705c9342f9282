//! The encoded log of a room on one reactor: sealed chunks that some reader has not got yet, and the readers' cursors.
//!
//! Decides what is kept and who fell out. Never writes to a socket.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{arrivals::entries, pace::Walks};
use crate::{
    fanout::{
        encoding::{Chunk, EncodingId},
        link::RoomId,
    },
    rooms::{Epoch, RoomName},
};

/// A reader. 16 bytes, so that a flush walks four a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// The next chunk to write, counted from the feed's first.
    pub(super) cursor: u64,
    pub(super) slot: u32,
    /// Whether it wants `Input::Presence`.
    pub(super) presence: bool,
}

/// A room in one encoding.
pub(super) struct Feed {
    pub(super) room: RoomId,
    pub(super) name: RoomName,
    pub(super) encoding: EncodingId,
    /// What readers of the newest chunk know.
    pub(super) epoch: Epoch,
    pub(super) members: Vec<Member>,
    ring: VecDeque<Chunk>,
    /// The number of the ring's first chunk.
    start: u64,
    bytes: usize,
    /// Chunks below were offered to every reader that could take them.
    flushed: u64,
    /// Where a flush that was interrupted goes on: readers before were visited. The lowest cursor that it has seen, and
    /// the end when it began: what has come since was not offered to the first of them.
    next: usize,
    lowest: u64,
    offered: u64,
    /// Whether the feed waits for a flush.
    pub(super) dirty: bool,
    /// Until when its news wait for company, if they do; how many entries they are, and how often there were walks.
    pub(super) rests: Option<u64>,
    waiting: u64,
    walks: Walks,
}

/// A reader whose next chunk is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fallen {
    pub(super) slot: u32,
    /// First and last entry it does not get; None when only signals were lost.
    pub(super) missed: Option<(u64, u64)>,
}

impl Feed {
    pub(super) fn new(room: RoomId, name: RoomName, encoding: EncodingId, epoch: Epoch) -> Self {
        Self {
            room,
            name,
            encoding,
            epoch,
            members: Vec::new(),
            ring: VecDeque::new(),
            start: 0,
            bytes: 0,
            flushed: 0,
            next: 0,
            lowest: u64::MAX,
            offered: 0,
            dirty: false,
            rests: None,
            waiting: 0,
            walks: Walks::default(),
        }
    }

    /// Bytes in the ring.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
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

    /// The chunks that no flush has been through yet.
    pub(super) fn news(&self) -> impl Iterator<Item = &Chunk> {
        self.from(self.flushed.max(self.start))
    }

    /// Adds a reader at the end; returns its place.
    pub(super) fn join(&mut self, slot: u32, presence: bool) -> u32 {
        self.members.push(Member { cursor: self.end(), slot, presence });
        (self.members.len() - 1) as u32
    }

    /// Removes the reader at `place`; returns the slots of those that have moved, with their places.
    pub(super) fn leave(&mut self, place: u32) -> SmallVec<[(u32, u32); 2]> {
        let (mut hole, mut moved) = (place as usize, SmallVec::new());
        if hole < self.next {
            // The last that was visited fills the hole, and the last of all its place: those that an interrupted flush
            // has visited stay before the others.
            self.next -= 1;
            if hole < self.next {
                self.members[hole] = self.members[self.next];
                moved.push((self.members[hole].slot, hole as u32));
                hole = self.next;
            }
        }
        self.members.swap_remove(hole);
        moved.extend(self.members.get(hole).map(|member| (member.slot, hole as u32)));
        moved
    }

    /// Appends the next chunk.
    pub(super) fn push(&mut self, chunk: Chunk, epoch: Epoch) {
        self.epoch = epoch;
        self.bytes += chunk.bytes.len();
        self.waiting += entries(&chunk);
        self.ring.push_back(chunk);
    }

    /// Until when its news wait for company, if it were a large room's feed; None: they are more than one entry, or
    /// walks over its readers have been few.
    pub(super) fn wants_company(&self, now: u64) -> Option<u64> {
        if self.waiting > 1 { None } else { self.walks.rest(now) }
    }

    /// A flush begins, or goes on. What comes from now on makes the feed wait for the next.
    pub(super) fn begin(&mut self) {
        if self.next == 0 {
            self.offered = self.end();
            self.waiting = 0;
            self.dirty = false;
        }
    }

    /// The reader to be looked at next in a flush.
    pub(super) fn next(&self) -> Option<(usize, Member)> {
        self.members.get(self.next).map(|member| (self.next, *member))
    }

    /// Notes where the reader at `place` stands now, and goes on to the next.
    pub(super) fn visited(&mut self, place: usize, cursor: u64) {
        self.members[place].cursor = cursor;
        self.lowest = self.lowest.min(cursor);
        self.next = place + 1;
    }

    /// Every reader was visited, at `now` the last: what all have got is let go.
    pub(super) fn flushed(&mut self, now: u64) {
        self.walks.walked(now);
        let lowest = self.lowest.min(self.end());
        self.trim(lowest);
        self.flushed = self.offered;
        (self.next, self.lowest) = (0, u64::MAX);
    }

    fn trim(&mut self, to: u64) {
        while self.start < to {
            let Some(chunk) = self.ring.pop_front() else { return };
            self.bytes -= chunk.bytes.len();
            self.start += 1;
        }
        if self.ring.is_empty() {
            // A room at rest holds nothing.
            self.ring.shrink_to(8);
        }
    }

    /// Lets the oldest chunks go while there are more than `bytes` or `chunks`, and moves readers that still needed
    /// them to the end. Only readers that could not take what they were offered can be among them.
    pub(super) fn bound(&mut self, bytes: usize, chunks: usize, fallen: &mut Vec<Fallen>) {
        if self.bytes <= bytes && self.ring.len() <= chunks {
            return;
        }
        // A quarter more than needed, so that the walk over the readers is rare.
        let (mut left, mut keep) = (self.bytes, self.start);
        let (few, small) = (chunks - chunks / 4, bytes - bytes / 4);
        while keep < self.flushed && (left > small || (self.end() - keep) as usize > few) {
            left -= self.chunk(keep).bytes.len();
            keep += 1;
        }
        let end = self.end();
        for place in 0..self.members.len() {
            let Member { cursor, slot, .. } = self.members[place];
            if cursor < keep {
                fallen.push(Fallen { slot, missed: self.missed(cursor) });
                self.members[place].cursor = end;
            }
        }
        self.trim(keep);
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

    fn feed() -> Feed {
        Feed::new(RoomId(0), RoomName::new("lobby").unwrap(), EncodingId(8), Epoch(1))
    }

    fn chunk(seqs: Option<(u64, u64)>) -> Chunk {
        let mut writer = ChunkWriter::default();
        writer.text(&[b'a'; 98]);
        writer.seal(seqs)
    }

    fn flush(feed: &mut Feed, stuck: u32) {
        feed.begin();
        while let Some((place, member)) = feed.next() {
            feed.visited(place, if member.slot == stuck { member.cursor } else { feed.end() });
        }
        feed.flushed(0);
    }

    #[test]
    fn a_reader_that_is_behind_keeps_chunks_and_one_that_catches_up_lets_them_go() {
        let mut feed = feed();
        feed.join(1, false);
        feed.join(2, false);
        feed.push(chunk(Some((1, 1))), Epoch(1));
        flush(&mut feed, 2);
        assert!(!feed.is_at_rest());
        flush(&mut feed, 9);
        assert!(feed.is_at_rest());
    }

    #[test]
    fn what_comes_during_a_flush_goes_to_those_it_has_not_reached_and_to_the_others_in_the_next() {
        let mut feed = feed();
        for slot in 1..=3 {
            feed.join(slot, false);
        }
        feed.push(chunk(Some((1, 1))), Epoch(1));
        feed.dirty = true;
        feed.begin();
        assert!(!feed.dirty, "what comes now makes it wait for another flush");
        feed.visited(0, feed.end());
        feed.push(chunk(Some((2, 2))), Epoch(1));
        feed.dirty = true;
        feed.begin();
        assert!(feed.dirty);
        feed.visited(1, feed.end());
        feed.visited(2, feed.end());
        feed.flushed(0);
        assert_eq!(feed.news().count(), 1, "the first reader has only one of them");
        assert_eq!(feed.members.iter().map(|member| member.cursor).collect::<Vec<_>>(), [1, 2, 2]);
        flush(&mut feed, 9);
        assert!(feed.is_at_rest());
    }

    #[test]
    fn who_leaves_during_a_flush_makes_it_miss_nobody_and_visit_nobody_twice() {
        for (left, next) in (0..5).flat_map(|left| (0..=5).map(move |next| (left, next))) {
            let mut feed = feed();
            let mut places: Vec<u32> = (0..5).map(|slot| feed.join(slot, false)).collect();
            feed.push(chunk(Some((1, 1))), Epoch(1));
            feed.begin();
            let mut visited: Vec<u32> = Vec::new();
            while let Some((place, member)) = feed.next().filter(|(place, _)| *place < next) {
                visited.push(member.slot);
                feed.visited(place, feed.end());
            }
            for (slot, place) in feed.leave(left) {
                places[slot as usize] = place;
            }
            while let Some((place, member)) = feed.next() {
                visited.push(member.slot);
                feed.visited(place, feed.end());
            }
            visited.retain(|slot| *slot != left);
            visited.sort_unstable();
            let others: Vec<u32> = (0..5).filter(|slot| *slot != left).collect();
            assert_eq!(visited, others, "{left} left after {next} were visited");
            for slot in others {
                assert_eq!(feed.members[places[slot as usize] as usize].slot, slot);
            }
        }
    }

    #[test]
    fn who_falls_out_is_told_all_that_it_misses() {
        let mut feed = feed();
        feed.join(1, false);
        feed.join(2, false);
        feed.push(chunk(None), Epoch(1));
        for seq in 1..=9 {
            feed.push(chunk(Some((seq * 2 - 1, seq * 2))), Epoch(1));
            flush(&mut feed, 2);
        }
        let mut fallen = Vec::new();
        feed.bound(1000, 100, &mut fallen);
        assert!(fallen.is_empty(), "ten chunks of 100 bytes fit");
        feed.push(chunk(Some((19, 19))), Epoch(1));
        feed.bound(1000, 100, &mut fallen);
        assert_eq!(fallen, [Fallen { slot: 2, missed: Some((1, 19)) }]);
    }

    #[test]
    fn who_was_not_offered_a_chunk_yet_never_falls_out() {
        let mut feed = feed();
        feed.join(1, false);
        let mut fallen = Vec::new();
        for seq in 1..=100 {
            feed.push(chunk(Some((seq, seq))), Epoch(1));
            feed.bound(1000, 10, &mut fallen);
        }
        assert!(fallen.is_empty());
    }

    #[test]
    fn a_reader_is_two_words() {
        assert_eq!(size_of::<Member>(), 16);
    }
}
