//! The bus of a single gateway: the semantics of Redis, in memory.
//!
//! Keeps nothing across a restart: each process is an epoch of its own. Called by the hub, through [`Bus`].

mod log;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use self::log::Log;
use super::{
    AppendError, Appended, Batch, Bus, Head, Health, HeldRoom, History, KnownRooms, Offset, Page, TAIL_WAIT, Task,
    signals::Signals,
};
use crate::{
    clock::Clock,
    rooms::{Epoch, PARTITIONS, Partition, Post, RoomName, Signal, Unavailable},
};

/// Sixty-four partitions in this process.
#[derive(Debug)]
pub struct MemoryBus {
    partitions: Vec<Lane>,
    signals: Signals,
    /// One bit a partition whose signals are heard.
    watched: AtomicU64,
    clock: Clock,
}

const _: () = assert!(PARTITIONS == 64, "watched holds one bit a partition");

#[derive(Debug)]
struct Lane {
    log: Mutex<Log>,
    counts: Mutex<HashMap<RoomName, u32>>,
    /// Wakes the readers of the partition.
    end: watch::Sender<Offset>,
}

impl MemoryBus {
    /// An empty bus whose epoch is the time of this call.
    pub fn new(history: History) -> Self {
        let clock = Clock::start();
        let lane = |_| {
            let log = Log::new(clock.now(), history);
            Lane { end: watch::Sender::new(log.end()), log: Mutex::new(log), counts: Mutex::default() }
        };
        Self {
            partitions: Partition::all().map(lane).collect(),
            signals: Signals::default(),
            watched: AtomicU64::new(0),
            clock,
        }
    }

    /// What entries are dated by. A directory beside this bus needs the same: what an account missed is found by
    /// comparing entries with its last sign of life.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    fn lane(&self, partition: Partition) -> &Lane {
        &self.partitions[partition.index()]
    }

    async fn read(&self, partition: Partition, from: Offset, limit: u32) -> Batch {
        let lane = self.lane(partition);
        let mut end = lane.end.subscribe();
        let deadline = Instant::now() + TAIL_WAIT;
        loop {
            end.mark_unchanged();
            let batch = lane.log.lock().read(from, limit);
            if !batch.records.is_empty() || timeout_at(deadline, end.changed()).await.is_err() {
                return batch;
            }
        }
    }
}

impl Bus for MemoryBus {
    fn append<'a>(
        &'a self,
        partition: Partition,
        group: &'a [Post],
    ) -> Task<'a, Result<Vec<Result<Appended, AppendError>>, AppendError>> {
        Box::pin(async move {
            let lane = self.lane(partition);
            let (counts, mut log) = (lane.counts.lock(), lane.log.lock());
            let answers = group.iter().map(|post| log.append(post, self.now(), &counts)).collect();
            lane.end.send_replace(log.end());
            Ok(answers)
        })
    }

    fn restore<'a>(&'a self, partition: Partition, rooms: &'a [HeldRoom]) -> Task<'a, Result<Epoch, Unavailable>> {
        Box::pin(async move {
            let mut log = self.lane(partition).log.lock();
            rooms.iter().for_each(|room| log.restore(room, self.now()));
            Ok(Epoch(log.end().epoch))
        })
    }

    fn end(&self, partition: Partition) -> Task<'_, Result<Offset, Unavailable>> {
        Box::pin(async move { Ok(self.lane(partition).log.lock().end()) })
    }

    fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Task<'_, Result<Batch, Unavailable>> {
        Box::pin(async move { Ok(self.read(partition, from, limit).await) })
    }

    fn head<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<Head, Unavailable>> {
        Box::pin(async move { Ok(self.lane(Partition::of(room)).log.lock().head(room)) })
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        limit: u32,
    ) -> Task<'a, Result<Page, Unavailable>> {
        Box::pin(async move { Ok(self.lane(Partition::of(room)).log.lock().page(room, before, limit, self.now())) })
    }

    fn rooms<'a>(&'a self, partition: Partition, after: Option<&'a str>) -> Task<'a, Result<KnownRooms, Unavailable>> {
        Box::pin(async move { Ok(self.lane(partition).log.lock().rooms(after)) })
    }

    fn signal<'a>(&'a self, room: &'a RoomName, signal: &'a Signal) -> Task<'a, ()> {
        Box::pin(async move {
            if self.watched.load(Ordering::Relaxed) & (1 << Partition::of(room).index()) != 0 {
                self.signals.push(room.clone(), signal.clone());
            }
        })
    }

    fn signals(&self) -> Task<'_, Vec<(RoomName, Signal)>> {
        Box::pin(self.signals.take())
    }

    fn watch(&self, partition: Partition, on: bool) -> Task<'_, ()> {
        Box::pin(async move {
            let bit = 1 << partition.index();
            if on {
                self.watched.fetch_or(bit, Ordering::Relaxed);
            } else {
                self.watched.fetch_and(!bit, Ordering::Relaxed);
            }
        })
    }

    fn count<'a>(&'a self, partition: Partition, counts: &'a [(RoomName, u32)]) -> Task<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut kept = self.lane(partition).counts.lock();
            for (room, count) in counts {
                match count {
                    0 => drop(kept.remove(room)),
                    _ => drop(kept.insert(room.clone(), *count)),
                }
            }
            Ok(())
        })
    }

    fn members<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<u64, Unavailable>> {
        Box::pin(async move {
            let counts = self.lane(Partition::of(room)).counts.lock();
            Ok(counts.get(room).copied().unwrap_or(0).into())
        })
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn health(&self) -> Health {
        Health::Memory
    }

    fn close(&self, _limit: Duration) -> Task<'_, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests;
