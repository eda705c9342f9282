//! What one reactor thread shares with the others: its inbox, the sockets on their way to it, and how it is woken.
//!
//! Decides when it may fall asleep. What it does while awake is for `reactor`.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use mio::{Events, Poll, Registry, Token, Waker, event::Event};
use tokio::sync::mpsc;

use super::{
    counters::Counters,
    inbox::{self, Inbox, ReactorSender, Wake},
};
use crate::fanout::{
    messages::{ReactorId, ToReactor},
    session::Accepted,
};

const WAKE: Token = Token(usize::MAX);

/// Batches that the hub may queue for a reactor: each is one tail read's worth of one partition, so all 64 partitions
/// may have some in flight before the tails wait.
pub(super) const INBOX_BATCHES: usize = 512;

/// Sockets that may wait for a reactor; beyond it they are given back.
const ADOPTED: usize = 4096;

/// Sockets taken over in a turn: each may cost a session's first writes.
const ADOPTIONS: usize = 64;

/// What the other threads hold of a reactor.
pub(super) struct Handle {
    adopt: mpsc::Sender<Box<Accepted>>,
    wake: Arc<Wake>,
    /// Connections, those on their way included.
    load: Arc<AtomicUsize>,
    counters: Arc<Counters>,
}

impl Handle {
    /// Connections, those on their way included.
    pub(super) fn load(&self) -> usize {
        self.load.load(Relaxed)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Hands a socket over, or gives it back when the reactor is flooded or has ended.
    pub(super) fn adopt(&self, accepted: Box<Accepted>) -> Result<(), Box<Accepted>> {
        self.load.fetch_add(1, Relaxed);
        self.adopt.try_send(accepted).map_err(|refused| {
            self.load.fetch_sub(1, Relaxed);
            refused.into_inner()
        })?;
        self.wake.queued();
        Ok(())
    }

    pub(super) fn wake(&self) {
        self.wake.queued();
    }
}

/// A reactor thread's own ends.
pub(super) struct Mailbox {
    poll: Poll,
    events: Events,
    inbox: Inbox,
    adopted: mpsc::Receiver<Box<Accepted>>,
    wake: Arc<Wake>,
    load: Arc<AtomicUsize>,
}

/// Makes both sides of a reactor thread.
pub(super) fn connect(id: ReactorId, counters: Arc<Counters>) -> io::Result<(Mailbox, ReactorSender, Handle)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let wake = Arc::new(Wake::new(move || {
        if let Err(error) = waker.wake() {
            tracing::error!(%error, "failed to wake a reactor");
        }
        // Where both share a core, members need not wait for what else its sender has to do.
        thread::yield_now();
    }));
    let (sender, inbox) = inbox::connect(id, INBOX_BATCHES, Arc::clone(&wake));
    let (adopt, adopted) = mpsc::channel(ADOPTED);
    let load = Arc::new(AtomicUsize::new(0));
    let handle = Handle { adopt, wake: Arc::clone(&wake), load: Arc::clone(&load), counters };
    Ok((Mailbox { poll, events: Events::with_capacity(1024), inbox, adopted, wake, load }, sender, handle))
}

impl Mailbox {
    pub(super) fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// Waits for sockets and other threads, at most for `timeout`. `ring`: a thread that queues something ends the wait, and
    /// there is none if something is queued or the `ending` says so.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, ring: bool, ending: impl Fn() -> bool) -> io::Result<()> {
        let quiet = || self.inbox.is_empty() && self.adopted.is_empty() && !ending();
        let sleeps = timeout.is_none_or(|timeout| !timeout.is_zero()) && (!ring || self.wake.may_sleep(quiet));
        let polled = self.poll.poll(&mut self.events, if sleeps { timeout } else { Some(Duration::ZERO) });
        self.wake.awake();
        polled.or_else(|error| if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) })
    }

    /// What the last wait saw of sockets.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.token() != WAKE)
    }

    /// Sockets to take over in this turn.
    pub(super) fn adopted(&mut self) -> impl Iterator<Item = Accepted> {
        std::iter::from_fn(|| self.adopted.try_recv().ok()).take(ADOPTIONS).map(|accepted| *accepted)
    }

    /// What the hub has sent.
    pub(super) fn next_batch(&mut self) -> Option<Vec<ToReactor>> {
        self.inbox.try_recv()
    }

    /// A connection has ended.
    pub(super) fn ended(&self) {
        self.load.fetch_sub(1, Relaxed);
    }
}
