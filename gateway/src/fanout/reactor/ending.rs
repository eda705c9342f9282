//! How connections end: closed by either side, cut, moved to another gateway, or with the reactor.

use std::net::Shutdown;

use super::{
    connection::{Flags, Pending, Timer},
    turn::Reactor,
};
use crate::{
    fanout::{codec, link::ToHub, session::Input},
    rooms::RoomName,
};

/// A closing connection has this many milliseconds to take the close frame and answer it.
const LINGER: u64 = 5_000;

/// A client that was asked to move is closed after this many milliseconds.
const CUT: u64 = 5_000;

/// Clients that move are asked to come back within so many milliseconds, spread evenly.
const JITTER: u64 = 2_000;

impl Reactor {
    /// Closes the connection for the reactor's own reasons.
    pub(super) fn close(&mut self, slot: usize, code: Option<u16>, reason: &str) {
        self.start_closing(slot, code, reason);
        self.end_session(slot);
    }

    /// Queues a close frame behind what is queued and what had come of its rooms by now; nothing is read or written after
    /// it.
    pub(super) fn start_closing(&mut self, slot: usize, code: Option<u16>, reason: &str) {
        let flags = &mut self.connections.hot[slot].flags;
        if flags.any(Flags::ENDED) {
            return;
        }
        flags.set(Flags::CLOSING);
        flags.clear(Flags::STOPPED);
        self.settle_all(slot);
        if let Some(connection) = self.connections.get(slot) {
            connection.unread = None;
            connection.queue_reply(|bytes| codec::close_frame(bytes, code, reason));
        }
        self.mark_dirty(slot);
        self.set_timer(slot, Timer::LINGER, LINGER);
        self.list_readable(slot);
    }

    /// The close frame is out: a peer that has sent its own is done, the others get the time to read ours.
    pub(super) fn wrote_close(&mut self, slot: usize) {
        let hot = &mut self.connections.hot[slot];
        let parted = hot.flags.any(Flags::PARTED);
        let shut = hot.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write));
        if parted || !matches!(shut, Some(Ok(()))) {
            self.drop_connection(slot);
        }
    }

    /// Tells the session that it is over, once, carries out its last wishes, and takes it out of its rooms.
    pub(super) fn end_session(&mut self, slot: usize) {
        let context = self.context(slot);
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(mut session) = connection.session.take() else { return };
        let pending = connection.pending.take();
        session.handle(Input::Closed, &context, &mut self.effects);
        drop(session);
        // Marks it as ended for what its last effects may still do.
        self.connections.hot[slot].flags.set(Flags::CLOSING);
        self.carry_out(slot);
        if let Some(Pending::Join { room, .. }) = pending {
            self.leave(slot, room, false);
        }
        while let Some(room) = self.any_room(slot) {
            self.leave(slot, room, false);
        }
    }

    fn any_room(&mut self, slot: usize) -> Option<RoomName> {
        let reading = self.connections.get(slot)?.rooms.first().copied()?;
        Some(self.feeds[reading.feed as usize].name.clone())
    }

    /// Nothing more of the room is written; the hub hears of it.
    pub(super) fn leave(&mut self, slot: usize, room: RoomName, asked: bool) {
        self.leave_feed(slot, &room, false);
        let from = self.connections.id(slot);
        self.deliver(slot, ToHub::Leave { from, room, asked });
    }

    /// Asks as many clients to reconnect elsewhere as the rate of draining allows by now.
    pub(super) fn move_on(&mut self) {
        if !self.orders.draining() {
            self.drained = 0;
            return;
        }
        while let Some(slot) = self.next_to_move() {
            if self.orders.claim(1, self.now.millis) == 0 {
                return;
            }
            self.connections.hot[slot].flags.set(Flags::MOVED);
            self.set_timer(slot, Timer::CUT, CUT);
            self.tell(slot, Input::Moved { after: rand::random_range(0..=JITTER) });
        }
    }

    /// The next connection in the order of slots; those that came late are found by starting again.
    fn next_to_move(&mut self) -> Option<usize> {
        let there = |slot: &usize| {
            self.connections.cold[*slot].is_some()
                && !self.connections.hot[*slot].flags.any(Flags::ENDED | Flags::MOVED)
        };
        let slots = self.connections.slots();
        let found = (self.drained.min(slots)..slots).find(there);
        self.drained = found.unwrap_or(0);
        found
    }

    /// Closes everything with 1012, as far as the sockets take it.
    pub(super) fn end_all(&mut self) {
        for slot in 0..self.connections.slots() {
            if self.connections.get(slot).is_some() {
                self.close(slot, Some(1012), "going_away");
                self.write_on(slot);
                self.drop_connection(slot);
            }
        }
        self.end_turn();
    }
}
