//! The loop of one reactor thread.
//!
//! Decides in what order a turn does its work, and how much of each.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use tokio::sync::mpsc;

use super::{
    ADOPTED, Handle, HubQueue, INBOX_BATCHES, Inbox, ReactorSender, Settings,
    counters::Counters,
    inbox::{self, Wake},
    orders::Orders,
    pace::{Pace, Part, Turns},
    turn::Reactor,
    wheel::TICK,
};
use crate::fanout::{link::ReactorId, session::Accepted};

const WAKE: Token = Token(usize::MAX);

/// Sockets adopted in a turn: each may cost a session's first writes.
const ADOPTIONS: usize = 64;

/// Writes in a turn, about a millisecond, before sockets are read again and the hub is listened to.
const WRITES: usize = 128;

/// A reactor's ends of what the other threads hold.
pub(super) struct EventLoop {
    id: ReactorId,
    poll: Poll,
    inbox: Inbox,
    adopted: mpsc::Receiver<Box<Accepted>>,
    wake: Arc<Wake>,
    orders: Arc<Orders>,
    counters: Arc<Counters>,
    load: Arc<AtomicUsize>,
    settings: Settings,
}

impl EventLoop {
    pub(super) fn new(
        id: ReactorId,
        settings: Settings,
        orders: &Arc<Orders>,
    ) -> io::Result<(Self, ReactorSender, Handle)> {
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
        let (load, counters) = (Arc::new(AtomicUsize::new(0)), Arc::new(Counters::default()));
        let handle = Handle { adopt, wake: Arc::clone(&wake), load: load.clone(), counters: counters.clone() };
        let orders = Arc::clone(orders);
        Ok((Self { id, poll, inbox, adopted, wake, orders, counters, load, settings }, sender, handle))
    }

    /// Runs until the reactors are shut down.
    pub(super) fn run(self, hub: Arc<dyn HubQueue>) -> io::Result<()> {
        let Self { id, mut poll, mut inbox, mut adopted, wake, orders, counters, load, settings } = self;
        let registry = poll.registry().try_clone()?;
        let mut reactor = Reactor::new(id, settings, registry, hub, orders.clone(), counters.clone(), load);
        let mut events = Events::with_capacity(1024);
        let mut flushing = Flushing::new();
        let mut turns = Turns::new(Instant::now());
        let mut intake = 0;
        loop {
            let wait = reactor.due_in(flushing.wait(reactor.wants_flush()));
            // While a flush is due its time ends the wait: no need to be woken for what it will pick up anyway.
            let quiet = || inbox.is_empty() && adopted.is_empty() && !orders.shutting_down();
            let asleep = wait.is_none_or(|wait| !wait.is_zero()) && (reactor.wants_flush() || wake.may_sleep(quiet));
            match poll.poll(&mut events, if asleep { wait } else { Some(Duration::ZERO) }) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => wake.awake(),
            }
            turns.begin(Instant::now());
            reactor.begin_turn();
            if orders.shutting_down() {
                reactor.end_all();
                return Ok(());
            }
            for event in events.iter().filter(|event| event.token() != WAKE) {
                reactor.socket_event(event);
            }
            for _ in 0..ADOPTIONS {
                let Ok(accepted) = adopted.try_recv() else { break };
                reactor.adopt(*accepted);
            }
            reactor.read_sockets();
            let rest = turns.rest(Instant::now()).max(flushing.rest());
            if !rest.is_zero() {
                // Not in the poll, which the first frame would end. What was read makes its way through the bus meanwhile.
                thread::sleep(rest);
                reactor.begin_turn();
            }
            if !reactor.wants_flush() || flushing.may_go_on() {
                // A flush chases an end that moves, by so much.
                if !flushing.begun {
                    intake = settings.ring_bytes / 4;
                }
                let taken = take_batches(&mut inbox, &mut reactor, intake);
                intake = intake.saturating_sub(taken);
                flushing.flush(&mut reactor, taken > 0);
                counters.flush_pause_micros.store(flushing.pace.pause().as_micros() as u64, Relaxed);
            }
            reactor.end_turn();
        }
    }
}

/// Takes what the hub has sent, at most an inbox full and some `bytes` of chunks, none when that is 0; the rest waits for
/// the next flush, and its senders with it. Returns the bytes of chunks.
fn take_batches(inbox: &mut Inbox, reactor: &mut Reactor, bytes: usize) -> usize {
    let mut taken = 0;
    for _ in 0..INBOX_BATCHES {
        if taken >= bytes {
            break;
        }
        let Some(batch) = inbox.try_recv() else { break };
        taken += batch.into_iter().map(|message| reactor.hub_message(message)).sum::<usize>();
    }
    taken
}

/// The flush of a turn, and whether it goes on in the next.
struct Flushing {
    /// It has begun and was interrupted.
    begun: bool,
    pace: Pace,
}

impl Flushing {
    fn new() -> Self {
        Self { begun: false, pace: Pace::new(Instant::now()) }
    }

    /// How long the poll may wait for a flush that is `wanted`; None when none is.
    fn wait(&self, wanted: bool) -> Option<Duration> {
        wanted.then(|| if self.begun { Duration::ZERO } else { self.pace.wait(Instant::now()) })
    }

    /// How long a flush that has begun rests before its next part.
    fn rest(&self) -> Duration {
        if self.begun { self.pace.wait(Instant::now()) } else { Duration::ZERO }
    }

    fn may_go_on(&self) -> bool {
        self.pace.wait(Instant::now()).is_zero()
    }

    /// Flushes as much as goes into a turn; `fresh` when something new has come for that.
    fn flush(&mut self, reactor: &mut Reactor, fresh: bool) {
        // One that has begun is brought to its end, though its rooms may all have emptied meanwhile.
        if !self.begun && (!reactor.wants_flush() || !self.may_go_on()) {
            return;
        }
        let start = Instant::now();
        self.begun = !reactor.flush(WRITES);
        let end = Instant::now();
        self.pace.flushed(Part { cost: end - start, fresh, last: !self.begun }, end);
    }
}

/// The wait until the next tick of the clock at `millis`.
pub(super) fn until_tick(millis: u64) -> Duration {
    Duration::from_millis(TICK - millis % TICK)
}
