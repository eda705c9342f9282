//! How many new rooms a connection, and all of a gateway together, may open: rooms in which nobody is and nothing was said.
//!
//! Decides whether one more may be opened. Rooms that no client can name are not counted: accounts bound them.

use parking_lot::Mutex;

use crate::{
    fanout::messages::ConnectionId,
    rooms::{
        RoomName,
        rates::{Rate, Rates},
    },
};

/// Connections whose budget is remembered; each takes some 50 bytes, and only those that open rooms have one.
const CONNECTIONS: usize = 16 * 1024;
/// New rooms of a gateway, as a multiple of what one connection may open. It bounds strangers with many connections: at
/// the default a million rooms take nearly three hours, in which idle ones are forgotten.
const GATEWAY: u32 = 100;

/// The budgets. Times are in milliseconds since some start.
#[derive(Debug)]
pub(crate) struct NewRooms(Mutex<Budgets>);

#[derive(Debug)]
struct Budgets {
    connections: Rates<ConnectionId>,
    gateway: Rate,
    /// When the gateway's budget is full again.
    full: u64,
}

impl NewRooms {
    /// `limits.newRoomsPerMinute`.
    pub(crate) fn new(per_minute: u32) -> Self {
        let connections = Rates::new(Rate::per_minute(per_minute), CONNECTIONS);
        let gateway = Rate::per_minute(per_minute.saturating_mul(GATEWAY));
        Self(Mutex::new(Budgets { connections, gateway, full: 0 }))
    }

    /// The connection opens `room`, which is new. False: it may not.
    pub(crate) fn open(&self, from: ConnectionId, room: &RoomName, millis: u64) -> bool {
        if room.is_private() {
            return true;
        }
        let (now, mut budgets) = (micros(millis), self.0.lock());
        let Budgets { connections, gateway, full } = &mut *budgets;
        gateway.is_free(*full, now) && connections.take(from, now).is_ok() && gateway.take(full, now).is_ok()
    }

    /// Whether the connection may open one more.
    pub(crate) fn may_open(&self, from: &ConnectionId, room: &RoomName, millis: u64) -> bool {
        let budgets = self.0.lock();
        let now = micros(millis);
        room.is_private() || (budgets.gateway.is_free(budgets.full, now) && budgets.connections.is_free(from, now))
    }
}

/// More than zero, which rates take for "long ago".
fn micros(millis: u64) -> u64 {
    millis.saturating_mul(1000).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::messages::ReactorId;

    fn at(slot: u32) -> ConnectionId {
        ConnectionId { reactor: ReactorId(0), slot, generation: 1 }
    }

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    #[test]
    fn a_connection_opens_its_number_at_once_and_then_one_at_a_time() {
        let rooms = NewRooms::new(60);
        let opened = (0..1000).filter(|_| rooms.open(at(1), &room(), 0)).count();
        assert_eq!(opened, 60);
        assert!(!rooms.may_open(&at(1), &room(), 500) && rooms.may_open(&at(1), &room(), 1000));
        assert!(rooms.open(at(1), &room(), 1000) && !rooms.open(at(1), &room(), 1000));
        assert!(rooms.open(at(2), &room(), 0), "others have their own");
        assert!(rooms.open(at(1), &RoomName::private("match", 7), 1000));
    }

    #[test]
    fn many_connections_together_open_what_the_gateway_may() {
        let rooms = NewRooms::new(60);
        let opened = (0..10_000).filter(|n| rooms.open(at(n % 1000), &room(), 0)).count();
        assert_eq!(opened, 6000);
        assert!(!rooms.may_open(&at(5000), &room(), 5));
        assert!(rooms.may_open(&at(5000), &room(), 10), "a hundredth of a second later there is one again");
    }
}
