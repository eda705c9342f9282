//! The sockets of a reactor: which to read, which to write to, which have ended, and the timers of each.
//!
//! Decides nothing about rooms and never calls the hub. What a session wants is returned as effects; the reactor carries
//! them out. Keeps the lists, the state bits, and the total of replies that wait in agreement with each other.

mod about;
mod connection;
mod outbox;
mod rate;
mod reading;
mod slab;
mod state;
mod timers;
mod wheel;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    net::Shutdown,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use mio::{Interest, Registry, Token, event::Event, net::TcpStream};

pub(super) use self::{
    about::About,
    connection::Pending,
    outbox::{Outbox, Slices},
    reading::{Heard, Intake},
    state::Stop,
    wheel::Key,
};
use self::{
    connection::{Connection, Unread},
    reading::Reading,
    slab::{Hot, Slab},
    timers::Owner,
    wheel::Wheel,
};
use super::{
    clock::{Micros, Now, Tick},
    counters::Counters,
    ids::Slot,
    readers::{Sink, Wrote},
};
use crate::{
    fanout::{
        codec,
        messages::{ConnectionId, ReactorId},
        session::{Accepted, Context, Effects, Input, OverRate, Session},
    },
    rooms::{Origin, ProtocolId},
};

/// A closing connection has this long to take the close frame and answer it.
const LINGER: Duration = Duration::from_secs(5);

/// The connections of a reactor.
pub(super) struct Sockets {
    slab: Slab,
    registry: Registry,
    counters: Arc<Counters>,
    wheel: Wheel,
    readable: VecDeque<Slot>,
    writable: VecDeque<Slot>,
    dropped: Vec<Slot>,
    /// Bytes of replies in all outboxes, and how many there may be.
    replies: usize,
    most_replies: usize,
    /// Where draining continues.
    drained: u32,
}

impl Sockets {
    pub(super) fn new(
        reactor: ReactorId,
        gateway: u64,
        most_replies: usize,
        registry: Registry,
        counters: Arc<Counters>,
        now: Now,
    ) -> Self {
        Self {
            slab: Slab::new(reactor, gateway),
            registry,
            counters,
            wheel: Wheel::new(now.tick()),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            dropped: Vec::new(),
            replies: 0,
            most_replies,
            drained: 0,
        }
    }

    /// Takes a socket over; None when there is no slot left. Its session has been told nothing yet.
    pub(super) fn adopt(&mut self, accepted: Accepted) -> Option<Slot> {
        let Accepted { stream, leftover, session, policy, protocol, deflate } = accepted;
        let mut connection = Connection::new(session, policy, protocol, deflate);
        if !leftover.is_empty() {
            connection.unread = Some(Box::new(Unread { bytes: leftover.to_vec(), at: 0 }));
        }
        let slot = self.slab.insert(stream, connection)?;
        self.counters.opened(protocol);
        let Hot { stream, .. } = self.slab.hot(slot);
        let registered =
            stream.as_mut().map(|stream| self.registry.register(stream, Token(slot.index()), Interest::READABLE));
        self.check_watch(slot, registered);
        self.list_to_read(slot);
        Some(slot)
    }

    // Who is who.

    /// The slot of a connection that still has its session.
    pub(super) fn find(&self, id: ConnectionId) -> Option<Slot> {
        self.slab.find(id)
    }

    pub(super) fn id(&self, slot: Slot) -> ConnectionId {
        self.slab.id(slot)
    }

    pub(super) fn origin(&self, slot: Slot) -> Origin {
        self.slab.origin(slot)
    }

    /// The connection that `origin` names, if it is one of these.
    pub(super) fn slot_of(&self, origin: Origin) -> Option<Slot> {
        self.slab.slot_of(origin)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        self.slab.slots_from(0)
    }

    pub(super) fn is_used(&self, slot: Slot) -> bool {
        self.slab.is_used(slot)
    }

    /// Whether its session is over or about to be.
    pub(super) fn is_ended(&self, slot: Slot) -> bool {
        self.slab.state(slot).is_ended()
    }

    /// Protocol, and what happens to messages above the rate.
    pub(super) fn policy(&self, slot: Slot) -> Option<(ProtocolId, OverRate)> {
        self.slab.connection(slot).map(|connection| (connection.protocol, connection.over_rate))
    }

    /// Whether messages may come and go compressed.
    pub(super) fn inflates(&self, slot: Slot) -> bool {
        self.slab.connection(slot).is_some_and(|connection| connection.decoder.inflates())
    }

