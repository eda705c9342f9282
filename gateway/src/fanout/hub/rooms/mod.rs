//! The rooms of one partition that are in memory.
//!
//! Owns which rooms there are, their numbers, and which of them must be looked at before the round ends.

mod backlog;
mod chunk;
pub(crate) mod eviction;
mod ids;
pub(crate) mod joins;
mod presence_news;
pub(crate) mod queue;
mod readers;
pub(crate) mod room;
mod room_log;

use std::{collections::HashMap, sync::Arc};

use tokio::time::Instant;

use self::{eviction::unused, ids::RoomIds, queue::RoomQueue, room::Room};
use super::{delivery::Delivery, shared::Shared};
use crate::{
    bus::{HeldRoom, Record},
    moderation::News,
    rooms::{Partition, RoomName, log::Window},
};

/// The rooms in memory.
#[derive(Debug)]
pub(crate) struct Rooms {
    shared: Arc<Shared>,
    ids: RoomIds,
    by_name: HashMap<RoomName, Room>,
    /// Rooms whose history must be read or whose joins must be looked at in this round.
    attention: RoomQueue,
}

/// Whether a room could be brought into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Known,
    New,
    /// `limits.rooms` is reached.
    Refused,
}

impl Rooms {
    pub(crate) fn new(partition: Partition, shared: Arc<Shared>) -> Self {
        Self { shared, ids: RoomIds::new(partition), by_name: HashMap::new(), attention: RoomQueue::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn get(&self, room: &RoomName) -> Option<&Room> {
        self.by_name.get(room)
    }

    pub(crate) fn get_mut(&mut self, room: &RoomName) -> Option<&mut Room> {
        self.by_name.get_mut(room)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values()
    }

    /// Members of a room on this gateway.
    pub(crate) fn members(&self, room: &RoomName) -> u32 {
        self.by_name.get(room).map_or(0, Room::members)
    }

    /// What each room may keep now.
    pub(crate) fn window(&self) -> Window {
        self.shared.window(self.by_name.len())
    }

    /// Brings a room into memory, for somebody who will join it.
    pub(crate) fn open(&mut self, name: &RoomName) -> Opened {
        if let Some(room) = self.by_name.get_mut(name) {
            return if room.admit(&self.shared) { Opened::Known } else { Opened::Refused };
        }
        let mut room = Room::new(self.ids.take(), name.clone());
        if !room.admit(&self.shared) {
            self.ids.give_back(room.id());
            return Opened::Refused;
        }
        self.by_name.insert(name.clone(), room);
        Opened::New
    }

    /// The room is looked at before the round ends, if it needs that.
    pub(crate) fn attend(&mut self, name: &RoomName) {
        if self.by_name.get(name).is_some_and(Room::needs_attention) {
            self.attention.push(name);
        }
    }

    /// Rooms that wait to be looked at.
    pub(crate) fn to_attend(&self) -> usize {
        self.attention.len()
    }

    /// Takes the next room that waits to be looked at.
    pub(crate) fn next_to_attend(&mut self) -> Option<RoomName> {
        self.attention.pop()
    }

    /// Takes what the stream brought, in its order.
    pub(crate) fn take(&mut self, records: Vec<Record>, delivery: &mut Delivery) {
        let mut touched: Vec<RoomName> = Vec::new();
        for record in records {
            match record {
                Record::Entry(routed) => {
                    let Some(room) = self.by_name.get_mut(&routed.room) else { continue };
                    room.take(&routed.entry, &self.shared, delivery);
                    if touched.last() != Some(&routed.room) {
                        touched.push(routed.room);
                    }
                }
                Record::Boundary { lost: false, .. } => {}
                Record::Boundary { lost: true, .. } | Record::Trimmed => self.doubt_all(delivery),
            }
        }
        for name in touched {
            let Some(room) = self.by_name.get_mut(&name) else { continue };
            room.flush(delivery);
            if room.needs_attention() {
                self.attention.push(&name);
            }
        }
    }

    /// Tells those concerned here what a moderator did.
    pub(crate) fn moderated(&self, news: News, delivery: &mut Delivery) {
        if let Some(room) = self.by_name.get(&news.room) {
            room.moderated(&Arc::new(news), delivery);
        }
    }

    /// Every room must be compared with its history.
    fn doubt_all(&mut self, delivery: &mut Delivery) {
        for room in self.by_name.values_mut() {
            room.doubt(delivery);
            if room.needs_attention() {
                self.attention.push(room.name());
            }
        }
    }

    /// What can be given back to a bus that has lost it.
    pub(crate) fn to_restore(&self) -> Vec<HeldRoom> {
        self.by_name.values().filter_map(Room::to_restore).collect()
    }

    /// Removes rooms that nobody uses, except those that `stays`, and trims the others.
    pub(crate) fn evict(&mut self, now: Instant, stays: impl Fn(&RoomName) -> bool) {
        let idle = self.by_name.values().filter(|room| !stays(room.name()));
        let idle = idle.filter_map(|room| Some((room.evictable_since()?, room.name().clone()))).collect();
        for name in unused(idle, now) {
            if let Some(room) = self.by_name.remove(&name) {
                self.ids.give_back(room.id());
            }
        }
        let (window, oldest) = (self.window(), self.shared.oldest_shown());
        self.by_name.values_mut().for_each(|room| room.trim(oldest, window));
    }
}
