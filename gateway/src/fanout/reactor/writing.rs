//! Writing to one connection: what is queued for it alone, then what it lacks of its rooms, in as few writes as possible.
//!
//! Decides what a half-done write leaves behind: at most the rest of one chunk, which goes before anything else.

use std::io::{ErrorKind, IoSlice, Write};

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
/// Bytes up to which several pieces are copied into one, which costs less than a vectored write.
const COPIED: usize = 4 << 10;

/// How a write ended.
enum Wrote {
    All,
    /// There was more than fits in a call.
    More,
    Blocked,
    Failed,
}

impl Reactor {
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
        let written = match &slices[..] {
            [] => Ok(0),
            [one] => stream.write(one),
            several if total <= COPIED => {
                self.merged.clear();
                several.iter().for_each(|slice| self.merged.extend_from_slice(slice));
                stream.write(&self.merged)
            }
            several => stream.write_vectored(several),
        };
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
    pub(super) fn block(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        flags.set(Flags::BLOCKED);
        if !flags.any(Flags::WATCHED) {
            self.watch(slot, Interest::READABLE | Interest::WRITABLE);
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
