//! What did not fit into the hub's queue and must not be lost.
//!
//! Decides the order in which it is tried again: that of its partition. Bounded by connections: one that waits here is
//! not read, and leaves are bounded by the rooms that connections are in.

use std::{collections::VecDeque, sync::atomic::Ordering::Relaxed};

use super::{HubQueue, connection::Flags, turn::Reactor};
use crate::{
    fanout::link::{ConnectionId, ToHub},
    rooms::PARTITIONS,
};

/// A set of partitions as bits.
type Partitions = u64;
const _: () = assert!(PARTITIONS as u32 <= Partitions::BITS);

#[derive(Default)]
pub(super) struct Parked {
    queue: VecDeque<ToHub>,
    /// Partitions that something is queued for.
    waiting: Partitions,
}

impl Parked {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether something is ahead of `message`.
    fn blocks(&self, message: &ToHub) -> bool {
        self.waiting & bit(message) != 0
    }

    fn push(&mut self, message: ToHub) {
        self.waiting |= bit(&message);
        self.queue.push_back(message);
    }

    /// Tries everything again, in order within each partition; tells of what was taken.
    fn retry(&mut self, hub: &dyn HubQueue, mut taken: impl FnMut(ConnectionId)) {
        let (mut blocked, queue) = (0, std::mem::take(&mut self.queue));
        for message in queue {
            let (bit, from) = (bit(&message), sender(&message));
            let refused = if blocked & bit == 0 { hub.try_send(message).err() } else { Some(message) };
            match (refused, from) {
                (Some(message), _) => {
                    blocked |= bit;
                    self.queue.push_back(message);
                }
                (None, Some(from)) => taken(from),
                (None, None) => {}
            }
        }
        self.waiting = blocked;
    }
}

fn bit(message: &ToHub) -> Partitions {
    1 << message.partition().index()
}

/// Whose reading waits for it.
fn sender(message: &ToHub) -> Option<ConnectionId> {
    match message {
        ToHub::Join { from, .. }
        | ToHub::Post { from, .. }
        | ToHub::Ask { from, .. }
        | ToHub::Tell { from, .. }
        | ToHub::Leave { from, .. } => Some(*from),
        ToHub::Signal { .. } => None,
    }
}

impl Reactor {
    /// Hands `message` to the hub, or gives it back when the hub's queue is full.
    pub(super) fn offer(&mut self, message: ToHub) -> Result<(), ToHub> {
        if self.parked.blocks(&message) { Err(message) } else { self.hub.try_send(message) }
    }

    /// Hands `message` to the hub now or later; the connection is not read until then.
    pub(super) fn deliver(&mut self, slot: usize, message: ToHub) {
        let Err(message) = self.offer(message) else { return };
        self.parked.push(message);
        self.counters.parked.store(self.parked.queue.len() as u64, Relaxed);
        if let Some(connection) = self.connections.get(slot) {
            connection.parked += 1;
            self.stop_reading(slot, Flags::PARKED);
        }
    }

    pub(super) fn retry_parked(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let mut taken = Vec::new();
        self.parked.retry(&*self.hub, |from| taken.push(from));
        self.counters.parked.store(self.parked.queue.len() as u64, Relaxed);
        for from in taken {
            let Some(slot) = self.connections.find(from) else { continue };
            let Some(connection) = self.connections.get(slot) else { continue };
            connection.parked = connection.parked.saturating_sub(1);
            if connection.parked == 0 {
                self.go_on(slot, Flags::PARKED);
            }
        }
    }
}
