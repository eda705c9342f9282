//! What a reactor keeps of a connection besides its socket and state: everything that a flush does not touch.

use std::net::IpAddr;

use super::{outbox::Outbox, rate::Bucket, timers::Timers};
use crate::{
    fanout::{
        codec::Decoder,
        reactor::clock::Tick,
        session::{OverRate, Policy, Session},
    },
    rooms::{ProtocolId, RoomName},
};

/// A connection, the part behind a pointer.
pub(super) struct Connection {
    /// None once it has received `Closed`.
    pub(super) session: Option<Box<dyn Session>>,
    pub(super) decoder: Decoder,
    pub(super) bucket: Bucket,
    /// Read before reading stopped.
    pub(super) unread: Option<Box<Unread>>,
    pub(super) outbox: Outbox,
    pub(super) timers: Timers,
    pub(super) pending: Option<Pending>,
    /// Messages of this connection that wait for the hub.
    pub(super) held: u32,
    /// When the session's timers were suspended.
    pub(super) suspended: Option<Tick>,
    pub(super) over_rate: OverRate,
    pub(super) protocol: ProtocolId,
    /// The network that the connection counts for.
    pub(super) address: IpAddr,
}

impl Connection {
    pub(super) fn new(
        session: Box<dyn Session>,
        policy: Policy,
        address: IpAddr,
        protocol: ProtocolId,
        deflate: bool,
    ) -> Self {
        Self {
            session: Some(session),
            decoder: Decoder::new(policy.message_bytes).inflating(deflate),
            bucket: Bucket::new(policy.messages_per_second),
            unread: None,
            outbox: Outbox::default(),
            timers: Timers::default(),
            pending: None,
            held: 0,
            suspended: None,
            over_rate: policy.over_rate,
            protocol,
            address,
        }
    }
}

/// Bytes that wait to be decoded, from `at` on.
pub(super) struct Unread {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

/// What the hub will answer.
#[derive(Debug)]
pub(in crate::fanout::reactor) enum Pending {
    Join { room: RoomName, presence: bool },
    Ask,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_few_bytes() {
        assert!(size_of::<Connection>() <= 304, "{}", size_of::<Connection>());
    }
}
