//! The reader of a partition's stream: runs while a room of the partition is in memory.
//!
//! Decides where reading starts and goes on; what comes is handed to the rooms in stream order. Never skips: while the
//! bus is away the position stays.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    actor::{Actor, Done},
    backoff::{Backoff, rest},
    counters::{add, tick},
};
use crate::{
    bus::{Batch, Bus, Offset, Record},
    rooms::{Partition, RoomName, Unavailable},
};

/// Records a read: enough to fill a flush at 100,000 entries a second, few enough to stay a short piece of work.
const BATCH: u32 = 512;

/// The bus bounds its own calls; this bounds the bus.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a read brought, and where it began.
pub(super) struct TailRead {
    from: Offset,
    result: Result<Batch, Unavailable>,
}

/// Where reading stands.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Grows with each start, so that what an earlier reader still brings is recognised.
    run: u64,
    reading: bool,
    /// The first position is known: histories may be read, nothing after them can be missed.
    pub(super) started: bool,
    backoff: Backoff,
}

/// Awaits a call of the bus, within [`PATIENCE`].
pub(super) async fn within<T>(call: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    timeout(PATIENCE, call).await.unwrap_or_else(|_| Err(Unavailable("no answer in time".into())))
}

async fn end(bus: Arc<dyn Bus>, partition: Partition, pause: Duration) -> Result<Offset, Unavailable> {
    rest(pause).await;
    bus.watch(partition, true).await;
    within(bus.end(partition)).await
}

impl Actor {
    /// Starts reading if it has not been started.
    pub(super) fn start_tail(&mut self) {
        if !self.tail.reading {
            self.tail = Tail { run: self.tail.run + 1, reading: true, ..Tail::default() };
            self.find_end(Duration::ZERO);
        }
    }

    fn find_end(&mut self, pause: Duration) {
        let (bus, partition, run) = (Arc::clone(&self.bus), self.partition, self.tail.run);
        self.work.push(Box::pin(async move { Done::End { run, result: end(bus, partition, pause).await } }));
    }

    /// Stops reading: no room of the partition is in memory.
    pub(super) fn stop_tail(&mut self) {
        if self.tail.reading {
            self.tail.reading = false;
            let (bus, partition) = (Arc::clone(&self.bus), self.partition);
            self.work.push(Box::pin(async move {
                bus.watch(partition, false).await;
                Done::Unwatched
            }));
        }
    }

    /// Signals are no longer heard; if reading was started again meanwhile, they must be.
    pub(super) fn unwatched(&mut self) {
        if self.tail.reading {
            let (bus, partition) = (Arc::clone(&self.bus), self.partition);
            self.work.push(Box::pin(async move {
                bus.watch(partition, true).await;
                Done::Watched
            }));
        }
    }

    pub(super) fn tail_starts(&mut self, run: u64, result: Result<Offset, Unavailable>) {
        if run != self.tail.run || !self.tail.reading {
            return;
        }
        match result {
            Ok(offset) => {
                self.tail.started = true;
                self.tail.backoff.reset();
                self.read_tail(offset, Duration::ZERO);
            }
            Err(away) => {
                let pause = self.away(&away);
                self.find_end(pause);
            }
        }
    }

    fn away(&mut self, away: &Unavailable) -> Duration {
        tick(&self.shared.counters.away);
        tracing::debug!(partition = self.partition.index(), %away, "the tail waits");
        self.tail.backoff.failed()
    }

    fn read_tail(&mut self, from: Offset, pause: Duration) {
        let (bus, partition, run) = (Arc::clone(&self.bus), self.partition, self.tail.run);
        self.work.push(Box::pin(async move {
            rest(pause).await;
            let result = within(bus.tail(partition, from, BATCH)).await;
            Done::Tail { run, read: TailRead { from, result } }
        }));
    }

    pub(super) fn tail_read(&mut self, run: u64, TailRead { from, result }: TailRead) {
        if run != self.tail.run || !self.tail.reading {
            return;
        }
        match result {
            Ok(batch) => {
                self.tail.backoff.reset();
                self.read_tail(batch.next, Duration::ZERO);
                self.take_batch(batch);
            }
            Err(away) => {
                let pause = self.away(&away);
                self.read_tail(from, pause);
            }
        }
    }

    fn take_batch(&mut self, batch: Batch) {
        let mut touched: Vec<RoomName> = Vec::new();
        add(&self.shared.counters.entries, batch.records.len() as u64);
        for record in batch.records {
            match record {
                Record::Entry(routed) => {
                    let Some(room) = self.rooms.get_mut(&routed.room) else { continue };
                    room.take(&routed.entry, self.shared.settings.window, &mut self.delivery);
                    if touched.last() != Some(&routed.room) {
                        touched.push(routed.room);
                    }
                }
                Record::Boundary { lost: false, .. } => {}
                Record::Boundary { lost: true, .. } | Record::Trimmed => self.doubt_all(),
            }
        }
        for name in touched {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            room.flush(&mut self.delivery);
            self.want(&name);
            self.unsettle(&name);
        }
    }

    /// Every room must be compared with its history.
    fn doubt_all(&mut self) {
        for room in self.rooms.values_mut() {
            room.flush(&mut self.delivery);
            room.want_reading();
        }
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        names.iter().for_each(|name| self.want(name));
    }
}
