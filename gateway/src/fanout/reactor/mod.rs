//! The reactors: threads that own the sockets of this gateway and write room logs to them.
//!
//! Decides when bytes are read and written, who is too slow, and when a connection ends. Never looks into a payload
//! and never waits for the bus; moderation says what is refused. `http` hands sockets over ([`Reactors::adopt`]); the hub feeds [`ReactorSender`]s.
//!
//! A reactor is one thread with an epoll, a slab of connections, a timer wheel and one read buffer; nothing is shared
//! between reactors but the bytes of sealed chunks.

mod backpressure;
mod clock;
mod counters;
mod drain_control;
mod effects;
mod flush;
mod from_hub;
mod hub_port;
mod ids;
mod inbox;
mod mailbox;
mod next;
#[expect(clippy::module_inception, reason = "the file that holds `Reactor` has its name")]
mod reactor;
mod readers;
mod scheduler;
mod settings;
mod sockets;
#[cfg(test)]
mod tests;
mod write;

use std::{io, os::fd::AsFd, sync::Arc, thread::JoinHandle};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use self::{
    clock::Clock,
    counters::Counters,
    drain_control::DrainControl,
    mailbox::{Handle, Mailbox, connect},
    reactor::{Reactor, Shared},
};
pub use self::{
    counters::{Histograms, Totals},
    inbox::{Ended, Inbox, ReactorSender, inbox},
    settings::{HubQueue, ReactorSettings, SlowConsumer},
};
use crate::{
    fanout::{messages::ReactorId, session::Accepted},
    moderation::Moderation,
};

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
    settings: ReactorSettings,
    clock: Clock,
    mailboxes: Vec<(Mailbox, Arc<Counters>)>,
    senders: Vec<ReactorSender>,
    handles: Vec<Handle>,
    drain: Arc<DrainControl>,
    histograms: Histograms,
    moderation: Arc<Moderation>,
}

impl Prepared {
    /// One sender a reactor, in the order of their ids.
    pub fn senders(&self) -> Vec<ReactorSender> {
        self.senders.clone()
    }

    /// Starts the threads.
    pub fn start(self, hub: impl HubQueue) -> Result<Reactors, StartError> {
        let hub: Arc<dyn HubQueue> = Arc::new(hub);
        let Self { settings, clock, mailboxes, senders: _, handles, drain, histograms, moderation } = self;
        let shared = Shared { hub, moderation, drain: Arc::clone(&drain) };
        let ended = CancellationToken::new();
        let mut threads = Vec::with_capacity(mailboxes.len());
        for (n, (mailbox, counters)) in mailboxes.into_iter().enumerate() {
            let id = ReactorId(n as u16);
            let reactor =
                Reactor::new(id, settings, clock, mailbox, shared.clone(), counters).map_err(StartError::Poll)?;
            let ended = ended.clone().drop_guard();
            let body = move || {
                let _ended = ended;
                if let Err(error) = reactor.run() {
                    tracing::error!(reactor = n, %error, "a reactor failed to wait for its sockets");
                }
            };
            threads.push(
                std::thread::Builder::new().name(format!("reactor-{n}")).spawn(body).map_err(StartError::Thread)?,
            );
        }
        Ok(Reactors { handles, drain, histograms, threads: Mutex::new(threads), ended })
    }
}

/// The running reactors of a gateway.
pub struct Reactors {
    handles: Vec<Handle>,
    drain: Arc<DrainControl>,
    histograms: Histograms,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ended: CancellationToken,
}

impl Reactors {
    /// Makes the reactors' epolls and inboxes.
    pub fn prepare(settings: ReactorSettings, moderation: Arc<Moderation>) -> Result<Prepared, StartError> {
        let (clock, histograms) = (Clock::start(), Histograms::default());
        let (mut mailboxes, mut senders, mut handles) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..settings.threads.clamp(1, 1024) {
            let counters = Arc::new(Counters::new(histograms.clone()));
            let (mailbox, sender, handle) =
                connect(ReactorId(n as u16), Arc::clone(&counters)).map_err(StartError::Poll)?;
            mailboxes.push((mailbox, counters));
            senders.push(sender);
            handles.push(handle);
        }
        let drain = Arc::new(DrainControl::new(clock));
        Ok(Prepared { settings, clock, mailboxes, senders, handles, drain, histograms, moderation })
    }

    /// Hands an upgraded socket to the least loaded reactor, or gives it back when that one is flooded or has ended.
    pub fn adopt(&self, accepted: Accepted) -> Result<(), Box<Accepted>> {
        let accepted = Box::new(accepted);
        match self.handles.iter().min_by_key(|handle| handle.load()) {
            Some(handle) => handle.adopt(accepted),
            None => Err(accepted),
        }
    }

    /// Connections of all protocols, those on their way to a reactor included.
    pub fn connections(&self) -> usize {
        self.handles.iter().map(Handle::load).sum()
    }

    /// What was counted since the start.
    pub fn totals(&self) -> Totals {
        Totals::of(self.handles.iter().map(Handle::counters))
    }

    /// How long things took since the start.
    pub fn histograms(&self) -> &Histograms {
        &self.histograms
    }

    /// Asks `rate` clients per second to reconnect elsewhere, over all reactors, until none is left. Each is told with
    /// `Input::Moved` and cut 5 s later.
    pub fn drain(&self, rate: u32) {
        self.drain.drain(rate);
        self.wake_all();
    }

    /// Asks so many clients to reconnect, `rate` per second, and continues to serve. A drain that follows takes over.
    pub fn give_away(&self, connections: u32, rate: u32) {
        self.drain.give_away(connections, rate);
        self.wake_all();
    }

    /// Asks no further client to leave.
    pub fn undrain(&self) {
        self.drain.undrain();
    }

    /// Resolves when a reactor has ended; before [`Reactors::shutdown`] that means the process must end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Closes what is still connected with 1012 and joins the threads. Blocks for as long as that takes, some
    /// milliseconds; later calls return at once.
    pub fn shutdown(&self) {
        self.drain.shut_down();
        self.wake_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a reactor panicked");
            }
        }
    }

    fn wake_all(&self) {
        self.handles.iter().for_each(Handle::wake);
    }
}
