//! How log events name a connection: made when there is an event, so that nothing is kept for it while it is idle.

use std::{fmt, net::IpAddr};

use crate::{
    fanout::{address::AddressClass, messages::ConnectionId},
    rooms::ProtocolId,
};

/// A connection as events name it.
pub(in crate::fanout::reactor) struct About {
    pub(in crate::fanout::reactor) id: ConnectionId,
    pub(in crate::fanout::reactor) protocol: &'static str,
    /// The kind of address that the peer has, never the address itself.
    pub(in crate::fanout::reactor) address: &'static str,
}

impl About {
    pub(super) fn new(id: ConnectionId, protocol: Option<ProtocolId>, address: Option<IpAddr>) -> Self {
        let address = address.map_or("gone", |address| AddressClass::of(address).name());
        Self { id, protocol: protocol.map_or("none", ProtocolId::name), address }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.reactor.0, self.slot, self.generation)
    }
}
