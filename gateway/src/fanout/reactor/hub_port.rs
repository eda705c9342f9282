//! The way from a reactor to the hub: at once, or later in the same order.
//!
//! Decides what waits while the hub's queue is full. Never touches a connection: the caller stops reading the one whose
//! message was held back.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{backpressure::Backpressure, counters::Counters, settings::HubQueue};
use crate::{
    fanout::messages::{ConnectionId, ToHub},
    rooms::Origin,
};

/// Whether a message went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Sent {
    Now,
    /// It waits for room in the hub's queue.
    Held,
}

/// A reactor's side of the hub's queue.
pub(super) struct HubPort {
    queue: Arc<dyn HubQueue>,
    held: Backpressure,
    counters: Arc<Counters>,
    /// Numbers the keys made for posts without one.
    keys: u64,
}

impl HubPort {
    pub(super) fn new(queue: Arc<dyn HubQueue>, counters: Arc<Counters>) -> Self {
        Self { queue, held: Backpressure::default(), counters, keys: 0 }
    }

    /// Hands `message` to the hub, or gives it back when the hub's queue is full.
    pub(super) fn offer(&self, message: ToHub) -> Result<(), ToHub> {
        if self.held.blocks(&message) { Err(message) } else { self.queue.try_send(message) }
    }

    /// Hands `message` to the hub now or later.
    pub(super) fn deliver(&mut self, message: ToHub) -> Sent {
        let Err(message) = self.offer(message) else { return Sent::Now };
        self.held.push(message);
        self.count_held();
        Sent::Held
    }

    /// Whether messages wait for room in the hub's queue.
    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Tries again what was held back; returns whose messages were taken.
    pub(super) fn retry(&mut self) -> Vec<ConnectionId> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let taken = self.held.retry(&*self.queue);
        self.count_held();
        taken
    }

    fn count_held(&self) {
        self.counters.held_back.store(self.held.len() as u64, Relaxed);
    }

    /// A key that no other post of the ChatRoom has.
    pub(super) fn unique_key(&mut self, origin: Origin) -> Arc<str> {
        self.keys += 1;
        format!("{:x}-{:x}-{:x}", origin.gateway, origin.connection, self.keys).into()
    }
}
