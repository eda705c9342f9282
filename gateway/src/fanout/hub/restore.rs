//! Giving back what the bus has lost: rooms that it no longer knows, from the logs that are held here.
//!
//! Decides when: a room's history fell short of its log, or posts were refused because data was lost. All rooms of the
//! partition are given back at once, before any is compared with its history again and before any post goes on.

use std::{sync::Arc, time::Duration};

use super::{
    actor::{Actor, Done},
    backoff::{Backoff, rest},
    counters::tick,
    room::Room,
    tail::within,
};
use crate::{
    bus::{HeldRoom, RESTORE_WINDOW},
    rooms::{Epoch, Position, Unavailable},
};

/// Whether rooms are being given back.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    flying: bool,
    /// The newest epoch in which rooms were given back: in it and before, what falls short is lost.
    done: Epoch,
    backoff: Backoff,
}

impl Restoring {
    /// True while histories must not be read: they would be compared with what is about to come back.
    pub(super) fn under_way(&self) -> bool {
        self.flying
    }
}

impl Room {
    /// What is held of the room, if anything.
    fn held(&self) -> Option<HeldRoom> {
        let log = self.log.as_ref().filter(|log| log.head().seq > 0)?;
        Some(HeldRoom { room: self.name.clone(), head: log.head().seq, entries: log.newest(RESTORE_WINDOW) })
    }

    /// True when a reading ends before what is held, in a later generation.
    pub(super) fn falls_short(&self, head: Position) -> bool {
        let held = self.log.as_ref().map(|log| log.head());
        held.is_some_and(|held| head.epoch > held.epoch && head.seq < held.seq)
    }
}

impl Actor {
    /// True when a room whose reading ended at `head` must be given back before it is compared.
    pub(super) fn needs_restore(&self, room: &Room, head: Position) -> bool {
        head.epoch > self.restoring.done && room.falls_short(head)
    }

    /// Gives back what is held, unless that is under way.
    pub(super) fn restore(&mut self) {
        if !std::mem::replace(&mut self.restoring.flying, true) {
            self.send_held_rooms(Duration::ZERO);
        }
    }

    fn send_held_rooms(&mut self, pause: Duration) {
        let (bus, partition) = (Arc::clone(&self.bus), self.partition);
        let held: Vec<_> = self.rooms.values().filter_map(Room::held).collect();
        self.work.push(Box::pin(async move {
            rest(pause).await;
            Done::Restored { result: within(bus.restore(partition, &held)).await }
        }));
    }

    pub(super) fn restored(&mut self, result: Result<Epoch, Unavailable>) {
        match result {
            Ok(epoch) => {
                self.restoring = Restoring { done: epoch, ..Restoring::default() };
                self.append_again();
            }
            Err(away) => {
                tick(&self.shared.counters.away);
                tracing::debug!(partition = self.partition.index(), %away, "what was lost waits to be given back");
                let pause = self.restoring.backoff.failed();
                self.give_up_overdue(&away);
                self.send_held_rooms(pause);
            }
        }
    }
}
