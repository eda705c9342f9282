//! What must happen next: steps return it instead of calling each other, and `reactor.rs` carries it out in order.

use std::collections::VecDeque;

use super::ids::{FeedId, Slot};
use crate::{
    fanout::{encoding::Chunk, session::Input},
    rooms::{Position, RoomName},
};

/// One thing to be done for one connection. A connection that has ended meanwhile is left alone.
#[derive(Debug)]
pub(super) enum Next {
    /// Hand this to the session and carry out its effects.
    Tell(Slot, Input<'static>),
    /// As `Tell`, for what the reactor itself refused. A session that asks for the same again at once is closed.
    Refuse(Slot, Input<'static>),
    /// Queue what the room's log had before the join, and read the socket again.
    Joined { slot: Slot, feed: FeedId, backlog: Vec<Chunk> },
    /// Read the socket again, unless something else keeps it from being read.
    ReadOn(Slot),
    /// Close the connection for the reactor's own reasons.
    Close { slot: Slot, code: u16, reason: &'static str },
    /// Tell the session that it is over and up to where its peer has got its rooms, and take the connection out of them.
    End { slot: Slot, read: Vec<(RoomName, Position)> },
}

/// What is still to be done, in order.
pub(super) type Todo = VecDeque<Next>;
