//! When an actor must look at a room again though nothing has happened.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use tokio::time::Instant;

use crate::rooms::RoomName;

/// What a room is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Joins that wait.
    Joins,
    /// Presence to be told.
    Presence,
}

/// Timers by room; at most one of each kind a room, the earliest asked for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Due, RoomName)>>,
    set: BTreeSet<(Due, RoomName)>,
}

impl Timers {
    /// Sets a timer unless one of the kind is set.
    pub(super) fn set(&mut self, at: Instant, due: Due, room: &RoomName) {
        if self.set.insert((due, room.clone())) {
            self.heap.push(Reverse((at, due, room.clone())));
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes one that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Due, RoomName)> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, due, room)) = self.heap.pop()?;
        self.set.remove(&(due, room.clone()));
        Some((due, room))
    }
}
