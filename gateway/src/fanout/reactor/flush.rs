//! The flush: what waits is written, the connections' own first, then room by room.
//!
//! Decides how the writes of a turn are shared: as many for what connections have of their own as for rooms, so that
//! neither starves the other.

use super::{clock::Now, counters::Counters, ids::FeedId, readers::Readers, sockets::Table, write};
use crate::fanout::encoding::Chunk;

/// Writes what waits, with at most some `writes` system calls of each kind; true when all was served.
pub(super) fn flush(
    mut writes: usize,
    table: &mut Table,
    readers: &mut Readers,
    counters: &Counters,
    now: Now,
) -> bool {
    readers.begin_flush();
    for _ in 0..writes {
        let Some(slot) = table.next_to_write() else { break };
        write::write_on(slot, table, readers, counters);
    }
    while let Some(feed) = readers.next_to_flush() {
        write_to_authors(feed, table, readers, counters);
        let shown = |chunk: &Chunk| counters.shown(chunk, now);
        let walked = readers.flush(feed, writes, table, shown);
        Counters::add(&counters.writes, walked.writes as u64);
        Counters::add(&counters.bytes_out, walked.bytes);
        Counters::add(&counters.deliveries, walked.deliveries);
        writes = writes.saturating_sub(walked.writes);
        if !walked.done {
            return false;
        }
    }
    !table.has_writable()
}

/// Those who must not see part of what is new get the rest one by one, before the walk over all readers.
fn write_to_authors(feed: FeedId, table: &mut Table, readers: &mut Readers, counters: &Counters) {
    for author in readers.authors(feed) {
        if let Some(slot) = table.slot_of(author).filter(|slot| table.may_write(*slot)) {
            write::write_on(slot, table, readers, counters);
        }
    }
}
