//! The sockets of a reactor and their sessions: what each session hears, when its timers run out, and how it ends.
//!
//! Decides nothing about rooms and never calls the hub. What a session wants is returned as effects; the reactor carries
//! them out. The way out to the sockets is the [`Table`]; the timers are the timekeeper's.

mod about;
mod connection;
mod hearing;
mod lists;
mod moves;
mod outbox;
mod rate;
mod reading;
mod replies;
mod slab;
mod state;
mod table;
mod timekeeper;
mod timers;
mod wheel;

use std::{net::IpAddr, sync::Arc, time::Duration};

use mio::Registry;

pub(super) use self::{
    about::About,
    connection::Pending,
    outbox::Slices,
    reading::{Heard, Intake},
    state::Stop,
    table::Table,
    wheel::Key,
};
use self::{
    connection::{Connection, Unread},
    hearing::Turn,
    moves::Moves,
    slab::Slab,
    timekeeper::Timekeeper,
};
use super::{
    clock::{Micros, Now, Tick},
    counters::Counters,
    ids::Slot,
};
use crate::{
    fanout::{
        codec,
        messages::{ConnectionId, ReactorId},
        session::{Accepted, Context, Effects, Input, OverRate, Session},
    },
    rooms::{Origin, ProtocolId, Role},
};

/// A closing connection has this long to take the close frame and answer it.
const LINGER: Duration = Duration::from_secs(5);

