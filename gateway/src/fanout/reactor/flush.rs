//! Writing: what is queued for one connection, and rooms to all their readers.
//!
//! Decides how much goes into a write. A flush first serves the connections that have something of their own queued
//! (with what they lack of their rooms, in one write), then walks the readers of every room with news: most of them
//! stand at the same cursor and get the same bytes, merged once, with one system call each.

use std::io::{ErrorKind, IoSlice, Write};

use bytes::Bytes;
use mio::Interest;
use smallvec::SmallVec;

use super::{
    arrivals::{entries, visible},
    connection::{Connection, Flags, Outgoing},
    counters::Counters,
    feed::Feed,
    turn::Reactor,
};
use crate::rooms::Origin;

/// Pieces in one vectored write.
const SLICES: usize = 64;

/// Bytes of chunks merged for one write; about what a socket takes at once.
const MERGED: usize = 256 << 10;

/// How a write ended.
enum Wrote {
    All,
    /// There was more than fits in a call.
    More,
    Blocked,
    Failed,
}

/// The chunks `from..upto` of a feed as one piece of bytes: a chunk's own, or merged.
#[derive(Default)]
struct Run {
    from: u64,
    upto: u64,
    entries: u64,
    own: Option<Bytes>,
}

impl Reactor {
    /// Whether anything waits to be written.
    pub(super) fn wants_flush(&self) -> bool {
        !self.dirty.is_empty() || !self.dirty_feeds.is_empty()
    }

    /// Writes what waits, with at most some `writes` system calls for what connections have of their own and as many
    /// for rooms, so that neither starves the other; true when all was served.
    pub(super) fn flush(&mut self, mut writes: usize) -> bool {
        for _ in 0..writes {
            let Some(slot) = self.dirty.pop_front() else { break };
            let slot = slot as usize;
            let flags = &mut self.connections.hot[slot].flags;
            flags.clear(Flags::DIRTY);
            if flags.any(Flags::QUEUED) && !flags.any(Flags::BLOCKED | Flags::GONE) {
                self.write_on(slot);
            }
        }
        while let Some(index) = self.dirty_feeds.pop() {
            if !self.flush_feed(index, &mut writes) {
                self.dirty_feeds.push(index);
                return false;
            }
            self.feeds[index as usize].dirty = false;
        }
        self.dirty.is_empty()
    }

    /// Writes to one connection until it has all or takes no more.
    pub(super) fn write_on(&mut self, slot: usize) {
        loop {
            match self.write_once(slot) {
                Wrote::More => {}
                Wrote::All => return self.wrote_all(slot),
                Wrote::Blocked => return self.block(slot),
                Wrote::Failed => return self.drop_connection(slot),
            }
        }
    }

