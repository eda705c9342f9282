//! The flush: what waits is written, the connections' own first, then room by room.
//!
//! Decides how the writes of a turn are shared: as many for what connections have of their own as for rooms, so that
//! neither starves the other.

use super::{clock::Now, counters::Counters, ids::FeedId, readers::Readers, sockets::Sockets, write};
use crate::fanout::encoding::Chunk;

/// Writes what waits, with at most some `writes` system calls of each kind; true when all was served.
pub(super) fn flush(
    mut writes: usize,
    sockets: &mut Sockets,
    readers: &mut Readers,
    counters: &Counters,
    now: Now,
) -> bool {
    readers.begin_flush();
    for _ in 0..writes {
        let Some(slot) = sockets.next_to_write() else { break };
        write::write_on(slot, sockets, readers, counters);
    }
    while let Some(feed) = readers.next_to_flush() {
        write_to_authors(feed, sockets, readers, counters);
        let shown = |chunk: &Chunk| counters.shown(chunk, now);
        let walked = readers.flush(feed, writes, sockets, shown);
        Counters::add(&counters.writes, walked.writes as u64);
        Counters::add(&counters.bytes_out, walked.bytes);
        Counters::add(&counters.deliveries, walked.deliveries);
        writes = writes.saturating_sub(walked.writes);
        if !walked.done {
            return false;
        }
    }
    !sockets.has_writable()
}

/// Those who must not see part of what is new get the rest one by one, before the walk over all readers.
fn write_to_authors(feed: FeedId, sockets: &mut Sockets, readers: &mut Readers, counters: &Counters) {
    for author in readers.authors(feed) {
        if let Some(slot) = sockets.slot_of(author).filter(|slot| sockets.may_write(*slot)) {
            write::write_on(slot, sockets, readers, counters);
        }
    }
}
