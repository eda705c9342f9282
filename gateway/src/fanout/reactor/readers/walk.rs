//! A walk over the readers of a room: most of them have got the same, so they get the same bytes, merged once, with one
//! system call each.
//!
//! Decides how much goes into a write. What comes during the walk goes to the readers that it has not reached yet, so
//! that nobody waits for a whole walk and their own turn in the next.

use bytes::Bytes;

use super::{
    chunks::entries,
    feed::{Feed, Reader},
};
use crate::fanout::reactor::ids::Slot;

/// Bytes of chunks merged for one write; about what a socket takes at once.
const MERGED: usize = 256 << 10;

/// Where a walk writes to.
pub(in crate::fanout::reactor) trait Sink {
    /// Whether the connection takes something now, and nothing else has to go to it first.
    fn is_free(&mut self, slot: Slot) -> bool;

    /// Writes `data` to a connection that is free.
    fn write(&mut self, slot: Slot, data: &[u8]) -> Wrote;

    /// The connection took no more. `rest` of a chunk goes to it before anything else.
    fn keep_rest(&mut self, slot: Slot, rest: Option<Bytes>);
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fanout::reactor) enum Wrote {
    All,
    /// So many bytes; the connection takes no more now.
    Part(usize),
    /// The connection is broken, and no longer free.
    Failed,
}

/// What a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::fanout::reactor) struct Walked {
    pub(in crate::fanout::reactor) writes: usize,
    pub(in crate::fanout::reactor) bytes: u64,
    /// Entries that were written.
    pub(in crate::fanout::reactor) deliveries: u64,
    /// Every reader was visited.
    pub(in crate::fanout::reactor) done: bool,
}

/// Some chunks of a feed as one piece of bytes: a chunk's own, or merged.
#[derive(Default)]
struct Run {
    from: u64,
    upto: u64,
    entries: u64,
    own: Option<Bytes>,
}

/// Visits readers until all were, or `writes` were made.
pub(super) fn walk(feed: &mut Feed, writes: usize, sink: &mut impl Sink, merged: &mut Vec<u8>) -> Walked {
    let (mut walked, mut run) = (Walked::default(), Run::default());
    while walked.writes < writes {
        let Some((place, reader)) = feed.next() else { break };
        let cursor = serve(reader, feed, sink, &mut run, merged, &mut walked);
        feed.visited(place, cursor);
    }
    walked.done = feed.next().is_none();
    walked
}

/// Writes what the reader has not got; returns its cursor then.
fn serve(
    Reader { mut cursor, slot, .. }: Reader,
    feed: &Feed,
    sink: &mut impl Sink,
    run: &mut Run,
    merged: &mut Vec<u8>,
    walked: &mut Walked,
) -> u64 {
    while cursor < feed.end() && sink.is_free(slot) {
        if run.from != cursor || run.upto == 0 {
            *run = merge(feed, cursor, merged);
        }
        let data: &[u8] = run.own.as_deref().unwrap_or(merged);
        match sink.write(slot, data) {
            Wrote::Failed => {}
            Wrote::All => {
                cursor = run.upto;
                walked.bytes += data.len() as u64;
                walked.deliveries += run.entries;
            }
            Wrote::Part(n) => {
                let (at, rest, whole) = cut(feed, cursor, n);
                walked.bytes += n as u64;
                walked.deliveries += whole;
                walked.writes += 1;
                sink.keep_rest(slot, rest);
                return at;
            }
        }
        walked.writes += 1;
    }
    cursor
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

/// Where a reader at `cursor` is after `n` bytes: the cursor, the rest of a chunk cut in two, and the entries.
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