    fn write_once(&mut self, slot: usize) -> Wrote {
        let origin = self.connections.origin(slot);
        let (Some(stream), Some(connection)) =
            (self.connections.hot[slot].stream.as_mut(), self.connections.cold[slot].as_deref_mut())
        else {
            return Wrote::All;
        };
        let mut slices = SmallVec::<[IoSlice<'_>; SLICES]>::new();
        let whole = gather(connection, &self.feeds, origin, &mut slices);
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = if total == 0 { Ok(0) } else { stream.write_vectored(&slices) };
        drop(slices);
        let n = match written {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Wrote::Blocked,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Wrote::More,
            Err(_) => return Wrote::Failed,
        };
        Counters::add(&self.counters.writes, u64::from(total > 0));
        Counters::add(&self.counters.bytes_out, n as u64);
        let entries = consume(connection, &mut self.feeds, origin, n);
        Counters::add(&self.counters.deliveries, entries);
        match (n < total, whole) {
            (true, _) => Wrote::Blocked,
            (false, false) => Wrote::More,
            (false, true) => Wrote::All,
        }
    }

    fn wrote_all(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        flags.clear(Flags::QUEUED);
        let (closing, watched) = (flags.any(Flags::CLOSING), flags.any(Flags::WATCHED));
        if closing {
            return self.wrote_close(slot);
        }
        if watched {
            self.watch(slot, Interest::READABLE);
            // It had kept chunks from being let go.
            let rooms = self.connections.get(slot).map(|connection| connection.rooms.clone()).unwrap_or_default();
            for reading in rooms {
                self.mark_feed_dirty(reading.feed);
            }
        }
        let Some(connection) = self.connections.get(slot) else { return };
        let unread = connection.unread.is_some();
        if unread || self.connections.hot[slot].flags.any(Flags::READY) {
            self.list_readable(slot);
        }
    }

    /// Writes on when the socket says that it takes more.
    fn block(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        flags.set(Flags::BLOCKED);
        if !flags.any(Flags::WATCHED) {
            self.watch(slot, Interest::READABLE | Interest::WRITABLE);
        }
    }

    /// Gives every reader of a room what it has not got; false when `writes` ran out first.
    fn flush_feed(&mut self, index: u32, writes: &mut usize) -> bool {
        self.write_to_authors(index);
        let (mut run, mut blocked, mut failed) = (Run::default(), Vec::new(), Vec::new());
        let Self { feeds, connections, merged, counters, rings, .. } = self;
        let feed = &mut feeds[index as usize];
        let (end, mut sent, mut bytes, mut deliveries) = (feed.end(), 0_u64, 0_u64, 0_u64);
        while let (Some((place, member)), true) = (feed.next(), *writes > 0) {
            let slot = member.slot as usize;
            let hot = &mut connections.hot[slot];
            let mut cursor = member.cursor;
            while cursor < end && !hot.flags.any(Flags::BUSY | Flags::GONE) {
                let Some(stream) = hot.stream.as_mut() else { break };
                if run.from != cursor || run.upto == 0 {
                    run = merge(feed, cursor, merged);
                }
                let data: &[u8] = run.own.as_deref().unwrap_or(merged);
                *writes = writes.saturating_sub(1);
                sent += 1;
                match stream.write(data) {
                    Ok(n) if n == data.len() => {
                        cursor = run.upto;
                        (bytes, deliveries) = (bytes + n as u64, deliveries + run.entries);
                    }
                    Ok(n) => {
                        bytes += n as u64;
                        let (at, rest, whole) = cut(feed, cursor, n);
                        (cursor, deliveries) = (at, deliveries + whole);
                        hot.flags.set(Flags::BLOCKED);
                        if let (Some(rest), Some(connection)) = (rest, connections.cold[slot].as_deref_mut()) {
                            connection.outgoing.push_back(Outgoing::Shared(rest));
                            hot.flags.set(Flags::QUEUED);
                        }
                        blocked.push(slot);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        hot.flags.set(Flags::BLOCKED);
                        blocked.push(slot);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        failed.push(slot);
                        break;
                    }
                }
            }
            feed.visited(place, cursor);
        }
        let done = feed.next().is_none();
        if done {
            let before = feed.bytes();
            feed.flushed();
            *rings -= before - feed.bytes();
        }
        Counters::add(&counters.writes, sent);
        Counters::add(&counters.bytes_out, bytes);
        Counters::add(&counters.deliveries, deliveries);
        blocked.into_iter().for_each(|slot| self.block(slot));
        failed.into_iter().for_each(|slot| self.drop_connection(slot));
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

/// Collects what the connection has not got; false when there is more.
fn gather<'a>(
    connection: &'a Connection,
    feeds: &'a slab::Slab<Feed>,
    origin: Origin,
    slices: &mut SmallVec<[IoSlice<'a>; SLICES]>,
) -> bool {
    let mut skip = connection.sent;
    for outgoing in &connection.outgoing {
        if slices.len() == SLICES {
            return false;
        }
        slices.push(IoSlice::new(&outgoing.bytes()[skip..]));
        skip = 0;
    }
    for reading in &connection.rooms {
        let feed = &feeds[reading.feed as usize];
        for chunk in feed.from(feed.members[reading.place as usize].cursor) {
            if slices.len() + chunk.hidden.len() >= SLICES && !slices.is_empty() {
                return false;
            }
            visible(chunk, origin, |range| slices.push(IoSlice::new(&chunk.bytes[range])));
        }
    }
    true
}

/// Moves past the `n` bytes that were written, in the order of [`gather`]; returns the entries among them.
fn consume(connection: &mut Connection, feeds: &mut slab::Slab<Feed>, origin: Origin, mut n: usize) -> u64 {
    while let Some(outgoing) = connection.outgoing.front() {
        let (len, reply) = (outgoing.bytes().len(), matches!(outgoing, Outgoing::Reply(_)));
        if n < len - connection.sent {
            connection.sent += n;
            return 0;
        }
        n -= len - connection.sent;
        connection.sent = 0;
        connection.replies -= if reply { len } else { 0 };
        connection.outgoing.pop_front();
    }
    // An idle connection keeps no buffer.
    connection.outgoing = Default::default();
    let mut delivered = 0;
    for at in 0..connection.rooms.len() {
        let reading = connection.rooms[at];
        let feed = &mut feeds[reading.feed as usize];
        let mut cursor = feed.members[reading.place as usize].cursor;
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
                    let rest = chunk.bytes.slice(range.start + written..range.end);
                    connection.outgoing.push_back(Outgoing::Shared(rest));
                }
            });
            stopped = before < size;
            delivered += entries(chunk);
            cursor += 1;
        }
        feed.members[reading.place as usize].cursor = cursor;
        if stopped {
            break;
        }
    }
    delivered
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
