//! What a reactor keeps of a connection, and the slab it lives in.
//!
//! Split in two: what a flush touches lies in one dense array, the rest behind a pointer.

use std::{collections::VecDeque, ops};

use bytes::Bytes;
use mio::net::TcpStream;
use smallvec::SmallVec;

use super::rate::Bucket;
use crate::{
    fanout::{
        codec::Decoder,
        link::{ConnectionId, ReactorId},
        session::{OverRate, Session},
    },
    rooms::{Origin, ProtocolId, RoomName},
};

/// The state of a connection as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// Something is queued for this connection alone.
    pub(super) const QUEUED: Self = Self(1);
    /// The socket takes no more; it tells when it does.
    pub(super) const BLOCKED: Self = Self(1 << 1);
    /// Registered for writable events.
    pub(super) const WATCHED: Self = Self(1 << 2);
    /// In the list of connections to write to.
    pub(super) const DIRTY: Self = Self(1 << 3);
    /// The socket may hold unread bytes.
    pub(super) const READY: Self = Self(1 << 4);
    /// In the list of connections to read from.
    pub(super) const LISTED: Self = Self(1 << 5);
    /// An ask or a join is pending.
    pub(super) const ASKING: Self = Self(1 << 6);
    /// Over its rate.
    pub(super) const LIMITED: Self = Self(1 << 7);
    /// Waits for room in the hub's queue.
    pub(super) const PARKED: Self = Self(1 << 8);
    /// A close frame is queued or sent; the session has ended.
    pub(super) const CLOSING: Self = Self(1 << 9);
    /// The peer has sent its close frame.
    pub(super) const PARTED: Self = Self(1 << 10);
    /// To be dropped at the end of the turn.
    pub(super) const GONE: Self = Self(1 << 11);
    /// Was told to reconnect elsewhere.
    pub(super) const MOVED: Self = Self(1 << 12);
    /// The peer sends no more than what is there to read.
    pub(super) const HALF_SHUT: Self = Self(1 << 13);
    /// Was over its rate or paused before: gets smaller reads.
    pub(super) const PAUSED: Self = Self(1 << 14);

    /// Why the gateway itself does not read; session timers stand still meanwhile.
    pub(super) const STOPPED: Self = Self(Self::ASKING.0 | Self::LIMITED.0 | Self::PARKED.0);
    /// Not to be written to in a flush.
    pub(super) const BUSY: Self = Self(Self::QUEUED.0 | Self::BLOCKED.0);
    /// No session is there any more.
    pub(super) const ENDED: Self = Self(Self::CLOSING.0 | Self::GONE.0);

    pub(super) fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    pub(super) fn set(&mut self, which: Self) {
        self.0 |= which.0;
    }

    pub(super) fn clear(&mut self, which: Self) {
        self.0 &= !which.0;
    }
}

impl ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a flush touches.
pub(super) struct Hot {
    pub(super) stream: Option<TcpStream>,
    pub(super) generation: u32,
    pub(super) flags: Flags,
}

/// Everything else.
pub(super) struct Connection {
    /// None once it was told `Closed`.
    pub(super) session: Option<Box<dyn Session>>,
    pub(super) decoder: Decoder,
    pub(super) bucket: Bucket,
    /// Read before reading stopped.
    pub(super) unread: Option<Box<Unread>>,
    /// Replies and backlog, in order; `sent` bytes of the first have gone.
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) sent: usize,
    /// Bytes of replies in `outgoing`.
    pub(super) replies: usize,
    /// The rooms it reads: the feed and its place there.
    pub(super) rooms: SmallVec<[Reading; 2]>,
    pub(super) timers: SmallVec<[Timer; 2]>,
    pub(super) pending: Option<Pending>,
    /// Messages of this connection that wait for the hub.
    pub(super) parked: u32,
    /// The tick in which the session's timers began to stand still.
    pub(super) frozen: Option<u32>,
    pub(super) over_rate: OverRate,
    pub(super) protocol: ProtocolId,
}

/// Replies are gathered in pieces of this size.
const GATHERED: usize = 16 << 10;

impl Connection {
    /// Queues what `write` appends behind everything queued.
    pub(super) fn queue_reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.outgoing.back(), Some(Outgoing::Reply(bytes)) if bytes.len() < GATHERED) {
            self.outgoing.push_back(Outgoing::Reply(Vec::new()));
        }
        if let Some(Outgoing::Reply(bytes)) = self.outgoing.back_mut() {
            let before = bytes.len();
            write(bytes);
            self.replies += bytes.len() - before;
        }
    }
}

