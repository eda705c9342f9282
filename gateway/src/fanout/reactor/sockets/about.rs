//! How log events name a connection: made when there is an event, so that nothing is kept for it while it is idle.

use std::{fmt, net::IpAddr};

use crate::{fanout::messages::ConnectionId, rooms::ProtocolId};

/// A connection as events name it.
pub(in crate::fanout::reactor) struct About {
    pub(in crate::fanout::reactor) id: ConnectionId,
    pub(in crate::fanout::reactor) protocol: &'static str,
    /// The kind of address that the peer has, never the address itself.
    pub(in crate::fanout::reactor) address: &'static str,
}

impl About {
    pub(super) fn new(id: ConnectionId, protocol: Option<ProtocolId>, address: Option<IpAddr>) -> Self {
        Self { id, protocol: protocol.map_or("none", ProtocolId::name), address: address.map_or("gone", address_class) }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.reactor.0, self.slot, self.generation)
    }
}

/// Where a peer is, as far as a log may know.
fn address_class(address: IpAddr) -> &'static str {
    match address.to_canonical() {
        address if address.is_loopback() => "loopback",
        IpAddr::V4(address) if address.is_private() || address.is_link_local() => "private IPv4",
        IpAddr::V4(_) => "public IPv4",
        IpAddr::V6(address) if address.is_unique_local() || address.is_unicast_link_local() => "private IPv6",
        IpAddr::V6(_) => "public IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_by_its_class_alone() {
        let classes = [
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("::ffff:10.1.2.3", "private IPv4"),
            ("192.168.0.9", "private IPv4"),
            ("8.8.8.8", "public IPv4"),
            ("fd00::1", "private IPv6"),
            ("2001:db8::1", "public IPv6"),
        ];
        for (address, class) in classes {
            assert_eq!(address_class(address.parse().unwrap()), class, "{address}");
        }
    }
}
