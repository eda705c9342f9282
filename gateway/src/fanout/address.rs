//! Where a peer is, as far as a log may know: the class of its address, never the address itself.

use std::{fmt, net::IpAddr};

/// The class of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    Loopback,
    PrivateV4,
    PublicV4,
    PrivateV6,
    PublicV6,
}

impl AddressClass {
    /// The class of `address`; an IPv4 address that is written as IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(address) if address.is_private() || address.is_link_local() => Self::PrivateV4,
            IpAddr::V4(_) => Self::PublicV4,
            IpAddr::V6(address) if address.is_unique_local() || address.is_unicast_link_local() => Self::PrivateV6,
            IpAddr::V6(_) => Self::PublicV6,
        }
    }

    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::PrivateV4 => "private IPv4",
            Self::PublicV4 => "public IPv4",
            Self::PrivateV6 => "private IPv6",
            Self::PublicV6 => "public IPv6",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
            assert_eq!(AddressClass::of(address.parse().unwrap()).name(), class, "{address}");
        }
    }
}
