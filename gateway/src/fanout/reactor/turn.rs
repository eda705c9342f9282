//! A reactor's state, and what begins and ends a turn of its loop.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{Interest, Registry, Token, event::Event};
use slab::Slab;
use smallvec::SmallVec;

use super::{
    HubQueue, Settings,
    connection::{Connection, Connections, Flags, Timer},
    counters::Counters,
    effects::Deferred,
    event_loop::until_tick,
    feed::{Fallen, Feed},
    orders::Orders,
    parked::Parked,
    rate::Bucket,
    reading::BUFFER,
    resting::Resting,
    wheel::{TICK, Wheel},
};
use crate::fanout::{
    codec::Decoder,
    encoding::EncodingId,
    link::{ReactorId, RoomId},
    session::{Accepted, Context, Effects, Input},
};

/// The time of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) millis: u64,
    pub(super) micros: u64,
    pub(super) unix: u64,
    pub(super) tick: u32,
}

impl Now {
    fn read(orders: &Orders) -> Self {
        let micros = orders.micros(Instant::now());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self { millis: micros / 1000, micros, unix, tick: (micros / 1000 / TICK) as u32 }
    }
}

/// Everything a reactor thread owns.
pub(super) struct Reactor {
    pub(super) settings: Settings,
    pub(super) registry: Registry,
    pub(super) hub: Arc<dyn HubQueue>,
    pub(super) orders: Arc<Orders>,
    pub(super) counters: Arc<Counters>,
    load: Arc<AtomicUsize>,
    pub(super) now: Now,
    pub(super) connections: Connections,
    pub(super) feeds: Slab<Feed>,
    /// The feeds of a room that is read here.
    pub(super) rooms: HashMap<RoomId, SmallVec<[(EncodingId, u32); 2]>>,
    pub(super) wheel: Wheel,
    pub(super) parked: Parked,
    /// Bytes in the rings of all feeds.
    pub(super) rings: usize,
    /// Connections to read from, to write to, and to drop; feeds to flush, and those of the flush that is under way.
    pub(super) readable: VecDeque<u32>,
    pub(super) dirty: VecDeque<u32>,
    pub(super) gone: Vec<u32>,
    pub(super) dirty_feeds: Vec<u32>,
    pub(super) flushing: Vec<u32>,
    pub(super) resting: Resting,
    /// Lent to one step at a time, so that nothing is allocated in it.
    pub(super) effects: Effects,
    pub(super) deferred: Vec<Deferred>,
    pub(super) fallen: Vec<Fallen>,
    pub(super) buffer: Vec<u8>,
    pub(super) merged: Vec<u8>,
    /// Numbers the keys made for posts without one.
    pub(super) keys: u64,
    /// Where draining goes on.
    pub(super) drained: usize,
}

impl Reactor {
    pub(super) fn new(
        id: ReactorId,
        settings: Settings,
        registry: Registry,
        hub: Arc<dyn HubQueue>,
        orders: Arc<Orders>,
        counters: Arc<Counters>,
        load: Arc<AtomicUsize>,
    ) -> Self {
        let now = Now::read(&orders);
        Self {
            settings,
            registry,
            hub,
            orders,
            counters,
            load,
            now,
            connections: Connections::new(id, settings.gateway),
            feeds: Slab::new(),
            rooms: HashMap::new(),
            wheel: Wheel::new(now.tick),
            parked: Parked::default(),
            rings: 0,
            readable: VecDeque::new(),
            dirty: VecDeque::new(),
            gone: Vec::new(),
            dirty_feeds: Vec::new(),
            flushing: Vec::new(),
            resting: Resting::default(),
            effects: Effects::new(),
            deferred: Vec::new(),
            fallen: Vec::new(),
            buffer: vec![0; BUFFER],
            merged: Vec::new(),
            keys: 0,
            drained: 0,
        }
    }

    /// Reads the clock; what is done until the next turn happens at this time. News that have rested wait for a flush.
    pub(super) fn begin_turn(&mut self) {
        self.now = Now::read(&self.orders);
        self.end_rests();
    }

    /// How long the loop may wait, if a flush is due in `flush`. None: until something happens.
    pub(super) fn due_in(&self, flush: Option<Duration>) -> Option<Duration> {
        if !self.readable.is_empty() {
            return Some(Duration::ZERO);
        }
        let ticking = !self.wheel.is_empty() || !self.parked.is_empty() || self.orders.draining();
        let tick = ticking.then(|| until_tick(self.now.millis));
        let rest = self.resting.next().map(|until| self.orders.until(until));
        flush.into_iter().chain(tick).chain(rest).min()
    }

