//! The connections of a reactor as bytes that go out: what is queued, what the poll watches, and who is dropped.
//!
//! Keeps the state bits, the lists and the total of replies in agreement. Knows nothing of what sessions say or when
//! timers run out: [`super::Sockets`] does. `write` and `flush` write through it.

use std::{
    io::{self, ErrorKind, Write},
    net::Shutdown,
};

use bytes::Bytes;
use mio::{Interest, Registry, Token, event::Event, net::TcpStream};

use super::{
    about::About,
    connection::{Connection, Unread},
    lists::Lists,
    outbox::Outbox,
    replies::Replies,
    slab::{Hot, Slab},
    state::State,
    timers::Owner,
};
use crate::{
    fanout::{
        codec,
        reactor::{
            ids::Slot,
            readers::{Sink, Wrote},
        },
    },
    rooms::Origin,
};

/// The connections, by slot.
pub(in crate::fanout::reactor) struct Table {
    slab: Slab,
    registry: Registry,
    lists: Lists,
    replies: Replies,
}

// Coming and going.
impl Table {
    pub(super) fn new(slab: Slab, registry: Registry, most_replies: usize) -> Self {
        Self { slab, registry, lists: Lists::default(), replies: Replies::new(most_replies) }
    }

    /// Takes a connection in and watches its socket; None when there is no slot left.
    pub(super) fn insert(&mut self, stream: TcpStream, connection: Connection) -> Option<Slot> {
        let slot = self.slab.insert(stream, connection)?;
        let Hot { stream, .. } = self.slab.hot(slot);
        let registered =
            stream.as_mut().map(|stream| self.registry.register(stream, Token(slot.index()), Interest::READABLE));
        self.check_watch(slot, registered);
        self.list_to_read(slot);
        Some(slot)
    }

