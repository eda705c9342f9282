//! What travels beside the log: typing, people coming and going, changed counts.
//!
//! Decides what is published (typing once a second and person) and passes what is heard to the room's readers, encoded
//! once an encoding. Signals may be dropped; nothing else waits for them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Command,
    actor::{Actor, Done},
};
use crate::{
    bus::Bus,
    rooms::{Partition, RoomName, Signal, pace::Conflated},
};

/// Signals that wait, a partition; beyond it new ones are dropped.
const QUEUE: usize = 1024;
/// Signals published at once, in their order.
const BATCH: usize = 64;
/// People typing in a second, a partition; more than can be read.
const TYPING: usize = 4096;

/// Signals on their way to the bus.
#[derive(Debug)]
pub(super) struct Signals {
    queue: VecDeque<(RoomName, Signal)>,
    pub(super) flying: bool,
    typing: Conflated<(RoomName, Arc<str>)>,
}

impl Default for Signals {
    fn default() -> Self {
        Self { queue: VecDeque::new(), flying: false, typing: Conflated::new(TYPING) }
    }
}

impl Signals {
    /// Queues a signal.
    pub(super) fn push(&mut self, room: RoomName, signal: Signal) {
        if self.queue.len() < QUEUE {
            self.queue.push_back((room, signal));
        }
    }
}

impl Actor {
    /// Queues a signal of a reactor or of the hub itself.
    pub(super) fn publish(&mut self, room: RoomName, signal: Signal) {
        if let Signal::Typing { from } = &signal
            && !self.signals.typing.allow((room.clone(), Arc::clone(&from.id)), self.shared.now())
        {
            return;
        }
        self.signals.push(room, signal);
    }

    /// Publishes what is queued, unless something is being published.
    pub(super) fn publish_next(&mut self) {
        if self.signals.flying || self.signals.queue.is_empty() {
            return;
        }
        let count = self.signals.queue.len().min(BATCH);
        let batch: Vec<_> = self.signals.queue.drain(..count).collect();
        self.signals.flying = true;
        let bus = Arc::clone(&self.bus);
        self.work.push(Box::pin(async move {
            join_all(batch.iter().map(|(room, signal)| bus.signal(room, signal))).await;
            Done::Signalled
        }));
    }

    /// Passes a signal on to the room's readers.
    pub(super) fn heard(&mut self, name: &RoomName, signal: &Signal) {
        self.note_presence(name, signal);
        let Some(room) = self.rooms.get(name) else { return };
        self.delivery.chunks(room.id, room.told, room.members.seats(), |delivery, encoding| {
            delivery.encode_signal(encoding, name, signal)
        });
    }
}

/// Passes the bus's signals on to the actors. One that is too busy misses some.
pub(super) async fn listen(bus: Arc<dyn Bus>, mailboxes: Arc<[mpsc::Sender<Command>]>, stop: CancellationToken) {
    loop {
        let heard = tokio::select! {
            heard = bus.signals() => heard,
            () = stop.cancelled() => return,
        };
        if heard.is_empty() {
            // A bus that closes has nothing more to say, and says so at once.
            sleep(Duration::from_millis(50)).await;
        }
        for (room, signal) in heard {
            let mailbox = &mailboxes[Partition::of(&room).index()];
            if mailbox.try_send(Command::Heard { room, signal }).is_err() {
                tracing::trace!("a signal was dropped: the partition is busy");
            }
        }
    }
}