    /// Runs the timers that are over, tries the hub again, moves clients on, and frees what ended.
    pub(super) fn end_turn(&mut self) {
        if self.wheel.ends_tick(self.now.tick) {
            self.run_timers();
            self.retry_parked();
            self.move_on();
        }
        while let Some(slot) = self.gone.pop() {
            self.end_session(slot as usize);
            if let Some(connection) = self.connections.remove(slot as usize) {
                self.counters.ended(connection.protocol);
                self.load.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Takes a socket over.
    pub(super) fn adopt(&mut self, accepted: Accepted) {
        let Accepted { stream, leftover, session, policy, protocol, deflate } = accepted;
        let connection = Connection {
            session: Some(session),
            decoder: Decoder::new(policy.message_bytes).inflating(deflate),
            bucket: Bucket::new(policy.messages_per_second),
            unread: None,
            outgoing: Default::default(),
            sent: 0,
            replies: 0,
            rooms: SmallVec::new(),
            timers: SmallVec::new(),
            pending: None,
            parked: 0,
            frozen: None,
            over_rate: policy.over_rate,
            protocol,
        };
        let Some(slot) = self.connections.insert(stream, connection) else {
            self.load.fetch_sub(1, Relaxed);
            return;
        };
        self.counters.opened(protocol);
        self.watch(slot, Interest::READABLE);
        self.tell(slot, Input::Open);
        self.keep_unread(slot, leftover.to_vec(), 0);
        self.list_readable(slot);
    }

    /// Notes what the poll saw of a socket.
    pub(super) fn socket_event(&mut self, event: &Event) {
        let slot = event.token().0;
        if self.connections.get(slot).is_none() {
            return;
        }
        if event.is_error() {
            return self.drop_connection(slot);
        }
        if event.is_readable() || event.is_read_closed() {
            let flags = &mut self.connections.hot[slot].flags;
            flags.set(if event.is_read_closed() { Flags::READY | Flags::HALF_SHUT } else { Flags::READY });
            self.list_readable(slot);
        }
        if event.is_writable() && self.connections.hot[slot].flags.any(Flags::BLOCKED) {
            self.connections.hot[slot].flags.clear(Flags::BLOCKED);
            self.write_on(slot);
        }
    }

    /// (Re)registers a socket.
    pub(super) fn watch(&mut self, slot: usize, interest: Interest) {
        let hot = &mut self.connections.hot[slot];
        let Some(stream) = &mut hot.stream else { return };
        let first = interest == Interest::READABLE && !hot.flags.any(Flags::WATCHED);
        let done = if first {
            self.registry.register(stream, Token(slot), interest)
        } else {
            self.registry.reregister(stream, Token(slot), interest)
        };
        if interest.is_writable() {
            hot.flags.set(Flags::WATCHED);
        } else {
            hot.flags.clear(Flags::WATCHED);
        }
        if let Err(error) = done {
            tracing::debug!(%error, "failed to watch a socket");
            self.drop_connection(slot);
        }
    }

    /// What a session may know now.
    pub(super) fn context(&self, slot: usize) -> Context {
        Context { now: self.now.millis, unix: self.now.unix, origin: self.connections.origin(slot) }
    }

    /// Hands `input` to the session, if there still is one, and carries out what it wants.
    pub(super) fn tell(&mut self, slot: usize, input: Input<'_>) {
        let context = self.context(slot);
        let Some(session) = self.connections.get(slot).and_then(|connection| connection.session.as_mut()) else {
            return;
        };
        session.handle(input, &context, &mut self.effects);
        self.carry_out(slot);
    }

    /// Puts the connection on the list of those to write to.
    pub(super) fn mark_dirty(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        flags.set(Flags::QUEUED);
        if !flags.any(Flags::DIRTY | Flags::BLOCKED) {
            flags.set(Flags::DIRTY);
            self.dirty.push_back(slot as u32);
        }
    }

    /// Puts the connection on the list of those to read from, unless something keeps it from being read.
    pub(super) fn list_readable(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        if !flags.any(Flags::LISTED | Flags::STOPPED | Flags::GONE) {
            flags.set(Flags::LISTED);
            self.readable.push_back(slot as u32);
        }
    }

    /// Ends the socket without another word.
    pub(super) fn drop_connection(&mut self, slot: usize) {
        let flags = &mut self.connections.hot[slot].flags;
        if !flags.any(Flags::GONE) {
            flags.set(Flags::GONE);
            self.gone.push(slot as u32);
        }
    }

    /// The timer keys of the reactor itself.
    pub(super) fn own_timer(&mut self, slot: usize, key: u16) {
        match key {
            Timer::RESUME => self.go_on(slot, Flags::LIMITED),
            Timer::LINGER => self.drop_connection(slot),
            Timer::CUT => self.close(slot, Some(1012), "moved"),
            _ => {}
        }
    }
}
