//! What leaves memory: rooms that nobody uses, entries that are too old, backlogs that nobody comes back for.
//!
//! Runs once a second while the partition has rooms. When the last one goes, the tail stops.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    actor::Actor,
    room::{Room, Sync},
};
use crate::{
    fanout::link::RoomId,
    rooms::{PARTITIONS, Partition, RoomName},
};

const PERIOD: Duration = Duration::from_secs(1);
/// How long a room without members stays, so that a page that is reloaded finds it warm.
const GRACE: Duration = Duration::from_secs(30);
/// Rooms without members that stay, a partition: some 4,000 in all.
const IDLE: usize = 64;

/// Numbers for rooms: dense and unique in the process; the one given back longest ago is used again first.
#[derive(Debug)]
pub(super) struct RoomIds {
    next: u32,
    free: VecDeque<RoomId>,
}

impl RoomIds {
    pub(super) fn new(partition: Partition) -> Self {
        Self { next: partition.index() as u32, free: VecDeque::new() }
    }

    pub(super) fn take(&mut self) -> RoomId {
        self.free.pop_front().unwrap_or_else(|| {
            let id = RoomId(self.next);
            self.next += u32::from(PARTITIONS);
            id
        })
    }

    pub(super) fn give_back(&mut self, id: RoomId) {
        self.free.push_back(id);
    }
}

impl Room {
    /// Without anybody, any read under way, and any count left in the bus.
    fn may_go(&self) -> bool {
        let reading = self.reading_older || matches!(self.sync, Sync::Reading { .. });
        !self.in_use() && !reading && self.reported == 0
    }
}

impl Actor {
    pub(super) fn schedule_sweep(&mut self) {
        if self.sweep.is_none() {
            self.sweep = Some(Instant::now() + PERIOD);
        }
    }

    pub(super) fn sweep_rooms(&mut self, now: Instant) {
        self.sweep = None;
        for name in self.unused(now) {
            if let Some(room) = self.rooms.remove(&name) {
                self.ids.give_back(room.id);
            }
        }
        let (window, oldest) = (self.window(), self.shared.unix().saturating_sub(self.age()));
        for room in self.rooms.values_mut() {
            room.backlogs.clear_unused();
            if let Some(log) = &mut room.log {
                log.expire(oldest);
                log.resize(window);
            }
        }
        self.sums.sweep(|room| self.rooms.get(room).is_some_and(Room::in_use));
        self.poll_presence(now);
        if self.rooms.is_empty() {
            self.unread.clear();
            self.stop_tail();
        }
        if !self.rooms.is_empty() || !self.sums.is_empty() {
            self.schedule_sweep();
        }
    }

    fn age(&self) -> u64 {
        self.shared.settings.age.as_millis() as u64
    }

    /// Rooms whose grace is over, and the longest unused ones beyond the bound.
    fn unused(&self, now: Instant) -> Vec<RoomName> {
        let may_go = |room: &&Room| room.may_go() && !self.counts.pending(&room.name);
        let idle = self.rooms.values().filter(may_go);
        let mut idle: Vec<_> = idle.map(|room| (room.idle.unwrap_or(now), &room.name)).collect();
        idle.sort_unstable();
        let beyond = idle.len().saturating_sub(IDLE);
        let over = |(n, (since, _)): &(usize, (Instant, &RoomName))| *n < beyond || now - *since >= GRACE;
        idle.into_iter().enumerate().filter(over).map(|(_, (_, name))| name.clone()).collect()
    }
}