/// Bytes that wait to be decoded, from `at` on.
pub(super) struct Unread {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

/// Something to be written to one connection.
pub(super) enum Outgoing {
    /// Replies, gathered while they wait.
    Reply(Vec<u8>),
    /// Part of a chunk that others share.
    Shared(Bytes),
}

impl Outgoing {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Reply(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A room that a connection reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) feed: u32,
    pub(super) place: u32,
}

/// A timer of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) key: u16,
    /// When it runs out; [`Timer::NEVER`]: stopped.
    pub(super) deadline: u32,
    /// When the wheel will look at it, at the latest at the deadline.
    pub(super) armed: u32,
}

impl Timer {
    pub(super) const NEVER: u32 = u32::MAX;
    /// Keys below are the session's.
    pub(super) const SESSION: u16 = 0x100;
    /// The rate allows the next message.
    pub(super) const RESUME: u16 = 0x100;
    /// A closing connection is dropped.
    pub(super) const LINGER: u16 = 0x101;
    /// A connection that was asked to move is closed.
    pub(super) const CUT: u16 = 0x102;
}

/// What the hub will answer.
pub(super) enum Pending {
    Join { room: RoomName, presence: bool },
    Ask,
}

/// The connections of a reactor, by slot.
pub(super) struct Connections {
    reactor: ReactorId,
    gateway: u64,
    pub(super) hot: Vec<Hot>,
    pub(super) cold: Vec<Option<Box<Connection>>>,
    free: Vec<u32>,
}

impl Connections {
    pub(super) fn new(reactor: ReactorId, gateway: u64) -> Self {
        Self { reactor, gateway, hot: Vec::new(), cold: Vec::new(), free: Vec::new() }
    }

    /// Gives the connection a slot; None when all [`MAX_SLOTS`] are taken.
    pub(super) fn insert(&mut self, stream: TcpStream, connection: Connection) -> Option<usize> {
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None if self.hot.len() < MAX_SLOTS => {
                self.hot.push(Hot { stream: None, generation: 0, flags: Flags::default() });
                self.cold.push(None);
                self.hot.len() - 1
            }
            None => return None,
        };
        let hot = &mut self.hot[slot];
        hot.generation = hot.generation.wrapping_add(1);
        (hot.stream, hot.flags) = (Some(stream), Flags::default());
        self.cold[slot] = Some(Box::new(connection));
        Some(slot)
    }

    /// Frees the slot; the socket is closed.
    pub(super) fn remove(&mut self, slot: usize) -> Option<Box<Connection>> {
        let connection = self.cold[slot].take()?;
        let hot = &mut self.hot[slot];
        (hot.stream, hot.flags) = (None, Flags::default());
        self.free.push(slot as u32);
        Some(connection)
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Connection> {
        self.cold.get_mut(slot)?.as_deref_mut()
    }

    /// The slot of a connection that still has its session.
    pub(super) fn find(&self, id: ConnectionId) -> Option<usize> {
        let slot = id.slot as usize;
        let hot = self.hot.get(slot)?;
        let there = self.cold[slot].is_some() && hot.generation == id.generation && id.reactor == self.reactor;
        (there && !hot.flags.any(Flags::ENDED)).then_some(slot)
    }

    pub(super) fn id(&self, slot: usize) -> ConnectionId {
        ConnectionId { reactor: self.reactor, slot: slot as u32, generation: self.hot[slot].generation }
    }

    /// Names the connection in the ChatRoom: 10 bits of reactor, 22 of slot, 32 of generation.
    pub(super) fn origin(&self, slot: usize) -> Origin {
        let number = u64::from(self.reactor.0) << 54 | (slot as u64) << 32 | u64::from(self.hot[slot].generation);
        Origin { gateway: self.gateway, connection: number }
    }

    /// The slot that `origin` names, if it is a connection of this reactor.
    pub(super) fn slot_of(&self, origin: Origin) -> Option<usize> {
        let slot = (origin.connection >> 32) as usize & (MAX_SLOTS - 1);
        (slot < self.hot.len() && self.origin(slot) == origin).then_some(slot)
    }

    /// Slots in use or free: those below may be looked at.
    pub(super) fn slots(&self) -> usize {
        self.hot.len()
    }
}

/// Four million connections a reactor; a descriptor limit or `limits.connectionsPerGateway` comes first.
const MAX_SLOTS: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_few_bytes() {
        assert!(size_of::<Hot>() <= 24, "{}", size_of::<Hot>());
        assert!(size_of::<Connection>() <= 320, "{}", size_of::<Connection>());
    }
}
