//! Where the connections of a reactor lie, and how they are named to others.
//!
//! Split in two: what a flush touches lies in one dense array, the rest behind a pointer.

use mio::net::TcpStream;

use super::{connection::Connection, state::State};
use crate::{
    fanout::{
        messages::{ConnectionId, ReactorId},
        reactor::ids::Slot,
    },
    rooms::Origin,
};

/// Four million connections per reactor; a descriptor limit or `limits.connectionsPerGateway` comes first.
const MAX_SLOTS: usize = 1 << 22;

/// What a flush touches.
pub(super) struct Hot {
    pub(super) stream: Option<TcpStream>,
    pub(super) generation: u32,
    pub(super) state: State,
}

/// The connections, by slot.
pub(super) struct Slab {
    reactor: ReactorId,
    gateway: u64,
    hot: Vec<Hot>,
    cold: Vec<Option<Box<Connection>>>,
    free: Vec<Slot>,
}

impl Slab {
    pub(super) fn new(reactor: ReactorId, gateway: u64) -> Self {
        Self { reactor, gateway, hot: Vec::new(), cold: Vec::new(), free: Vec::new() }
    }

    /// Gives the connection a slot; None when all are taken.
    pub(super) fn insert(&mut self, stream: TcpStream, connection: Connection) -> Option<Slot> {
        let slot = self.free.pop().or_else(|| self.grow())?;
        let hot = &mut self.hot[slot.index()];
        hot.generation = hot.generation.wrapping_add(1);
        (hot.stream, hot.state) = (Some(stream), State::default());
        self.cold[slot.index()] = Some(Box::new(connection));
        Some(slot)
    }

    fn grow(&mut self) -> Option<Slot> {
        if self.hot.len() >= MAX_SLOTS {
            return None;
        }
        self.hot.push(Hot { stream: None, generation: 0, state: State::default() });
        self.cold.push(None);
        Some(Slot((self.hot.len() - 1) as u32))
    }

    /// Frees the slot; the socket is closed.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Box<Connection>> {
        let connection = self.cold[slot.index()].take()?;
        let hot = &mut self.hot[slot.index()];
        (hot.stream, hot.state) = (None, State::default());
        self.free.push(slot);
        Some(connection)
    }

    pub(super) fn hot(&mut self, slot: Slot) -> &mut Hot {
        &mut self.hot[slot.index()]
    }

    pub(super) fn get(&mut self, slot: Slot) -> Option<&mut Connection> {
        self.cold.get_mut(slot.index())?.as_deref_mut()
    }

    /// Both parts of a connection.
    pub(super) fn both(&mut self, slot: Slot) -> Option<(&mut Hot, &mut Connection)> {
        let connection = self.cold.get_mut(slot.index())?.as_deref_mut()?;
        Some((&mut self.hot[slot.index()], connection))
    }

    pub(super) fn state(&self, slot: Slot) -> State {
        self.hot[slot.index()].state
    }

    pub(super) fn is_used(&self, slot: Slot) -> bool {
        self.cold.get(slot.index()).is_some_and(Option::is_some)
    }

    pub(super) fn connection(&self, slot: Slot) -> Option<&Connection> {
        self.cold.get(slot.index())?.as_deref()
    }

    pub(super) fn stream(&self, slot: Slot) -> Option<&TcpStream> {
        self.hot[slot.index()].stream.as_ref()
    }

    /// The slot of a connection that still has its session.
    pub(super) fn find(&self, id: ConnectionId) -> Option<Slot> {
        let slot = Slot(id.slot);
        let hot = self.hot.get(slot.index())?;
        let there = self.is_used(slot) && hot.generation == id.generation && id.reactor == self.reactor;
        (there && !hot.state.is_ended()).then_some(slot)
    }

    pub(super) fn id(&self, slot: Slot) -> ConnectionId {
        ConnectionId { reactor: self.reactor, slot: slot.0, generation: self.hot[slot.index()].generation }
    }

    /// Names the connection in the ChatRoom: 10 bits of reactor, 22 of slot, 32 of generation.
    pub(super) fn origin(&self, slot: Slot) -> Origin {
        let generation = self.hot[slot.index()].generation;
        let number = u64::from(self.reactor.0) << 54 | u64::from(slot.0) << 32 | u64::from(generation);
        Origin { gateway: self.gateway, connection: number }
    }

    /// The slot that `origin` names, if it is a connection of this reactor.
    pub(super) fn slot_of(&self, origin: Origin) -> Option<Slot> {
        let slot = Slot((origin.connection >> 32) as u32 & (MAX_SLOTS as u32 - 1));
        (self.is_used(slot) && self.origin(slot) == origin).then_some(slot)
    }

    /// The slots from number `first` on, in use or not.
    pub(super) fn slots_from(&self, first: u32) -> impl Iterator<Item = Slot> + use<> {
        (first..self.hot.len() as u32).map(Slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_flush_touches_of_a_connection_is_small() {
        assert!(size_of::<Hot>() <= 24, "{}", size_of::<Hot>());
    }
}
