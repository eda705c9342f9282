//! Writing to one connection: what is queued for it alone, then what it lacks of its rooms, in as few writes as possible.
//!
//! Decides what a half-done write leaves behind: at most the rest of one chunk, which goes before anything else.

use std::io::{ErrorKind, Write};

use super::{
    counters::Counters,
    ids::{FeedId, Slot},
    readers::Readers,
    sockets::{Slices, Table},
};
use crate::rooms::RoomName;

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

/// Writes to one connection until it has all or takes no more.
pub(super) fn write_on(slot: Slot, table: &mut Table, readers: &mut Readers, counters: &Counters) {
    loop {
        match write_once(slot, table, readers, counters) {
            Wrote::More => {}
            Wrote::All => {
                if table.wrote_all(slot) {
                    readers.mark_rooms_dirty(slot);
                }
                return;
            }
            Wrote::Blocked => return table.block(slot),
            Wrote::Failed => return table.drop(slot),
        }
    }
}

fn write_once(slot: Slot, table: &mut Table, readers: &mut Readers, counters: &Counters) -> Wrote {
    let origin = table.origin(slot);
    let Some((stream, outbox)) = table.stream_and_outbox(slot) else { return Wrote::All };
    let mut slices = Slices::new();
    let whole = outbox.gather(&mut slices) && readers.gather(slot, origin, &mut slices);
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let written = match &slices[..] {
        [] => Ok(0),
        [one] => stream.write(one),
        several if total <= COPIED => {
            let mut merged = Vec::with_capacity(total);
            several.iter().for_each(|slice| merged.extend_from_slice(slice));
            stream.write(&merged)
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
    Counters::add(&counters.writes, u64::from(total > 0));
    Counters::add(&counters.bytes_out, n as u64);
    if let Some(n) = table.wrote(slot, n) {
        let delivered = readers.wrote(slot, origin, n, |rest| table.queue_chunk(slot, rest));
        Counters::add(&counters.deliveries, delivered);
    }
    match (n < total, whole) {
        (true, _) => Wrote::Blocked,
        (false, false) => Wrote::More,
        (false, true) => Wrote::All,
    }
}

/// Queues what the connection has not got yet of a feed, so that what is queued next comes after it.
pub(super) fn settle(slot: Slot, feed: FeedId, table: &mut Table, readers: &mut Readers, counters: &Counters) {
    let origin = table.origin(slot);
    let delivered = readers.settle(slot, feed, origin, |bytes| table.queue_chunk(slot, bytes));
    Counters::add(&counters.deliveries, delivered);
}

/// Queues what the connection has not got yet of any of its rooms.
pub(super) fn settle_all(slot: Slot, table: &mut Table, readers: &mut Readers, counters: &Counters) {
    let origin = table.origin(slot);
    let delivered = readers.settle_all(slot, origin, |bytes| table.queue_chunk(slot, bytes));
    Counters::add(&counters.deliveries, delivered);
}

/// As [`settle`], of a room by its name, if the connection reads it.
pub(super) fn settle_room(slot: Slot, room: &RoomName, table: &mut Table, readers: &mut Readers, counters: &Counters) {
    if let Some(feed) = readers.feed_read(slot, room) {
        settle(slot, feed, table, readers, counters);
    }
}
