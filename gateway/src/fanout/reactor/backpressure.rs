//! What did not fit into the hub's queue and must not be lost.
//!
//! Decides the order in which it is tried again: that of its partition. Bounded by connections: one that waits here is
//! not read, and leaves are bounded by the rooms that connections are in.

use std::collections::VecDeque;

use super::settings::HubQueue;
use crate::{
    fanout::messages::{ConnectionId, ToHub},
    rooms::PARTITIONS,
};

/// A set of partitions as bits.
type Partitions = u64;
const _: () = assert!(PARTITIONS as u32 <= Partitions::BITS);

/// Messages held back, in order.
#[derive(Default)]
pub(super) struct Backpressure {
    queue: VecDeque<ToHub>,
    /// Partitions that something is queued for.
    waiting: Partitions,
}

impl Backpressure {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether something is ahead of `message`.
    pub(super) fn blocks(&self, message: &ToHub) -> bool {
        self.waiting & bit(message) != 0
    }

    pub(super) fn push(&mut self, message: ToHub) {
        self.waiting |= bit(&message);
        self.queue.push_back(message);
    }

    /// Tries everything again, in order within each partition; returns whose messages were taken.
    pub(super) fn retry(&mut self, hub: &dyn HubQueue) -> Vec<ConnectionId> {
        let (mut blocked, mut taken) = (0, Vec::new());
        for message in std::mem::take(&mut self.queue) {
            let (bit, from) = (bit(&message), sender(&message));
            let refused = if blocked & bit == 0 { hub.try_send(message).err() } else { Some(message) };
            match refused {
                Some(message) => {
                    blocked |= bit;
                    self.queue.push_back(message);
                }
                None => taken.extend(from),
            }
        }
        self.waiting = blocked;
        taken
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
        ToHub::Signal { .. } | ToHub::Moderated(_) => None,
    }
}
