//! Who is at the other end of a connection, and how much one address may take.
//!
//! Decides which address a request counts for: the peer's, or what proxies in front say of theirs, as far as the
//! ChatRoom trusts them. Never resolves a name.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::rooms::rates::{Rate, Rates};

/// Connections from one public address, where the ChatRoom names no number.
const CONNECTIONS: u32 = 100;
/// Addresses whose rate is remembered; each takes some 50 bytes.
const RATED: usize = 16 * 1024;
/// Requests per second of one address, as a multiple of what one connection may send.
const REQUESTS: u32 = 10;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The peer: a client, or a proxy in front of it.
    pub remote: IpAddr,
    /// Where it connected to.
    pub local: SocketAddr,
}

/// What the ChatRoom allows one address.
#[derive(Clone, Copy, Debug)]
pub struct AddressLimits {
    /// `limits.connectionsPerAddress`.
    pub connections: Option<u32>,
    /// `limits.trustedProxies`.
    pub trusted_proxies: u8,
    /// `limits.messagesPerSecond`.
    pub messages_per_second: u32,
}

/// Counts connections and requests by address; clones share the counts.
#[derive(Clone, Debug)]
pub struct Addresses {
    limits: AddressLimits,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
    requests: Arc<Mutex<Rates<IpAddr>>>,
}

/// One connection of an address; given back when dropped.
#[derive(Debug)]
pub struct AddressPermit {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// The address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFull;

impl Addresses {
    /// Nobody is there yet.
    pub fn new(limits: AddressLimits) -> Self {
        let rate = Rate::per_second(limits.messages_per_second.saturating_mul(REQUESTS));
        Self { limits, open: Arc::default(), requests: Arc::new(Mutex::new(Rates::new(rate, RATED))) }
    }

    /// The address that a request counts for; an IPv6 network of 64 bits, which is what one customer gets, is one.
    pub fn of(&self, remote: IpAddr, headers: &HeaderMap) -> IpAddr {
        network(forwarded(headers, self.limits.trusted_proxies).unwrap_or(remote).to_canonical())
    }

    /// Counts one more connection of `address`; None where the address is not limited.
    pub fn enter(&self, address: IpAddr) -> Result<Option<AddressPermit>, AddressFull> {
        let Some(limit) = self.limit(address) else { return Ok(None) };
        let mut open = self.open.lock();
        let count = open.entry(address).or_default();
        if *count >= limit {
            return Err(AddressFull);
        }
        *count += 1;
        Ok(Some(AddressPermit { address, open: Arc::clone(&self.open) }))
    }

    /// Counts a request of `address` at `now`, in microseconds. Err: how long it should wait.
    pub fn request(&self, address: IpAddr, now: u64) -> Result<(), u64> {
        if self.limit(address).is_none() {
            return Ok(());
        }
        self.requests.lock().take(address, now)
    }

    /// Without a number in the ChatRoom, addresses that are not public are not limited: they are one's own machine, or
    /// proxies that everyone comes through.
    fn limit(&self, address: IpAddr) -> Option<u32> {
        self.limits.connections.or_else(|| is_public(address).then_some(CONNECTIONS))
    }
}

/// What the outermost of `trusted` proxies says of its peer: each appends the address that it was connected from.
fn forwarded(headers: &HeaderMap, trusted: u8) -> Option<IpAddr> {
    let place = usize::from(trusted).checked_sub(1)?;
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let hop = lines.iter().rev().flat_map(|line| line.rsplit(',')).nth(place)?.trim();
    let address = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|hop| hop.ip()));
    address.or_else(|_| hop.trim_matches(['[', ']']).parse()).ok()
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Not loopback, link-local or private, as RFC 1918, 4193 and 6598 have it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && b & 0xc0 == 64))
        }
        // Loopback without its last 64 bits is the unspecified address.
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn addresses(connections: Option<u32>, trusted_proxies: u8) -> Addresses {
        Addresses::new(AddressLimits { connections, trusted_proxies, messages_per_second: 20 })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_number_of_connections_and_gets_them_back() {
        let addresses = addresses(Some(2), 0);
        let (a, b) = (ip("127.0.0.1"), ip("127.0.0.2"));
        let first = addresses.enter(a).unwrap();
        let second = addresses.enter(a).unwrap();
        assert_eq!(addresses.enter(a).unwrap_err(), AddressFull);
        assert!(addresses.enter(b).is_ok());
        drop((first, second));
        assert!(addresses.open.lock().is_empty(), "an address without connections costs nothing");
        assert!(addresses.enter(a).is_ok());
    }

    #[test]
    fn without_a_number_only_public_addresses_are_limited() {
        let addresses = addresses(None, 0);
        for own in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "::",
            "fd00::",
            "fe80::",
        ] {
            assert!(addresses.enter(ip(own)).unwrap().is_none(), "{own}");
        }
        for public in ["192.0.2.1", "2001:db8::"] {
            assert!(addresses.enter(ip(public)).unwrap().is_some(), "{public}");
        }
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let of = |text| addresses(None, 0).of(ip(text), &HeaderMap::new());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), ip("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn proxies_are_believed_as_far_as_they_are_trusted() {
        let headers = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            headers
        };
        let of =
            |trusted, lines: &[&'static str]| addresses(None, trusted).of(ip("10.0.0.9"), &headers(lines)).to_string();
        let lines = ["6.6.6.6, 192.0.2.1", "192.0.2.2"];
        assert_eq!(of(0, &lines), "10.0.0.9", "nobody is believed");
        assert_eq!(of(1, &lines), "192.0.2.2");
        assert_eq!(of(2, &lines), "192.0.2.1", "what the client wrote itself is further left");
        assert_eq!(of(4, &lines), "10.0.0.9", "it did not come through so many proxies");
        assert_eq!(of(1, &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(of(1, &["[2001:db8::1]:4711"]), "2001:db8::");
        assert_eq!(of(1, &["unknown"]), "10.0.0.9");
    }

    #[test]
    fn requests_of_an_address_have_a_rate() {
        let addresses = addresses(Some(1), 0);
        let passed = (0..1000).filter(|_| addresses.request(ip("127.0.0.1"), 1_000_000).is_ok()).count();
        assert_eq!(passed, 400);
        assert!(addresses.request(ip("127.0.0.2"), 1_000_000).is_ok());
    }
}