    /// How events name the connection: made when there is one, so that nothing is kept for it.
    pub(super) fn about(&self, slot: Slot) -> About {
        let address = self.slab.stream(slot).and_then(|stream| stream.peer_addr().ok());
        let protocol = self.slab.connection(slot).map(|connection| connection.protocol);
        About::new(self.slab.id(slot), protocol, address.map(|address| address.ip()))
    }

    /// Counts what was refused to a connection.
    pub(super) fn count_refusal(&self, slot: Slot, reason: &'static str) {
        if let Some((protocol, _)) = self.policy(slot) {
            self.counters.refused(protocol, reason);
            self.tell_log(slot, "refused", reason);
        }
    }

    /// A debug event about a connection. The peer's address costs a system call, which a flooder must not cause.
    fn tell_log(&self, slot: Slot, what: &str, reason: &str) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let About { id, protocol, address } = self.about(slot);
            tracing::debug!(connection = %id, protocol, address, reason, "{what}");
        }
    }

    // What the poll saw.

    /// Notes an event of a socket; true if it takes more to write, which was waited for.
    pub(super) fn saw(&mut self, slot: Slot, event: &Event) -> bool {
        if !self.slab.is_used(slot) {
            return false;
        }
        if event.is_error() {
            self.drop(slot);
            return false;
        }
        if event.is_readable() || event.is_read_closed() {
            self.slab.hot(slot).state.became_readable(event.is_read_closed());
            self.list_to_read(slot);
        }
        event.is_writable() && self.slab.hot(slot).state.unblock()
    }

    fn watch(&mut self, slot: Slot, interest: Interest) {
        let Hot { stream, state, .. } = self.slab.hot(slot);
        state.watch_writable(interest.is_writable());
        let done = stream.as_mut().map(|stream| self.registry.reregister(stream, Token(slot.index()), interest));
        self.check_watch(slot, done);
    }

    fn check_watch(&mut self, slot: Slot, done: Option<io::Result<()>>) {
        if let Some(Err(error)) = done {
            let about = self.about(slot);
            tracing::debug!(
                connection = %about.id, protocol = about.protocol, address = about.address, %error,
                "failed to watch a socket"
            );
            self.drop(slot);
        }
    }

    // Reading.

    /// Whether any connection waits to be read.
    pub(super) fn has_readable(&self) -> bool {
        !self.readable.is_empty()
    }

    /// How many connections wait to be read.
    pub(super) fn readable(&self) -> usize {
        self.readable.len()
    }

    /// Begins the turn of the connection that waited longest to be read.
    pub(super) fn next_to_read(&mut self, intake: &mut Intake) -> Option<Slot> {
        let slot = self.readable.pop_front()?;
        self.slab.hot(slot).state.unlist_to_read();
        intake.begin(self.slab.get(slot).and_then(|connection| connection.unread.take()));
        Some(slot)
    }

    /// Reads and decodes until the session has received something, or this turn brings nothing more.
    pub(super) fn hear(&mut self, slot: Slot, intake: &mut Intake, now: Now, out: &mut Effects) -> Heard {
        loop {
            let cx = self.context(slot, now);
            let Some((hot, connection)) = self.slab.both(slot) else { return Heard::Nothing };
            if hot.state.is_stopped() || hot.state.is_dropped() || connection.outbox.is_congested() {
                connection.unread = intake.rest();
                return Heard::Nothing;
            }
            if intake.has_bytes() && !hot.state.is_closing() {
                let before = connection.outbox.replies();
                let heard = intake.decode(connection, now, &cx, out);
                self.account(slot, before);
                match heard {
                    Heard::Nothing => continue,
                    Heard::Handled { message } => Counters::add(&self.counters.messages_in, u64::from(message)),
                    _ => {}
                }
                return heard;
            }
            if !hot.state.is_readable() {
                return Heard::Nothing;
            }
            if !intake.may_read() {
                self.list_to_read(slot);
                return Heard::Nothing;
            }
            // What comes after our close frame is read away, so that the peer gets the frame and no reset.
            match intake.read(hot, hot.state.is_closing()) {
                Reading::Bytes(n) => Counters::add(&self.counters.bytes_in, n as u64),
                Reading::Nothing => {}
                Reading::Failed => self.drop(slot),
            }
        }
    }

    fn list_to_read(&mut self, slot: Slot) {
        if self.slab.hot(slot).state.list_to_read() {
            self.readable.push_back(slot);
        }
    }

    /// Stops reading; the session's timers, which reading might feed, are suspended meanwhile.
    pub(super) fn stop(&mut self, slot: Slot, why: Stop, now: Now) {
        if let Some((hot, connection)) = self.slab.both(slot) {
            hot.state.stop(why);
            connection.suspended.get_or_insert(now.tick());
        }
    }

    /// Reads on unless another reason not to is left.
    pub(super) fn resume(&mut self, slot: Slot, why: Stop, now: Now) {
        self.slab.hot(slot).state.resume(why);
        self.read_on(slot, now);
    }

    /// Reads on unless there is a reason not to. The session's timers continue then.
    pub(super) fn read_on(&mut self, slot: Slot, now: Now) {
        let owner = self.owner(slot);
        let Some((hot, connection)) = self.slab.both(slot) else { return };
        if hot.state.is_stopped() {
            return;
        }
        if let Some(since) = connection.suspended.take() {
            connection.timers.postpone(now.tick().0 - since.0, owner, &mut self.wheel);
        }
        self.list_to_read(slot);
    }

    // The session.

    /// What a session may know at `now`.
    pub(super) fn context(&self, slot: Slot, now: Now) -> Context {
        Context { now: now.micros.millis(), unix: now.unix_millis, origin: self.slab.origin(slot) }
    }

    /// Hands `input` to the session; false when there is none.
    pub(super) fn tell(&mut self, slot: Slot, input: Input<'_>, now: Now, out: &mut Effects) -> bool {
        let cx = self.context(slot, now);
        match self.slab.get(slot).and_then(|connection| connection.session.as_mut()) {
            Some(session) => {
                session.handle(input, &cx, out);
                true
            }
            None => false,
        }
    }

    /// Notes what the hub will answer, and stops reading until then; false when an answer is pending already.
    pub(super) fn begin_asking(&mut self, slot: Slot, pending: Pending, now: Now) -> bool {
        let Some(connection) = self.slab.get(slot).filter(|connection| connection.pending.is_none()) else {
            return false;
        };
        connection.pending = Some(pending);
        self.stop(slot, Stop::Answer, now);
        true
    }

    /// The answer has come: the session may ask again. Reading continues with [`Sockets::read_on`].
    pub(super) fn end_asking(&mut self, slot: Slot) -> Option<Pending> {
        let (hot, connection) = self.slab.both(slot)?;
        hot.state.resume(Stop::Answer);
        connection.pending.take()
    }

    /// A message of the connection waits for the hub: it is not read until that is gone.
    pub(super) fn hold(&mut self, slot: Slot, now: Now) {
        if let Some(connection) = self.slab.get(slot) {
            connection.held += 1;
            self.stop(slot, Stop::Hub, now);
        }
    }

    /// The hub has taken a message that was held.
    pub(super) fn release(&mut self, slot: Slot, now: Now) {
        let Some(connection) = self.slab.get(slot) else { return };
        connection.held = connection.held.saturating_sub(1);
        if connection.held == 0 {
            self.resume(slot, Stop::Hub, now);
        }
    }

    // Timers.

    fn owner(&mut self, slot: Slot) -> Owner {
        Owner { slot, generation: self.slab.hot(slot).generation }
    }

    /// Runs `key` out `after` a time, whatever it was set to.
    pub(super) fn set_timer(&mut self, slot: Slot, key: Key, after: Duration, now: Micros) {
        let owner = self.owner(slot);
        if let Some(connection) = self.slab.get(slot) {
            connection.timers.set(key, now, after, owner, &mut self.wheel);
        }
    }

    pub(super) fn cancel_timer(&mut self, slot: Slot, key: Key) {
        if let Some(connection) = self.slab.get(slot) {
            connection.timers.cancel(key);
        }
    }

    pub(super) fn has_timers(&self) -> bool {
        !self.wheel.is_empty()
    }

    /// Whether a tick has ended since timers were last run.
    pub(super) fn ends_tick(&self, now: Now) -> bool {
        self.wheel.ends_tick(now.tick())
    }

    /// Ends the ticks that are over; returns what has run out.
    pub(super) fn run_timers(&mut self, now: Tick) -> Vec<(Slot, Key)> {
        let (mut due, mut run_out) = (Vec::new(), Vec::new());
        self.wheel.advance(now, &mut due);
        for due in due {
            if self.slab.hot(due.slot).generation != due.generation {
                continue;
            }
            let Some(connection) = self.slab.get(due.slot) else { continue };
            let suspended = connection.suspended.is_some();
            let key = connection.timers.run_out(due, now, suspended, &mut self.wheel);
            run_out.extend(key.map(|key| (due.slot, key)));
        }
        run_out
    }

    // Replies.

    /// Queues a frame for this connection alone; false when it takes so few that it must go.
    pub(super) fn reply(&mut self, slot: Slot, first: u8, payload: &[u8]) -> bool {
        let Some((_, connection)) = self.slab.both(slot).filter(|(hot, _)| !hot.state.is_ended()) else {
            return true;
        };
        if connection.outbox.is_full() {
            return false;
        }
        let before = connection.outbox.replies();
        connection.outbox.reply(|bytes| codec::frame(bytes, first, payload));
        self.account(slot, before);
        true
    }

    /// Queues part of a chunk for this connection alone.
    pub(super) fn queue_chunk(&mut self, slot: Slot, bytes: Bytes) {
        if let Some(connection) = self.slab.get(slot) {
            connection.outbox.share(bytes);
            self.list_to_write(slot);
        }
    }

    /// The outbox held `before` bytes of replies: adds the difference to the total, and has what is new written.
    fn account(&mut self, slot: Slot, before: usize) {
        let Some(connection) = self.slab.get(slot) else { return };
        let after = connection.outbox.replies();
        self.replies = self.replies + after - before;
        if after > before {
            self.list_to_write(slot);
        }
    }

    fn list_to_write(&mut self, slot: Slot) {
        if self.slab.hot(slot).state.queued() {
            self.writable.push_back(slot);
        }
    }

    /// Whether all connections together leave more replies unread than a reactor keeps.
    pub(super) fn holds_too_much(&self) -> bool {
        self.replies > self.most_replies
    }

    /// The connections whose sockets take no more and that hold most, until the rest is well within the bound.
    pub(super) fn heaviest(&self) -> Vec<Slot> {
        let blocked = self.slab.slots_from(0).filter(|slot| self.slab.state(*slot).is_blocked());
        let held = |slot: &Slot| self.slab.connection(*slot).map_or(0, |connection| connection.outbox.replies());
        let mut held: Vec<(usize, Slot)> = blocked.map(|slot| (held(&slot), slot)).filter(|(n, _)| *n > 0).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        let mut left = self.replies;
        let few = self.most_replies - self.most_replies / 4;
        let heavy = held.into_iter().take_while(|(n, _)| {
            let takes = left > few;
            left = left.saturating_sub(*n);
            takes
        });
        heavy.map(|(_, slot)| slot).collect()
    }

    // Writing.

    /// Whether any connection has something of its own to be written.
    pub(super) fn has_writable(&self) -> bool {
        !self.writable.is_empty()
    }

    /// The connection that waited longest to be written to, off the list. None of those to come has anything to write,
    /// if it is None.
    pub(super) fn next_to_write(&mut self) -> Option<Slot> {
        while let Some(slot) = self.writable.pop_front() {
            if self.slab.hot(slot).state.unlist_to_write() {
                return Some(slot);
            }
        }
        None
    }

    /// Whether a write of its own may be tried now.
    pub(super) fn may_write(&self, slot: Slot) -> bool {
        let state = self.slab.state(slot);
        self.slab.is_used(slot) && !state.is_blocked() && !state.is_ended()
    }

    /// What is needed to write to one connection.
    pub(super) fn stream_and_outbox(&mut self, slot: Slot) -> Option<(&mut TcpStream, &Outbox)> {
        let (hot, connection) = self.slab.both(slot)?;
        Some((hot.stream.as_mut()?, &connection.outbox))
    }

    /// `n` bytes of a connection's own were written, or of what comes after them; returns how many of those there were,
    /// None while something of its own is left.
    pub(super) fn wrote(&mut self, slot: Slot, n: usize) -> Option<usize> {
        let connection = self.slab.get(slot)?;
        let before = connection.outbox.replies();
        let others = connection.outbox.wrote(n);
        self.account(slot, before);
        others
    }

    /// Everything is written, what its rooms have included; true if its socket had been blocked.
    pub(super) fn wrote_all(&mut self, slot: Slot) -> bool {
        let state = &mut self.slab.hot(slot).state;
        state.wrote_all();
        if state.is_closing() {
            self.wrote_close(slot);
            return false;
        }
        let was_blocked = state.is_watched_writable();
        if was_blocked {
            self.watch(slot, Interest::READABLE);
        }
        let readable = self.slab.state(slot).is_readable();
        if readable || self.slab.connection(slot).is_some_and(|connection| connection.unread.is_some()) {
            self.list_to_read(slot);
        }
        was_blocked
    }

    /// The socket takes no more: it is written to when it says that it does.
    pub(super) fn block(&mut self, slot: Slot) {
        let state = &mut self.slab.hot(slot).state;
        state.block();
        if !state.is_watched_writable() {
            self.watch(slot, Interest::READABLE | Interest::WRITABLE);
        }
    }

    // Ending.

    /// Queues a close frame behind what is queued; false if the connection has ended before. Nothing is written after
    /// it, and what still comes is read away.
    pub(super) fn begin_closing(&mut self, slot: Slot) -> bool {
        let Some((hot, connection)) = self.slab.both(slot) else { return false };
        if !hot.state.begin_closing() {
            return false;
        }
        connection.unread = None;
        true
    }

    /// Queues the close frame, behind what was queued since [`Sockets::begin_closing`].
    pub(super) fn queue_close(&mut self, slot: Slot, code: Option<u16>, reason: &'static str, now: Micros) {
        let Some(connection) = self.slab.get(slot) else { return };
        let before = connection.outbox.replies();
        connection.outbox.reply(|bytes| codec::close_frame(bytes, code, reason));
        self.account(slot, before);
        self.set_timer(slot, Key::Linger, LINGER, now);
        self.list_to_read(slot);
        self.tell_log(slot, "closing a connection", reason);
    }

    pub(super) fn peer_closed(&mut self, slot: Slot) {
        self.slab.hot(slot).state.peer_closed();
    }

    /// The close frame is out: a peer that has sent its own is done, the others get the time to read ours.
    fn wrote_close(&mut self, slot: Slot) {
        let Hot { stream, state, .. } = self.slab.hot(slot);
        let shut = stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write));
        if state.has_peer_closed() || !matches!(shut, Some(Ok(()))) {
            self.drop(slot);
        }
    }

    /// Takes the session out, once, to learn that it is over; and what it was waiting for.
    pub(super) fn end_session(&mut self, slot: Slot) -> Option<(Box<dyn Session>, Option<Pending>)> {
        let (hot, connection) = self.slab.both(slot)?;
        let session = connection.session.take()?;
        hot.state.session_ended();
        Some((session, connection.pending.take()))
    }

    /// Ends the socket without another word, at the end of the turn. What waited for it is freed now.
    pub(super) fn drop(&mut self, slot: Slot) {
        let Some((hot, connection)) = self.slab.both(slot) else { return };
        if hot.state.drop() {
            let before = connection.outbox.replies();
            connection.outbox = Outbox::default();
            self.account(slot, before);
            self.dropped.push(slot);
        }
    }

    /// A connection that is to be freed. Its session may still have to learn it.
    pub(super) fn next_dropped(&mut self) -> Option<Slot> {
        self.dropped.pop()
    }

    /// Frees the slot; the socket is closed. True if there was a connection.
    pub(super) fn free(&mut self, slot: Slot) -> bool {
        let Some(connection) = self.slab.remove(slot) else { return false };
        self.counters.ended(connection.protocol);
        true
    }

    /// The next connection to be asked to move, in the order of slots. Those that came late are found by starting again.
    pub(super) fn next_to_move(&mut self) -> Option<Slot> {
        let there = |slot: &Slot| self.slab.is_used(*slot) && self.slab.state(*slot).may_be_moved();
        let found = self.slab.slots_from(self.drained).find(there);
        self.drained = found.map_or(0, |slot| slot.0);
        found
    }

    /// Notes that it is asked to move.
    pub(super) fn ask_to_move(&mut self, slot: Slot) {
        self.slab.hot(slot).state.ask_to_move();
    }
}

impl Sink for Sockets {
    fn is_free(&mut self, slot: Slot) -> bool {
        let Hot { stream, state, .. } = self.slab.hot(slot);
        stream.is_some() && !state.is_busy()
    }

    fn write(&mut self, slot: Slot, data: &[u8]) -> Wrote {
        let Some(stream) = self.slab.hot(slot).stream.as_mut() else { return Wrote::Failed };
        loop {
            match stream.write(data) {
                Ok(n) if n == data.len() => return Wrote::All,
                Ok(n) => return Wrote::Part(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Wrote::Part(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.drop(slot);
                    return Wrote::Failed;
                }
            }
        }
    }

    fn keep_rest(&mut self, slot: Slot, rest: Option<Bytes>) {
        if let (Some(rest), Some((hot, connection))) = (rest, self.slab.both(slot)) {
            connection.outbox.share(rest);
            hot.state.keeps_rest();
        }
        self.block(slot);
    }
}
