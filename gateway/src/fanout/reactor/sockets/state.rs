//! The state of a connection as bits, changed by named transitions alone.
//!
//! Decides nothing about bytes: the table, the lists and [`super::Sockets`] ask what they may do and note what they did.

/// Why the gateway itself does not read a socket. Session timers are suspended meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fanout::reactor) enum Stop {
    /// The answer to a join or an ask is pending.
    Answer,
    /// The client is over its rate.
    Rate,
    /// A message waits for room in the hub's queue.
    Hub,
}

/// What is known of a connection in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State(u16);

impl State {
    /// Something is queued for this connection alone.
    const QUEUED: u16 = 1;
    /// The socket takes no more; it tells when it does.
    const BLOCKED: u16 = 1 << 1;
    /// Registered for writable events.
    const WATCHED: u16 = 1 << 2;
    /// In the list of connections to write to.
    const LISTED_TO_WRITE: u16 = 1 << 3;
    /// The socket may hold unread bytes.
    const READY: u16 = 1 << 4;
    /// In the list of connections to read from.
    const LISTED_TO_READ: u16 = 1 << 5;
    const WAITS_FOR_ANSWER: u16 = 1 << 6;
    const WAITS_FOR_RATE: u16 = 1 << 7;
    const WAITS_FOR_HUB: u16 = 1 << 8;
    /// A close frame is queued or sent, or the session has ended.
    const CLOSING: u16 = 1 << 9;
    /// The peer has sent its close frame.
    const PEER_CLOSED: u16 = 1 << 10;
    /// To be freed at the end of the turn.
    const DROPPED: u16 = 1 << 11;
    /// Was asked to reconnect elsewhere.
    const MOVED: u16 = 1 << 12;
    /// The peer sends no more than what is there to read.
    const HALF_SHUT: u16 = 1 << 13;
    /// Was over its rate, or ahead of the hub: gets smaller reads.
    const UNRULY: u16 = 1 << 14;
    /// Its client misses what is said while it reconnects.
    const MOVES_LAST: u16 = 1 << 15;

    const STOPPED: u16 = Self::WAITS_FOR_ANSWER | Self::WAITS_FOR_RATE | Self::WAITS_FOR_HUB;
    const ENDED: u16 = Self::CLOSING | Self::DROPPED;

