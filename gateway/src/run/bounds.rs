//! The ChatRoom's limits, each with the part of the gateway that keeps it. Taken apart here, once and whole, so that a
//! limit that nobody keeps does not compile.

use parlor_crds::chatroom::{self, Limits};

use crate::{
    fanout::reactor::SlowConsumer,
    http::{client::AddressLimits, proxies::Proxies},
    rooms::rates::Rate,
};

/// What a gateway keeps to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The gate's.
    pub(super) connections: u32,
    /// Of a protocol that names none of its own.
    pub(super) message_bytes: u32,
    /// Of a connection.
    pub(super) messages_per_second: u32,
    /// The hub's.
    pub(super) rooms: usize,
    /// The hub's.
    pub(super) new_rooms_per_minute: u32,
    /// The reactors'.
    pub(super) rooms_per_connection: usize,
    /// The reactors'.
    pub(super) slow_consumer: SlowConsumer,
    /// Of a client's address.
    pub(super) address: AddressLimits,
}

impl Bounds {
    /// All that `limits` says, and from whom PROXY protocol headers are expected.
    pub(super) fn of(limits: &Limits) -> (Self, Proxies) {
        let Limits {
            connections_per_gateway,
            message_bytes,
            messages_per_second,
            rooms,
            new_rooms_per_minute,
            rooms_per_connection,
            connections_per_address,
            trusted_proxies,
            ref proxy_protocol_from,
            slow_consumer,
        } = *limits;
        let bounds = Self {
            connections: connections_per_gateway,
            message_bytes,
            messages_per_second,
            rooms: rooms as usize,
            new_rooms_per_minute,
            rooms_per_connection: rooms_per_connection as usize,
            slow_consumer: match slow_consumer {
                chatroom::SlowConsumer::Disconnect => SlowConsumer::Disconnect,
                chatroom::SlowConsumer::SkipToLatest => SlowConsumer::SkipToLatest,
            },
            address: AddressLimits { connections: connections_per_address, trusted_proxies, messages_per_second },
        };
        (bounds, Proxies::new(proxy_protocol_from))
    }

    /// Rooms that one person may open over HTTP: as many as a connection.
    pub(super) fn new_rooms(&self) -> Rate {
        Rate::per_minute(self.new_rooms_per_minute)
    }

    /// HTTP requests of one connection: as many as it may send messages.
    pub(super) fn requests(&self) -> Rate {
        Rate::per_second(self.messages_per_second)
    }
}