    /// Frees the slot; the socket is closed.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Box<Connection>> {
        self.slab.remove(slot)
    }

    /// Ends the socket without another word, at the end of the turn. What waited for it is freed now.
    pub(in crate::fanout::reactor) fn drop(&mut self, slot: Slot) {
        let Some((hot, _)) = self.slab.both(slot) else { return };
        if self.lists.add_to_drop(slot, &mut hot.state) {
            self.change(slot, |connection| connection.outbox = Outbox::default());
        }
    }

    /// A connection that is to be freed. Its session may still have to learn it.
    pub(super) fn next_dropped(&mut self) -> Option<Slot> {
        self.lists.next_to_free()
    }

    // Who is who.

    /// The connections and their names, to look at.
    pub(super) fn slab(&self) -> &Slab {
        &self.slab
    }

    pub(super) fn get(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.slab.get(slot)
    }

    /// Both parts of a connection.
    pub(super) fn both(&mut self, slot: Slot) -> Option<(&mut Hot, &mut Connection)> {
        self.slab.both(slot)
    }

    pub(super) fn state_mut(&mut self, slot: Slot) -> &mut State {
        &mut self.slab.hot(slot).state
    }

    pub(super) fn owner(&mut self, slot: Slot) -> Owner {
        Owner { slot, generation: self.slab.hot(slot).generation }
    }

    pub(in crate::fanout::reactor) fn origin(&self, slot: Slot) -> Origin {
        self.slab.origin(slot)
    }

    /// The connection that `origin` names, if it is one of these.
    pub(in crate::fanout::reactor) fn slot_of(&self, origin: Origin) -> Option<Slot> {
        self.slab.slot_of(origin)
    }

    /// How events name the connection: made when there is one, so that nothing is kept for it.
    pub(super) fn about(&self, slot: Slot) -> About {
        let address = self.slab.stream(slot).and_then(|stream| stream.peer_addr().ok());
        let protocol = self.slab.connection(slot).map(|connection| connection.protocol);
        About::new(self.slab.id(slot), protocol, address.map(|address| address.ip()))
    }

    // What the poll saw.

    /// Notes an event of a socket; true if it takes more to write, which was waited for.
    pub(in crate::fanout::reactor) fn saw(&mut self, slot: Slot, event: &Event) -> bool {
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

    // Whose turn it is to be read.

    pub(super) fn list_to_read(&mut self, slot: Slot) {
        self.lists.add_to_read(slot, &mut self.slab.hot(slot).state);
    }

    /// How many connections wait to be read.
    pub(super) fn readable(&self) -> usize {
        self.lists.to_read()
    }

    /// The connection that waited longest to be read, and what was kept of an earlier turn.
    pub(super) fn next_to_read(&mut self) -> Option<(Slot, Option<Box<Unread>>)> {
        let slot = self.lists.next_to_read(&mut self.slab)?;
        Some((slot, self.slab.get(slot).and_then(|connection| connection.unread.take())))
    }

    // Replies.

    /// Queues a frame for this connection alone; false when it takes so few that it must go.
    pub(in crate::fanout::reactor) fn reply(&mut self, slot: Slot, first: u8, payload: &[u8]) -> bool {
        let Some((_, connection)) = self.slab.both(slot).filter(|(hot, _)| !hot.state.is_ended()) else {
            return true;
        };
        if connection.outbox.is_full() {
            return false;
        }
        self.change(slot, |connection| connection.outbox.reply(|bytes| codec::frame(bytes, first, payload)));
        true
    }

    /// Queues part of a chunk for this connection alone.
    pub(in crate::fanout::reactor) fn queue_chunk(&mut self, slot: Slot, bytes: Bytes) {
        if let Some((hot, connection)) = self.slab.both(slot) {
            connection.outbox.share(bytes);
            self.lists.add_to_write(slot, &mut hot.state);
        }
    }

    /// Lets `f` change a connection and the replies in its outbox: the total follows, and what is new is written.
    pub(super) fn change<R>(&mut self, slot: Slot, f: impl FnOnce(&mut Connection) -> R) -> Option<R> {
        let (hot, connection) = self.slab.both(slot)?;
        let before = connection.outbox.replies();
        let result = f(connection);
        let after = connection.outbox.replies();
        self.replies.changed(before, after);
        if after > before {
            self.lists.add_to_write(slot, &mut hot.state);
        }
        Some(result)
    }

    /// Whether all connections together leave more replies unread than a reactor keeps.
    pub(in crate::fanout::reactor) fn holds_too_much(&self) -> bool {
        self.replies.are_too_many()
    }

    /// The connections whose sockets take no more and that hold most, until the rest is well within the bound.
    pub(in crate::fanout::reactor) fn heaviest(&self) -> Vec<Slot> {
        let blocked = self.slab.slots_from(0).filter(|slot| self.slab.state(*slot).is_blocked());
        let held = |slot| self.slab.connection(slot).map_or(0, |connection| connection.outbox.replies());
        self.replies.heaviest(blocked.map(|slot| (held(slot), slot)))
    }

    // Writing.

    /// Whether any connection has something of its own to be written.
    pub(in crate::fanout::reactor) fn has_writable(&self) -> bool {
        self.lists.has_to_write()
    }

    /// The connection that waited longest to be written to, off the list. None: nothing is left to be written.
    pub(in crate::fanout::reactor) fn next_to_write(&mut self) -> Option<Slot> {
        self.lists.next_to_write(&mut self.slab)
    }

    /// Whether a write of its own may be tried now.
    pub(in crate::fanout::reactor) fn may_write(&self, slot: Slot) -> bool {
        let state = self.slab.state(slot);
        self.slab.is_used(slot) && !state.is_blocked() && !state.is_ended()
    }

    /// What is needed to write to one connection.
    pub(in crate::fanout::reactor) fn stream_and_outbox(&mut self, slot: Slot) -> Option<(&mut TcpStream, &Outbox)> {
        let (hot, connection) = self.slab.both(slot)?;
        Some((hot.stream.as_mut()?, &connection.outbox))
    }

    /// `n` bytes of a connection's own were written, or of what comes after them; returns how many of those there were,
    /// None while something of its own is left.
    pub(in crate::fanout::reactor) fn wrote(&mut self, slot: Slot, n: usize) -> Option<usize> {
        self.change(slot, |connection| connection.outbox.wrote(n)).flatten()
    }

    /// Everything is written, what its rooms have included; true if its socket had been blocked.
    pub(in crate::fanout::reactor) fn wrote_all(&mut self, slot: Slot) -> bool {
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

    /// The close frame is out: a peer that has sent its own is done, the others get the time to read ours.
    fn wrote_close(&mut self, slot: Slot) {
        let Hot { stream, state, .. } = self.slab.hot(slot);
        let shut = stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write));
        if state.has_peer_closed() || !matches!(shut, Some(Ok(()))) {
            self.drop(slot);
        }
    }

    /// The socket takes no more: it is written to when it says that it does.
    pub(in crate::fanout::reactor) fn block(&mut self, slot: Slot) {
        let state = &mut self.slab.hot(slot).state;
        state.block();
        if !state.is_watched_writable() {
            self.watch(slot, Interest::READABLE | Interest::WRITABLE);
        }
    }
}

impl Sink for Table {
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
