//! The hub: what carries posts to the bus, and what the bus tells back to the reactors. One actor for each partition.
//!
//! Decides when a room is held in memory, what its readers are sent and in which order, what a join is answered, and
//! when a post has failed. Never writes to a socket, and never looks into a payload: encodings do.
//!
//! ```text
//! reactor ──try_send──► mailbox ─► actor (rooms, logs, members: owned, no lock) ─► batches ─► reactor inboxes
//!                                    │  ▲
//!                                    ▼  │ one tail, one append group, single-flight reads
//!                                   bus
//! ```
//! Called by the reactors ([`Hub::try_send`]).

mod actor;
mod backoff;
mod bus_calls;
mod call;
mod calls;
mod counters;
mod delivery;
mod mailbox;
mod new_rooms;
mod people;
mod posts;
mod presence;
mod rooms;
mod schedule;
mod shared;

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    actor::PartitionActor,
    call::BusAccess,
    delivery::{Delivery, Encodings},
    mailbox::{Command, listen, mailbox},
    shared::Shared,
};
pub use self::{
    counters::{Counters, Totals},
    shared::HubSettings,
};
use crate::{
    bus::Bus,
    directory::Directory,
    fanout::{
        encoding::{Encoding, EncodingId},
        messages::ToHub,
        reactor::ReactorSender,
    },
    moderation::{Moderator, News},
    rooms::Partition,
};

/// The hub of a gateway. Cheap to clone; lives until [`Hub::stop`].
#[derive(Clone, Debug)]
pub struct Hub {
    mailboxes: Arc<[mpsc::Sender<Command>]>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
}

impl Hub {
    /// Starts the actors on the current tokio runtime. `reactors` in the order of their ids.
    pub fn start(
        bus: Arc<dyn Bus>,
        directory: Arc<dyn Directory>,
        moderator: Moderator,
        reactors: Vec<ReactorSender>,
        encodings: Vec<(EncodingId, Arc<dyn Encoding>)>,
        settings: HubSettings,
    ) -> Self {
        let shared = Arc::new(Shared::new(settings, Arc::clone(&bus)));
        let counters = Arc::clone(shared.counters());
        let (tasks, stop, failed) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let encodings = Arc::new(Encodings::new(encodings));
        let start = |partition| {
            let (mailbox, commands) = mailbox();
            let delivery = Delivery::new(reactors.clone(), Arc::clone(&encodings), Arc::clone(&counters));
            let (bus, directory) = (Arc::clone(&bus), Arc::clone(&directory));
            let access = BusAccess::new(bus, directory, moderator.clone(), partition, Arc::clone(&counters));
            let actor = PartitionActor::new(access, Arc::clone(&shared), delivery);
            tasks.spawn(watched(actor.run(commands, stop.clone()), &stop, &failed));
            mailbox
        };
        let mailboxes: Arc<[_]> = Partition::all().map(start).collect();
        tasks.spawn(watched(listen(bus, Arc::clone(&mailboxes), stop.clone()), &stop, &failed));
        tasks.close();
        Self { mailboxes, shared, tasks, stop, failed }
    }

    /// Hands a message to the actor of its room's partition, or gives it back when that actor's mailbox is full.
    /// Never blocks; messages of one sender about one room keep their order.
    pub fn try_send(&self, message: ToHub) -> Result<(), ToHub> {
        let mailbox = &self.mailboxes[message.partition().index()];
        mailbox.try_send(Command::Reactor(message)).map_err(|refused| match refused.into_inner() {
            Command::Reactor(message) => message,
            Command::Heard { .. } => unreachable!("what was sent comes back"),
        })
    }

    /// Tells those concerned here what a moderator did; waits while the room is busy, because it must not be missed.
    pub async fn moderated(&self, news: News) {
        let message = ToHub::Moderated(news);
        // An actor that has ended has answered everybody that they are closed.
        let _ = self.mailboxes[message.partition().index()].send(Command::Reactor(message)).await;
    }

    /// What the hub has done so far.
    pub fn totals(&self) -> Totals {
        self.shared.counters().totals()
    }

    /// Rooms with members on this gateway.
    pub fn rooms(&self) -> usize {
        self.shared.rooms()
    }

    /// Waits until an actor has ended without being asked to: the process must end then.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Ends the actors once the posts on their way are answered, waiting at most `limit`.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        if timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("stopped the hub while some partitions were still busy");
        }
    }
}

/// Runs `task`; its end, or panic, counts as a failure unless the hub stops.
fn watched<F: Future<Output = ()>>(
    task: F,
    stop: &CancellationToken,
    failed: &CancellationToken,
) -> impl Future<Output = ()> + use<F> {
    let (stop, alarm) = (stop.clone(), failed.clone().drop_guard());
    async move {
        task.await;
        if stop.is_cancelled() {
            alarm.disarm();
        }
    }
}

#[cfg(test)]
mod tests;