/// The connections of a reactor.
pub(super) struct Sockets {
    table: Table,
    timekeeper: Timekeeper,
    counters: Arc<Counters>,
    moves: Moves,
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
            table: Table::new(Slab::new(reactor, gateway), registry, most_replies),
            timekeeper: Timekeeper::new(now.tick()),
            counters,
            moves: Moves::default(),
        }
    }

    /// The way out: what is queued, and whose turn it is to be written to.
    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Takes a socket over; None when there is no slot left. Its session has received nothing yet.
    pub(super) fn adopt(&mut self, accepted: Accepted) -> Option<Slot> {
        let Accepted { stream, leftover, session, policy, address, protocol, deflate } = accepted;
        let moves_last = !policy.resumes;
        let mut connection = Connection::new(session, policy, address, protocol, deflate);
        if !leftover.is_empty() {
            connection.unread = Some(Box::new(Unread { bytes: leftover.to_vec(), at: 0 }));
        }
        let slot = self.table.insert(stream, connection)?;
        if moves_last {
            self.table.state_mut(slot).move_last();
        }
        self.counters.opened(protocol);
        Some(slot)
    }

    // Who is who.

    /// The slot of a connection that still has its session.
    pub(super) fn find(&self, id: ConnectionId) -> Option<Slot> {
        self.table.slab().find(id)
    }

    pub(super) fn id(&self, slot: Slot) -> ConnectionId {
        self.table.slab().id(slot)
    }

    pub(super) fn origin(&self, slot: Slot) -> Origin {
        self.table.slab().origin(slot)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        self.table.slab().slots_from(0)
    }

    pub(super) fn is_used(&self, slot: Slot) -> bool {
        self.table.slab().is_used(slot)
    }

    /// Whether its session is over or about to be.
    pub(super) fn is_ended(&self, slot: Slot) -> bool {
        self.table.slab().state(slot).is_ended()
    }

    /// Protocol, and what happens to messages above the rate.
    pub(super) fn policy(&self, slot: Slot) -> Option<(ProtocolId, OverRate)> {
        self.table.slab().connection(slot).map(|connection| (connection.protocol, connection.over_rate))
    }

    /// The network that a connection counts for.
    pub(super) fn address(&self, slot: Slot) -> Option<IpAddr> {
        self.table.slab().connection(slot).map(|connection| connection.address)
    }

    /// What the person of a connection may do; that of a session that is over is an ordinary one.
    pub(super) fn role(&self, slot: Slot) -> Role {
        let connection = self.table.slab().connection(slot);
        connection.and_then(|connection| connection.session.as_ref()).map_or(Role::Member, |session| session.role())
    }

    /// Whether messages may come and go compressed.
    pub(super) fn inflates(&self, slot: Slot) -> bool {
        self.table.slab().connection(slot).is_some_and(|connection| connection.decoder.inflates())
    }

    /// How events name the connection.
    pub(super) fn about(&self, slot: Slot) -> About {
        self.table.about(slot)
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

    // Whose turn it is.

    /// Whether any connection has something of its own to be written.
    pub(super) fn has_writable(&self) -> bool {
        self.table.has_writable()
    }

    /// How many connections wait to be read.
    pub(super) fn readable(&self) -> usize {
        self.table.readable()
    }

    /// Begins the turn of the connection that waited longest to be read.
    pub(super) fn next_to_read(&mut self, intake: &mut Intake) -> Option<Slot> {
        let (slot, unread) = self.table.next_to_read()?;
        intake.begin(unread);
        Some(slot)
    }

    // Reading.

    /// Reads and decodes until the session has received something, or this turn brings nothing more.
    pub(super) fn hear(&mut self, slot: Slot, intake: &mut Intake, now: Now, out: &mut Effects) -> Heard {
        let cx = self.context(slot, now);
        Turn { table: &mut self.table, counters: &self.counters, intake, now, cx }.hear(slot, out)
    }

    /// Stops reading; the session's timers, which reading might feed, are suspended meanwhile.
    pub(super) fn stop(&mut self, slot: Slot, why: Stop, now: Now) {
        if let Some((hot, connection)) = self.table.both(slot) {
            hot.state.stop(why);
            Timekeeper::suspend(connection, now);
        }
    }

    /// Reads on unless another reason not to is left.
    pub(super) fn resume(&mut self, slot: Slot, why: Stop, now: Now) {
        self.table.state_mut(slot).resume(why);
        self.read_on(slot, now);
    }

    /// Reads on unless there is a reason not to. The session's timers continue then.
    pub(super) fn read_on(&mut self, slot: Slot, now: Now) {
        if self.table.slab().is_used(slot) && !self.table.state_mut(slot).is_stopped() {
            self.timekeeper.go_on(slot, now, &mut self.table);
            self.table.list_to_read(slot);
        }
    }

    // The session.

    /// What a session may know at `now`.
    pub(super) fn context(&self, slot: Slot, now: Now) -> Context {
        Context { now: now.micros.millis(), unix: now.unix_millis, origin: self.table.slab().origin(slot) }
    }

    /// Hands `input` to the session; false when there is none.
    pub(super) fn tell(&mut self, slot: Slot, input: Input<'_>, now: Now, out: &mut Effects) -> bool {
        let cx = self.context(slot, now);
        match self.table.get(slot).and_then(|connection| connection.session.as_mut()) {
            Some(session) => {
                session.handle(input, &cx, out);
                true
            }
            None => false,
        }
    }

    /// Notes what the hub will answer, and stops reading until then; false when an answer is pending already.
    pub(super) fn begin_asking(&mut self, slot: Slot, pending: Pending, now: Now) -> bool {
        let Some(connection) = self.table.get(slot).filter(|connection| connection.pending.is_none()) else {
            return false;
        };
        connection.pending = Some(pending);
        self.stop(slot, Stop::Answer, now);
        true
    }

    /// The answer has come: the session may ask again. Reading continues with [`Sockets::read_on`].
    pub(super) fn end_asking(&mut self, slot: Slot) -> Option<Pending> {
        let (hot, connection) = self.table.both(slot)?;
        hot.state.resume(Stop::Answer);
        connection.pending.take()
    }

    /// A message of the connection waits for the hub: it is not read until that is gone.
    pub(super) fn hold(&mut self, slot: Slot, now: Now) {
        if let Some(connection) = self.table.get(slot) {
            connection.held += 1;
            self.stop(slot, Stop::Hub, now);
        }
    }

    /// The hub has taken a message that was held.
    pub(super) fn release(&mut self, slot: Slot, now: Now) {
        let Some(connection) = self.table.get(slot) else { return };
        connection.held = connection.held.saturating_sub(1);
        if connection.held == 0 {
            self.resume(slot, Stop::Hub, now);
        }
    }

    // Timers.

    /// Runs `key` out `after` a time, whatever it was set to.
    pub(super) fn set_timer(&mut self, slot: Slot, key: Key, after: Duration, now: Micros) {
        self.timekeeper.set(slot, key, after, now, &mut self.table);
    }

    pub(super) fn cancel_timer(&mut self, slot: Slot, key: Key) {
        if let Some(connection) = self.table.get(slot) {
            connection.timers.cancel(key);
        }
    }

    pub(super) fn has_timers(&self) -> bool {
        self.timekeeper.has_timers()
    }

    /// Whether a tick has ended since timers were last run.
    pub(super) fn ends_tick(&self, now: Now) -> bool {
        self.timekeeper.ends_tick(now)
    }

    /// Ends the ticks that are over; returns what has run out.
    pub(super) fn run_timers(&mut self, now: Tick) -> Vec<(Slot, Key)> {
        self.timekeeper.run(now, &mut self.table)
    }

    // Ending.

    /// Queues a close frame behind what is queued; false if the connection has ended before. Nothing is written after
    /// it, and what still comes is read away.
    pub(super) fn begin_closing(&mut self, slot: Slot) -> bool {
        let Some((hot, connection)) = self.table.both(slot) else { return false };
        if !hot.state.begin_closing() {
            return false;
        }
        connection.unread = None;
        true
    }

    /// Queues the close frame, behind what was queued since [`Sockets::begin_closing`].
    pub(super) fn queue_close(&mut self, slot: Slot, code: Option<u16>, reason: &'static str, now: Micros) {
        let queue =
            |connection: &mut Connection| connection.outbox.reply(|bytes| codec::close_frame(bytes, code, reason));
        if self.table.change(slot, queue).is_none() {
            return;
        }
        self.set_timer(slot, Key::Linger, LINGER, now);
        self.table.list_to_read(slot);
        self.tell_log(slot, "closing a connection", reason);
    }

    pub(super) fn peer_closed(&mut self, slot: Slot) {
        self.table.state_mut(slot).peer_closed();
    }

    /// Whether the peer has said goodbye, after it was written all that was queued for it.
    pub(super) fn left_in_peace(&self, slot: Slot) -> bool {
        let slab = self.table.slab();
        slab.state(slot).has_peer_closed()
            && slab.connection(slot).is_some_and(|connection| connection.outbox.is_empty())
    }

    /// Takes the session out, once, to learn that it is over; and what it was waiting for.
    pub(super) fn end_session(&mut self, slot: Slot) -> Option<(Box<dyn Session>, Option<Pending>)> {
        let (hot, connection) = self.table.both(slot)?;
        let session = connection.session.take()?;
        hot.state.session_ended();
        Some((session, connection.pending.take()))
    }

    /// Ends the socket without another word, at the end of the turn.
    pub(super) fn drop(&mut self, slot: Slot) {
        self.table.drop(slot);
    }

    /// A connection that is to be freed. Its session may still have to learn it.
    pub(super) fn next_dropped(&mut self) -> Option<Slot> {
        self.table.next_dropped()
    }

    /// Frees the slot; the socket is closed. True if there was a connection.
    pub(super) fn free(&mut self, slot: Slot) -> bool {
        let Some(connection) = self.table.remove(slot) else { return false };
        self.counters.ended(connection.protocol);
        true
    }

    /// The next connection to be asked to move; None at the end of a round.
    pub(super) fn next_to_move(&mut self) -> Option<Slot> {
        self.moves.next(self.table.slab())
    }

    /// Notes that it is asked to move.
    pub(super) fn ask_to_move(&mut self, slot: Slot) {
        self.table.state_mut(slot).ask_to_move();
    }
}