    fn any(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// Sets the bits; true if any was not set.
    fn set(&mut self, bits: u16) -> bool {
        let new = self.0 & bits != bits;
        self.0 |= bits;
        new
    }

    /// Clears the bits; true if any was set.
    fn clear(&mut self, bits: u16) -> bool {
        let were = self.any(bits);
        self.0 &= !bits;
        were
    }

    // Reading.

    /// The poll says that there is something to read; `half_shut`: and no more after it.
    pub(super) fn became_readable(&mut self, half_shut: bool) {
        self.set(Self::READY | if half_shut { Self::HALF_SHUT } else { 0 });
    }

    /// A read of `n` bytes into `room` for them. A short one leaves nothing behind but the end of the stream.
    pub(super) fn was_read(&mut self, n: usize, room: usize) {
        if n < room && !self.any(Self::HALF_SHUT) {
            self.clear(Self::READY);
        }
    }

    pub(super) fn was_read_empty(&mut self) {
        self.clear(Self::READY);
    }

    pub(super) fn is_readable(self) -> bool {
        self.any(Self::READY)
    }

    pub(super) fn stop(&mut self, why: Stop) {
        self.set(match why {
            Stop::Answer => Self::WAITS_FOR_ANSWER,
            Stop::Rate => Self::WAITS_FOR_RATE | Self::UNRULY,
            Stop::Hub => Self::WAITS_FOR_HUB | Self::UNRULY,
        });
    }

    pub(super) fn resume(&mut self, why: Stop) {
        self.clear(match why {
            Stop::Answer => Self::WAITS_FOR_ANSWER,
            Stop::Rate => Self::WAITS_FOR_RATE,
            Stop::Hub => Self::WAITS_FOR_HUB,
        });
    }

    pub(super) fn is_stopped(self) -> bool {
        self.any(Self::STOPPED)
    }

    pub(super) fn is_unruly(self) -> bool {
        self.any(Self::UNRULY)
    }

    /// Puts it on the list of connections to read; false if it is there, or must not be.
    pub(super) fn list_to_read(&mut self) -> bool {
        !self.any(Self::STOPPED | Self::DROPPED) && self.set(Self::LISTED_TO_READ)
    }

    pub(super) fn unlist_to_read(&mut self) {
        self.clear(Self::LISTED_TO_READ);
    }

    // Writing.

    /// Something was queued for it alone. Puts it on the list of connections to write to; false if it is there, or the
    /// socket takes no more.
    pub(super) fn queued(&mut self) -> bool {
        self.set(Self::QUEUED);
        !self.any(Self::BLOCKED) && self.set(Self::LISTED_TO_WRITE)
    }

    /// Takes it off the list; whether there still is something to write.
    pub(super) fn unlist_to_write(&mut self) -> bool {
        self.clear(Self::LISTED_TO_WRITE);
        self.any(Self::QUEUED) && !self.any(Self::BLOCKED | Self::DROPPED)
    }

    /// A write cut a chunk in two; the rest is queued for it alone.
    pub(super) fn keeps_rest(&mut self) {
        self.set(Self::QUEUED);
    }

    /// All that was queued for it alone is written.
    pub(super) fn wrote_all(&mut self) {
        self.clear(Self::QUEUED);
    }

    pub(super) fn block(&mut self) {
        self.set(Self::BLOCKED);
    }

    /// The socket takes more; whether that was waited for.
    pub(super) fn unblock(&mut self) -> bool {
        self.clear(Self::BLOCKED)
    }

    pub(super) fn is_blocked(self) -> bool {
        self.any(Self::BLOCKED)
    }

    /// Whether a walk over a room's readers has to leave it out: something else goes first, or nothing goes.
    pub(super) fn is_busy(self) -> bool {
        self.any(Self::QUEUED | Self::BLOCKED | Self::DROPPED)
    }

    pub(super) fn watch_writable(&mut self, watched: bool) {
        if watched {
            self.set(Self::WATCHED);
        } else {
            self.clear(Self::WATCHED);
        }
    }

    pub(super) fn is_watched_writable(self) -> bool {
        self.any(Self::WATCHED)
    }

    // Ending.

    /// A close frame will be the last word; false if the connection has ended before. Nothing that reading waited for
    /// matters any longer.
    pub(super) fn begin_closing(&mut self) -> bool {
        let begins = !self.any(Self::ENDED);
        if begins {
            self.set(Self::CLOSING);
            self.clear(Self::STOPPED);
        }
        begins
    }

    /// The session is gone; what it still does happens without a peer.
    pub(super) fn session_ended(&mut self) {
        self.set(Self::CLOSING);
    }

    pub(super) fn peer_closed(&mut self) {
        self.set(Self::PEER_CLOSED);
    }

    pub(super) fn has_peer_closed(self) -> bool {
        self.any(Self::PEER_CLOSED)
    }

    /// Drops the connection at the end of the turn; false if that was decided before.
    pub(super) fn drop(&mut self) -> bool {
        self.set(Self::DROPPED)
    }

    pub(super) fn is_dropped(self) -> bool {
        self.any(Self::DROPPED)
    }

    pub(super) fn is_closing(self) -> bool {
        self.any(Self::CLOSING)
    }

    /// The session is gone.
    pub(super) fn is_ended(self) -> bool {
        self.any(Self::ENDED)
    }

    /// Whether it was not asked to move yet, and still could.
    pub(super) fn may_be_moved(self) -> bool {
        !self.any(Self::ENDED | Self::MOVED)
    }

    pub(super) fn ask_to_move(&mut self) {
        self.set(Self::MOVED);
    }

    /// Others are asked to move before it.
    pub(super) fn move_last(&mut self) {
        self.set(Self::MOVES_LAST);
    }

    pub(super) fn moves_last(self) -> bool {
        self.any(Self::MOVES_LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_again_only_when_no_reason_against_it_is_left() {
        let mut state = State::default();
        state.stop(Stop::Answer);
        state.stop(Stop::Hub);
        state.resume(Stop::Answer);
        assert!(state.is_stopped() && !state.list_to_read());
        state.resume(Stop::Hub);
        assert!(!state.is_stopped() && state.list_to_read());
        assert!(!state.list_to_read(), "it is listed once");
    }

    #[test]
    fn a_connection_is_closed_and_dropped_once() {
        let mut state = State::default();
        state.stop(Stop::Rate);
        assert!(state.begin_closing() && !state.begin_closing());
        assert!(!state.is_stopped(), "what the peer still sends is read away");
        assert!(state.drop() && !state.drop());
        assert!(!state.may_be_moved());
    }

    #[test]
    fn a_blocked_connection_waits_for_its_socket_whatever_is_queued() {
        let mut state = State::default();
        state.block();
        assert!(!state.queued(), "not listed");
        assert!(state.is_busy());
        assert!(state.unblock() && !state.unblock());
        assert!(state.is_busy(), "what is queued goes before what the room has");
        state.wrote_all();
        assert!(!state.is_busy());
    }
}
