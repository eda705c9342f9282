//! What travels beside the log, on its way to the bus: typing, people coming and going, changed counts.
//!
//! Decides what is published: typing at most once per second and person. Signals may be dropped; nothing else waits for
//! them.

use std::{collections::VecDeque, sync::Arc};

use futures::future::join_all;

use super::super::call::{BusAccess, BusCall, Failure};
use crate::rooms::{RoomName, Signal, Unavailable, throttle::Conflated};

/// Signals of one partition that wait. Beyond it new ones are dropped.
const QUEUE: usize = 1024;
/// Signals published at once, in their order.
const BATCH: usize = 64;
/// People of one partition who type within a second; more than can be read.
const TYPING: usize = 4096;

/// The signals that are not published yet.
#[derive(Debug)]
pub(crate) struct Signals {
    queue: VecDeque<(RoomName, Signal)>,
    publishing: bool,
    typing: Conflated<(RoomName, Arc<str>)>,
}

/// Signals that are published.
#[derive(Debug)]
pub(crate) struct SignalsCall(Vec<(RoomName, Signal)>);

/// Signals were published, or dropped.
#[derive(Debug)]
pub(crate) struct SignalsDone;

impl Default for Signals {
    fn default() -> Self {
        Self { queue: VecDeque::new(), publishing: false, typing: Conflated::new(TYPING) }
    }
}

impl Signals {
    /// Queues a signal. `now`: milliseconds on a monotonic clock.
    pub(crate) fn push(&mut self, room: RoomName, signal: Signal, now: u64) {
        let allowed = match &signal {
            Signal::Typing { from } => self.typing.allow((room.clone(), Arc::clone(&from.id)), now),
            Signal::Joined { .. } | Signal::Left { .. } | Signal::Count => true,
            Signal::WhoIsHere { .. } | Signal::Here { .. } => true,
        };
        if allowed && self.queue.len() < QUEUE {
            self.queue.push_back((room, signal));
        }
    }

    /// Publishes what is queued, unless something is being published.
    pub(crate) fn next(&mut self) -> Option<SignalsCall> {
        if self.publishing || self.queue.is_empty() {
            return None;
        }
        self.publishing = true;
        let count = self.queue.len().min(BATCH);
        Some(SignalsCall(self.queue.drain(..count).collect()))
    }

    /// What was under way is published.
    pub(crate) fn done(&mut self, SignalsDone: SignalsDone) {
        self.publishing = false;
    }
}

impl BusCall for SignalsCall {
    type Done = SignalsDone;

    async fn run(self, BusAccess { bus, .. }: &BusAccess) -> SignalsDone {
        join_all(self.0.iter().map(|(room, signal)| bus.signal(room, signal))).await;
        SignalsDone
    }
}

impl Failure for SignalsDone {
    /// Signals may be dropped.
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::Author;

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    fn typing(id: &str) -> Signal {
        Signal::Typing { from: Author { id: id.into(), name: "ada".into(), extra: None } }
    }

    #[test]
    fn typing_is_published_at_most_once_per_second_and_person() {
        let mut signals = Signals::default();
        for (id, now) in [("u1", 0), ("u2", 0), ("u1", 999), ("u1", 1000)] {
            signals.push(room(), typing(id), now);
        }
        assert_eq!(signals.next().unwrap().0.len(), 3);
    }

    #[test]
    fn one_batch_is_published_at_a_time_and_the_queue_is_bounded() {
        let mut signals = Signals::default();
        for _ in 0..QUEUE + 10 {
            signals.push(room(), Signal::Count, 0);
        }
        assert_eq!(signals.next().unwrap().0.len(), BATCH);
        assert!(signals.next().is_none());
        assert_eq!(signals.queue.len(), QUEUE - BATCH);
        signals.done(SignalsDone);
        assert!(signals.next().is_some());
    }
}
