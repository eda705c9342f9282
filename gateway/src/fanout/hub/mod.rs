//! The hub: what carries posts to the bus, and what the bus tells back to the reactors. One actor a partition.
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
mod append;
mod asks;
mod backlog;
mod backoff;
mod counters;
mod delivery;
mod directory;
mod joins;
mod members;
mod presence;
mod reading;
mod restore;
mod room;
mod signals;
mod sweep;
mod tail;
mod timers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::counters::{Counters, Totals};
use self::{
    actor::Actor,
    delivery::{Delivery, Encodings},
};
use crate::{
    bus::Bus,
    directory::Directory,
    fanout::{
        encoding::{Encoding, EncodingId},
        link::ToHub,
        reactor::ReactorSender,
    },
    rooms::{Partition, RoomName, Signal, log::Window},
};

/// Messages that may wait for one actor: a mass reconnect into one room is taken in a few mouthfuls, and reactors keep
/// the rest.
const MAILBOX: usize = 4096;

/// What the ChatRoom says about rooms and their memory.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `limits.rooms`: rooms with members on this gateway.
    pub rooms: usize,
    /// How much of a room is kept in memory, and therefore how far back a resume can reach.
    pub window: Window,
    /// Bytes of entries in memory, a partition; shared evenly by its rooms when they want more.
    pub partition_bytes: usize,
    /// `history.age`: nothing older is shown.
    pub age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rooms: 100_000,
            window: Window { entries: 4096, bytes: 4 << 20 },
            // A gibibyte over 64 partitions, when all are full.
            partition_bytes: 16 << 20,
            age: Duration::from_secs(24 * 3600),
        }
    }
}

/// The hub of a gateway. Cheap to clone; lives until [`Hub::stop`].
#[derive(Clone, Debug)]
pub struct Hub {
    mailboxes: Arc<[mpsc::Sender<Command>]>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
}

/// What an actor is told.
#[derive(Debug)]
enum Command {
    Reactor(ToHub),
    Heard { room: RoomName, signal: Signal },
}

/// What all actors of a hub share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// Rooms with members on this gateway.
    rooms: AtomicUsize,
    counters: Arc<Counters>,
    /// Both clocks at the start, so that time never goes back and follows a paused clock in tests.
    started: (u64, Instant),
}

impl Shared {
    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        self.started.1.elapsed().as_millis() as u64
    }

    /// Milliseconds since the Unix epoch.
    fn unix(&self) -> u64 {
        self.started.0 + self.now()
    }
}

impl Hub {
    /// Starts the actors on the current tokio runtime. `reactors` in the order of their ids.
    pub fn start(
        bus: Arc<dyn Bus>,
        directory: Arc<dyn Directory>,
        reactors: Vec<ReactorSender>,
        encodings: Vec<(EncodingId, Arc<dyn Encoding>)>,
        settings: Settings,
    ) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let counters = Arc::new(Counters::default());
        let shared = Arc::new(Shared {
            settings,
            rooms: AtomicUsize::new(0),
            counters: Arc::clone(&counters),
            started: (unix, Instant::now()),
        });
        let (tasks, stop, failed) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let encodings = Arc::new(Encodings::new(encodings));
        let start = |partition| {
            let (mailbox, commands) = mpsc::channel(MAILBOX);
            let delivery = Delivery::new(reactors.clone(), Arc::clone(&encodings), Arc::clone(&counters));
            let actor = Actor::new(partition, Arc::clone(&bus), Arc::clone(&directory), Arc::clone(&shared), delivery);
            tasks.spawn(watched(actor.run(commands, stop.clone()), &stop, &failed));
            mailbox
        };
        let mailboxes: Arc<[_]> = Partition::all().map(start).collect();
        tasks.spawn(watched(signals::listen(bus, Arc::clone(&mailboxes), stop.clone()), &stop, &failed));
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

    /// What the hub has done so far.
    pub fn totals(&self) -> Totals {
        self.shared.counters.totals()
    }

    /// Rooms with members on this gateway.
    pub fn rooms(&self) -> usize {
        self.shared.rooms.load(Relaxed)
    }

    /// Waits until an actor has ended without being asked to: the process cannot go on then.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Ends the actors once the posts on their way are answered, waiting at most `limit`.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        if timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("some partitions were still busy when the hub stopped");
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
