//! The ChatRoom's limits, each with the part of the gateway that keeps it. Taken apart here, once and whole, so that a
//! limit that nobody keeps does not compile.

use parlor_crds::chatroom::{self, Limits};

use crate::{fanout::reactor::SlowConsumer, http::client::AddressLimits, rooms::rates::Rate};

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
    /// The reactors'.
    pub(super) rooms_per_connection: usize,
    /// The reactors'.
    pub(super) slow_consumer: SlowConsumer,
    /// Of a client's address.
    pub(super) address: AddressLimits,
}

impl Bounds {
    /// All that `limits` says.
    pub(super) fn of(limits: &Limits) -> Self {
        let Limits {
            connections_per_gateway,
            message_bytes,
            messages_per_second,
            rooms,
            rooms_per_connection,
            connections_per_address,
            trusted_proxies,
            slow_consumer,
        } = *limits;
        Self {
            connections: connections_per_gateway,
            message_bytes,
            messages_per_second,
            rooms: rooms as usize,
            rooms_per_connection: rooms_per_connection as usize,
            slow_consumer: match slow_consumer {
                chatroom::SlowConsumer::Disconnect => SlowConsumer::Disconnect,
                chatroom::SlowConsumer::SkipToLatest => SlowConsumer::SkipToLatest,
            },
            address: AddressLimits { connections: connections_per_address, trusted_proxies, messages_per_second },
        }
    }

    /// HTTP requests of one connection: as many as it may send messages.
    pub(super) fn requests(&self) -> Rate {
        Rate::per_second(self.messages_per_second)
    }
}
