//! How many members rooms have: this gateway's counts to the bus, and the sums over all gateways back.
//!
//! Decides how fresh a sum must be (250 ms) and how often counts are written (every 250 ms at most, batched), so that
//! what people see is exact within a second. Single flight per room.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    actor::{Actor, Done},
    counters::tick,
    joins::{RETRY, ROUND},
    tail::within,
};
use crate::{
    fanout::{link::ConnectionId, session::Answer},
    rooms::{RoomName, Signal, Unavailable},
};

/// How long a sum is good for, and the least time between two writes of counts.
const FRESH: Duration = Duration::from_millis(250);
/// Rooms in one write of counts.
const WRITE: usize = 512;
/// Connections that wait for a sum, a partition; one pending ask each, so reactors bound them too.
const ASKS: usize = 4096;
/// How long a sum may take: joins wait for it.
const PATIENCE: Duration = Duration::from_millis(500);
/// Rooms whose sums are kept, a partition; beyond it asks are answered as unavailable.
const ROOMS: usize = 1 << 14;
/// How long a sum that nobody asks for is kept.
const KEPT: Duration = Duration::from_secs(10);

/// Members of a room on other gateways, as last heard.
#[derive(Debug, Default)]
struct Sum {
    others: u64,
    at: Option<Instant>,
    reading: bool,
    /// Counts changed while it was read.
    again: bool,
    asks: Vec<ConnectionId>,
}

/// The sums of a partition's rooms.
#[derive(Debug, Default)]
pub(super) struct Sums {
    rooms: HashMap<RoomName, Sum>,
    asks: usize,
}

impl Sums {
    /// When the room's sum was read; None: not yet, or it is known to have changed.
    pub(super) fn age(&self, room: &RoomName) -> Option<Instant> {
        self.rooms.get(room)?.at
    }

    /// Counts of the room have changed somewhere.
    pub(super) fn outdate(&mut self, room: &RoomName) {
        if let Some(sum) = self.rooms.get_mut(room) {
            sum.at = None;
            sum.again = sum.reading;
        }
    }

    /// True without sums.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Forgets sums that nobody asks for.
    pub(super) fn sweep(&mut self, in_use: impl Fn(&RoomName) -> bool) {
        let wanted = |sum: &Sum| sum.reading || sum.at.is_some_and(|at| at.elapsed() < KEPT);
        self.rooms.retain(|room, sum| in_use(room) || wanted(sum));
    }
}

/// This gateway's counts on their way to the bus.
#[derive(Debug, Default)]
pub(super) struct Counts {
    changed: HashSet<RoomName>,
    written: Option<Instant>,
    writing: bool,
}

impl Counts {
    /// The room's count must be written.
    pub(super) fn changed(&mut self, room: &RoomName) {
        self.changed.insert(room.clone());
    }

    /// True while the room's count is not written.
    pub(super) fn pending(&self, room: &RoomName) -> bool {
        self.writing || self.changed.contains(room)
    }

    /// When the next write may go out.
    pub(super) fn due(&self) -> Option<Instant> {
        let idle = self.changed.is_empty() || self.writing;
        (!idle).then(|| self.written.map_or_else(Instant::now, |written| written + FRESH))
    }
}

impl Actor {
    fn local(&self, room: &RoomName) -> u64 {
        self.rooms.get(room).map_or(0, |room| room.members.len() as u64)
    }

    /// Members on other gateways, when that is known freshly enough.
    pub(super) fn fresh_sum(&self, room: &RoomName) -> Option<u64> {
        let sum = self.sums.rooms.get(room)?;
        sum.at.filter(|at| at.elapsed() < FRESH).map(|_| sum.others)
    }

    /// Reads a room's sum unless that is under way.
    pub(super) fn want_sum(&mut self, room: &RoomName) {
        let sum = self.sums.rooms.entry(room.clone()).or_default();
        if sum.reading {
            return;
        }
        (sum.reading, sum.again) = (true, false);
        let (bus, room) = (Arc::clone(&self.bus), room.clone());
        self.work.push(Box::pin(async move {
            let result = timeout(PATIENCE, bus.members(&room)).await;
            let result = result.unwrap_or_else(|_| Err(Unavailable("no answer in time".into())));
            Done::Sum { room, result }
        }));
    }

    pub(super) fn ask_members(&mut self, from: ConnectionId, room: RoomName) {
        if let Some(others) = self.fresh_sum(&room) {
            let members = others + self.local(&room);
            self.delivery.answer(from, Answer::Members(members));
        } else if self.sums.asks >= ASKS || self.sums.rooms.len() >= ROOMS {
            self.delivery.answer(from, Answer::Unavailable { retry: RETRY });
        } else {
            self.sums.asks += 1;
            self.sums.rooms.entry(room.clone()).or_default().asks.push(from);
            self.want_sum(&room);
            self.schedule_sweep();
        }
    }

    /// A sum has come. While the bus is away the last one counts: nobody waits for a number.
    pub(super) fn summed(&mut self, name: &RoomName, result: Result<u64, Unavailable>) {
        let reported = self.rooms.get(name).map_or(0, |room| u64::from(room.reported));
        let local = self.local(name);
        let Some(sum) = self.sums.rooms.get_mut(name) else { return };
        sum.reading = false;
        match result {
            Ok(all) => sum.others = all.saturating_sub(reported),
            Err(away) => {
                tick(&self.shared.counters.away);
                tracing::debug!(room = %name, %away, "the sum of members is not to be had");
            }
        }
        sum.at = Some(Instant::now());
        let members = sum.others + local;
        let (again, asks) = (sum.again, std::mem::take(&mut sum.asks));
        self.sums.asks -= asks.len();
        asks.into_iter().for_each(|from| self.delivery.answer(from, Answer::Members(members)));
        let mut budget = ROUND;
        self.settle(name, &mut budget);
        self.unsettle(name);
        if again {
            self.sums.outdate(name);
            self.want_sum(name);
        } else {
            self.tell_presence(name);
        }
    }

    /// Writes the counts that have changed, unless it is too early.
    pub(super) fn count_next(&mut self) {
        if self.counts.due().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let names: Vec<_> = self.counts.changed.iter().take(WRITE).cloned().collect();
        let mut counts = Vec::with_capacity(names.len());
        for name in names {
            self.counts.changed.remove(&name);
            counts.push((name.clone(), self.local(&name) as u32));
        }
        (self.counts.writing, self.counts.written) = (true, Some(Instant::now()));
        let (bus, partition) = (Arc::clone(&self.bus), self.partition);
        self.work.push(Box::pin(async move {
            let result = within(bus.count(partition, &counts)).await;
            Done::Counted { counts, result }
        }));
    }

    /// Counts were written: other gateways are told that there is a new sum.
    pub(super) fn counted(&mut self, counts: Vec<(RoomName, u32)>, result: Result<(), Unavailable>) {
        self.counts.writing = false;
        if let Err(away) = result {
            tick(&self.shared.counters.away);
            tracing::debug!(partition = self.partition.index(), %away, "counts wait");
            self.counts.changed.extend(counts.into_iter().map(|(room, _)| room));
            return;
        }
        for (name, count) in counts {
            if let Some(room) = self.rooms.get_mut(&name) {
                room.reported = count;
            }
            self.signals.push(name, Signal::Count);
        }
    }
}
