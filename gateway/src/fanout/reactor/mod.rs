//! The reactors: threads that own the sockets of this gateway and write room logs to them.
//!
//! Decides when bytes are read and written, who is too slow, and when a connection ends. Never looks into a payload
//! and never waits for the bus. `http` hands sockets over ([`Reactors::adopt`]); the hub feeds [`ReactorSender`]s.
//!
//! A reactor is one thread with an epoll, a slab of connections, a timer wheel and one read buffer; nothing is shared
//! between reactors but the bytes of sealed chunks.

mod arrivals;
mod connection;
mod counters;
mod effects;
mod ending;
mod event_loop;
mod feed;
mod flush;
mod inbox;
mod orders;
mod pace;
mod parked;
mod rate;
mod reading;
mod resting;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
mod wheel;
mod writing;

use std::{
    io,
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Instant,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{counters::Counters, event_loop::EventLoop, inbox::Wake, orders::Orders};
pub use self::{
    counters::Totals,
    inbox::{Ended, Inbox, ReactorSender, inbox},
};
use crate::fanout::{
    link::{ReactorId, ToHub},
    session::Accepted,
};

/// Where reactors put what is meant for the hub. Called on reactor threads: it must not block.
pub trait HubQueue: Send + Sync + 'static {
    /// Queues `message`, or gives it back when the queue is full.
    fn try_send(&self, message: ToHub) -> Result<(), ToHub>;
}

impl<F: Fn(ToHub) -> Result<(), ToHub> + Send + Sync + 'static> HubQueue for F {
    fn try_send(&self, message: ToHub) -> Result<(), ToHub> {
        self(message)
    }
}

/// What happens to a connection that falls out of a room's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowConsumer {
    /// Closed with 1013; it may come back and resume.
    Disconnect,
    /// Told of the gap, then shown what comes next.
    SkipToLatest,
}

/// How the reactors of a gateway behave.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Threads, at least 1 and at most 1024.
    pub threads: usize,
    /// Names this incarnation of the gateway in [`crate::rooms::Origin`]; unique in the ChatRoom.
    pub gateway: u64,
    /// `limits.slowConsumer`.
    pub slow_consumer: SlowConsumer,
    /// `limits.roomsPerConnection`.
    pub rooms_per_connection: usize,
    /// Bytes that a room and encoding may hold for slow readers, a reactor.
    pub ring_bytes: usize,
    /// Chunks that a room and encoding may hold for slow readers, a reactor.
    pub ring_chunks: usize,
    /// Bytes that all rings of a reactor may hold; beyond it every room with news lets its slow readers go.
    pub rings_bytes: usize,
    /// Readers on a reactor from which on a room is a large one, in which a message may wait for another.
    pub large_room: usize,
}

impl Settings {
    /// One thread a core that this process may use, and the default limits.
    pub fn new(gateway: u64) -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            gateway,
            slow_consumer: SlowConsumer::Disconnect,
            rooms_per_connection: 100,
            // A reader on a bad line may lag some seconds of a busy room (4 MB/s) without being cut.
            ring_bytes: 8 << 20,
            // At a chunk a tail read and some 1,000 tail reads a second, the same seconds.
            ring_chunks: 4096,
            // Slow readers in some dozens of busy rooms at once.
            rings_bytes: 256 << 20,
            // To write to them takes a millisecond or more, so nobody can count on less.
            large_room: 256,
        }
    }
}

/// Batches that the hub may queue for a reactor: each is one tail read's worth of one partition, so all 64 partitions
/// may have some in flight before the tails wait.
const INBOX_BATCHES: usize = 512;

/// Sockets that may wait for a reactor; beyond it they are given back.
const ADOPTED: usize = 4096;

/// Bytes that the kernel takes before they fit into the peer's window. Without it a slow reader costs up to `tcp_wmem`
/// (4 MiB) of kernel memory before it counts as slow; what it lacks is in the room's ring anyway.
const UNSENT: u32 = 128 << 10;

/// Sets on a listener what reactors want of its connections, which inherit it: no call for each of them.
pub fn prepare_listener(listener: &impl AsFd) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    // Without it what is written may wait for an acknowledgement that the peer delays.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

