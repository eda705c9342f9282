//! Addresses of Redis servers, as people write them and as servers announce them.

use std::{fmt, str::FromStr, sync::Arc};

/// Where a Redis server listens: a host name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port for clients.
    pub port: u16,
}

/// Which of its two announced addresses a server is reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefer {
    /// The host name where one is announced: certificates name it, and it outlives the IP address.
    HostName,
    /// The IP address: it is never older than the announcement, whereas a name may still resolve to a former one.
    Ip,
}

/// The reason why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address: write `host:port`, with an IPv6 address in brackets")]
pub struct AddressError(String);

impl Address {
    /// The address of `host`, whose brackets are dropped if it is an IPv6 address in brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.into(), port }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `host:port`. The brackets of an IPv6 address may be left out, because the port is always there.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(refused)?;
        let address = Self::new(host, port.parse().map_err(|_| refused())?);
        if address.host.is_empty() { Err(refused()) } else { Ok(address) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_both_kinds_of_ip_addresses_are_read() {
        for (text, host) in
            [("redis-0.redis:6379", "redis-0.redis"), ("10.0.0.1:6379", "10.0.0.1"), ("[fd00::1]:6379", "fd00::1")]
        {
            let address: Address = text.parse().unwrap();
            assert_eq!((&*address.host, address.port, address.to_string()), (host, 6379, text.to_owned()));
        }
        assert_eq!("fd00::1:6379".parse(), Ok(Address::new("fd00::1", 6379)), "as CLUSTER NODES writes it");
    }

    #[test]
    fn a_text_without_host_or_port_is_refused_with_the_right_form() {
        for text in ["", "redis", ":6379", "redis:", "redis:65536", "[]:1"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("write `host:port`"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn an_address_that_is_written_is_read_back(host in "[a-z0-9.-]{1,20}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", port: u16) {
            let address = Address::new(&host, port);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
