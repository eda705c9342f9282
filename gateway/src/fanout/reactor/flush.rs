//! The flush: what waits is written, room by room.
//!
//! Decides how much goes into a write. A flush first serves the connections that have something of their own queued
//! (with what they lack of their rooms, in one write), then walks the readers of every room with news: most of them
//! stand at the same cursor and get the same bytes, merged once, with one system call each. What comes during the walk
//! goes to those that it has not reached yet, so that nobody waits for a whole walk and their own turn in the next.

use std::io::{ErrorKind, Write};

use bytes::Bytes;

use super::{
    arrivals::entries,
    connection::{Connections, Flags, Outgoing},
    counters::Counters,
    feed::{Feed, Member},
    turn::Reactor,
};

/// Bytes of chunks merged for one write; about what a socket takes at once.
const MERGED: usize = 256 << 10;

/// The chunks `from..upto` of a feed as one piece of bytes: a chunk's own, or merged.
#[derive(Default)]
struct Run {
    from: u64,
    upto: u64,
    entries: u64,
    own: Option<Bytes>,
}

/// A walk over the readers of a feed, and what it did.
#[derive(Default)]
struct Walk {
    run: Run,
    writes: usize,
    bytes: u64,
    deliveries: u64,
    blocked: Vec<usize>,
    failed: Vec<usize>,
}

impl Reactor {
    /// Whether anything waits to be written.
    pub(super) fn wants_flush(&self) -> bool {
        !self.dirty.is_empty() || !self.dirty_feeds.is_empty() || !self.flushing.is_empty()
    }

    /// Writes what waits, with at most some `writes` system calls for what connections have of their own and as many
    /// for rooms, so that neither starves the other; true when all was served. Rooms that get news while others are not
    /// through wait for their turn, or it would chase an end that moves.
    pub(super) fn flush(&mut self, mut writes: usize) -> bool {
        if self.flushing.is_empty() {
            std::mem::swap(&mut self.flushing, &mut self.dirty_feeds);
        }
        for _ in 0..writes {
            let Some(slot) = self.dirty.pop_front() else { break };
            let slot = slot as usize;
            let flags = &mut self.connections.hot[slot].flags;
            flags.clear(Flags::DIRTY);
            if flags.any(Flags::QUEUED) && !flags.any(Flags::BLOCKED | Flags::GONE) {
                self.write_on(slot);
            }
        }
        while let Some(index) = self.flushing.pop() {
            if !self.flush_feed(index, &mut writes) {
                self.flushing.push(index);
                return false;
            }
        }
        self.dirty.is_empty()
    }

    /// Gives every reader of a room what it has not got; false when `writes` ran out first.
    fn flush_feed(&mut self, index: u32, writes: &mut usize) -> bool {
        self.write_to_authors(index);
        self.feeds[index as usize].begin();
        let Self { feeds, connections, merged, counters, rings, now, .. } = self;
        let (feed, mut walk) = (&mut feeds[index as usize], Walk::default());
        while let (Some((place, member)), true) = (feed.next(), walk.writes < *writes) {
            let cursor = walk.serve(member, feed, connections, merged);
            feed.visited(place, cursor);
        }
        let done = feed.next().is_none();
        if done {
            let before = feed.bytes();
            feed.flushed(now.micros);
            *rings -= before - feed.bytes();
        }
        *writes = writes.saturating_sub(walk.writes);
        Counters::add(&counters.writes, walk.writes as u64);
        Counters::add(&counters.bytes_out, walk.bytes);
        Counters::add(&counters.deliveries, walk.deliveries);
        walk.blocked.into_iter().for_each(|slot| self.block(slot));
        walk.failed.into_iter().for_each(|slot| self.drop_connection(slot));
        done
    }

    /// Those who must not see part of what is new get the rest one by one, before the walk over all readers.
    fn write_to_authors(&mut self, index: u32) {
        let feed = &self.feeds[index as usize];
        let hidden = feed.news().flat_map(|chunk| chunk.hidden.iter());
        let mut authors: Vec<usize> = hidden.filter_map(|hidden| self.connections.slot_of(hidden.from)).collect();
        authors.sort_unstable();
        authors.dedup();
        for slot in authors {
            let flags = self.connections.hot[slot].flags;
            if self.connections.get(slot).is_some() && !flags.any(Flags::BLOCKED | Flags::ENDED) {
                self.write_on(slot);
            }
        }
    }
}

impl Walk {
    /// Writes what the reader has not got, unless it is busy with something else; returns its cursor then.
    fn serve(&mut self, member: Member, feed: &Feed, connections: &mut Connections, merged: &mut Vec<u8>) -> u64 {
        let (slot, mut cursor) = (member.slot as usize, member.cursor);
        let hot = &mut connections.hot[slot];
        while cursor < feed.end() && !hot.flags.any(Flags::BUSY | Flags::GONE) {
            let Some(stream) = hot.stream.as_mut() else { break };
            if self.run.from != cursor || self.run.upto == 0 {
                self.run = merge(feed, cursor, merged);
            }
            let data: &[u8] = self.run.own.as_deref().unwrap_or(merged);
            self.writes += 1;
            match stream.write(data) {
                Ok(n) if n == data.len() => {
                    cursor = self.run.upto;
                    (self.bytes, self.deliveries) = (self.bytes + n as u64, self.deliveries + self.run.entries);
                }
                Ok(n) => {
                    let (at, rest, whole) = cut(feed, cursor, n);
                    cursor = at;
                    (self.bytes, self.deliveries) = (self.bytes + n as u64, self.deliveries + whole);
                    hot.flags.set(Flags::BLOCKED);
                    self.blocked.push(slot);
                    if let (Some(rest), Some(connection)) = (rest, connections.cold[slot].as_deref_mut()) {
                        connection.outgoing.push_back(Outgoing::Shared(rest));
                        hot.flags.set(Flags::QUEUED);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    hot.flags.set(Flags::BLOCKED);
                    self.blocked.push(slot);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.failed.push(slot);
                    break;
                }
            }
        }
        cursor
    }
}

/// The chunks from `cursor` on as one piece, as many as fit; several are copied to `merged`, once for all readers.
fn merge(feed: &Feed, cursor: u64, merged: &mut Vec<u8>) -> Run {
    merged.clear();
    let first = feed.chunk(cursor);
    let mut run = Run { from: cursor, upto: cursor + 1, entries: entries(first), own: Some(first.bytes.clone()) };
    for chunk in feed.from(cursor + 1) {
        if merged.is_empty() {
            merged.extend_from_slice(&first.bytes);
        }
        if merged.len() + chunk.bytes.len() > MERGED {
            break;
        }
        merged.extend_from_slice(&chunk.bytes);
        run.upto += 1;
        run.entries += entries(chunk);
        run.own = None;
    }
    run
}

/// Where a reader at `cursor` stands after `n` bytes: the cursor, the rest of a chunk cut in two, and the entries.
fn cut(feed: &Feed, mut cursor: u64, mut n: usize) -> (u64, Option<Bytes>, u64) {
    let mut delivered = 0;
    while n > 0 {
        let chunk = feed.chunk(cursor);
        cursor += 1;
        delivered += entries(chunk);
        if n < chunk.bytes.len() {
            return (cursor, Some(chunk.bytes.slice(n..)), delivered);
        }
        n -= chunk.bytes.len();
    }
    (cursor, None, delivered)
}