/// Why reactors did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("failed to open an epoll for a reactor: {0}")]
    Poll(#[source] io::Error),
    #[error("failed to start a reactor thread: {0}")]
    Thread(#[source] io::Error),
}

/// Reactors that have inboxes but do not run yet: the hub needs the senders, and the reactors need the hub.
pub struct Prepared {
    loops: Vec<EventLoop>,
    senders: Vec<ReactorSender>,
    handles: Vec<Handle>,
    orders: Arc<Orders>,
}

/// What the other threads hold of a reactor.
struct Handle {
    adopt: mpsc::Sender<Box<Accepted>>,
    wake: Arc<Wake>,
    /// Connections, those on their way included.
    load: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl Prepared {
    /// One sender a reactor, in the order of their ids.
    pub fn senders(&self) -> Vec<ReactorSender> {
        self.senders.clone()
    }

    /// Starts the threads.
    pub fn start(self, hub: impl HubQueue) -> Result<Reactors, StartError> {
        let hub: Arc<dyn HubQueue> = Arc::new(hub);
        let Self { loops, senders: _, handles, orders } = self;
        let ended = CancellationToken::new();
        let mut threads = Vec::with_capacity(loops.len());
        for (n, event_loop) in loops.into_iter().enumerate() {
            let (hub, ended) = (Arc::clone(&hub), ended.clone().drop_guard());
            let body = move || {
                let _ended = ended;
                if let Err(error) = event_loop.run(hub) {
                    tracing::error!(reactor = n, %error, "a reactor cannot go on");
                }
            };
            threads.push(
                std::thread::Builder::new().name(format!("reactor-{n}")).spawn(body).map_err(StartError::Thread)?,
            );
        }
        Ok(Reactors { handles, orders, threads: Mutex::new(threads), ended })
    }
}

/// The running reactors of a gateway.
pub struct Reactors {
    handles: Vec<Handle>,
    orders: Arc<Orders>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ended: CancellationToken,
}

impl Reactors {
    /// Makes the reactors' epolls and inboxes.
    pub fn prepare(settings: Settings) -> Result<Prepared, StartError> {
        let orders = Arc::new(Orders::new());
        let (mut loops, mut senders, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..settings.threads.clamp(1, 1024) {
            let (event_loop, sender, handle) =
                EventLoop::new(ReactorId(n as u16), settings, &orders).map_err(StartError::Poll)?;
            loops.push(event_loop);
            senders.push(sender);
            handles.push(handle);
        }
        Ok(Prepared { loops, senders, handles, orders })
    }

    /// Hands an upgraded socket to the least loaded reactor, or gives it back when that one is flooded or has ended.
    pub fn adopt(&self, accepted: Accepted) -> Result<(), Box<Accepted>> {
        let accepted = Box::new(accepted);
        let Some(handle) = self.handles.iter().min_by_key(|handle| handle.load.load(Relaxed)) else {
            return Err(accepted);
        };
        handle.load.fetch_add(1, Relaxed);
        handle.adopt.try_send(accepted).map_err(|refused| {
            handle.load.fetch_sub(1, Relaxed);
            refused.into_inner()
        })?;
        handle.wake.queued();
        Ok(())
    }

    /// Connections of all protocols, those on their way to a reactor included.
    pub fn connections(&self) -> usize {
        self.handles.iter().map(|handle| handle.load.load(Relaxed)).sum()
    }

    /// What was counted since the start.
    pub fn totals(&self) -> Totals {
        Totals::of(self.handles.iter().map(|handle| &*handle.counters))
    }

    /// Asks `rate` clients a second to reconnect elsewhere, over all reactors, until none is left. Each is told with
    /// `Input::Moved` and cut 5 s later.
    pub fn drain(&self, rate: u32) {
        self.orders.drain(rate, Instant::now());
        self.wake_all();
    }

    /// Asks no further client to leave.
    pub fn undrain(&self) {
        self.orders.undrain();
    }

    /// Resolves when a reactor has ended; before [`Reactors::shutdown`] that means the process cannot go on.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Closes what is still connected with 1012 and joins the threads. Blocks for as long as that takes, some
    /// milliseconds; later calls return at once.
    pub fn shutdown(&self) {
        self.orders.shut_down();
        self.wake_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a reactor had panicked");
            }
        }
    }

    fn wake_all(&self) {
        for handle in &self.handles {
            handle.wake.queued();
        }
    }
}
