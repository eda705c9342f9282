//! Load balancers that say in a PROXY protocol header who their peer is: version 2 of the protocol, which is binary.
//!
//! Decides from whom a header is expected, and what it says. A connection from such a network must begin with one, and from
//! anywhere else none is read, so nobody can pass for another address. Never does I/O: the accept loop does.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Longest header: addresses, and what a load balancer adds about TLS or itself.
const MOST: usize = 2048;

/// The networks from which headers are expected. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

/// Why bytes are no header, or a header of which nothing can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// The beginning of a connection from a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// More has to come.
    Part,
    Whole {
        /// The client; None where the load balancer speaks for itself, as in its health checks.
        client: Option<IpAddr>,
        /// Bytes of the header.
        length: usize,
    },
}

impl Proxies {
    /// Those of `limits.proxyProtocolFrom`, which the schema has checked.
    pub fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|network| network.parse().ok()).collect())
    }

    /// Whether a connection from `remote` begins with a header.
    pub fn expect(&self, remote: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&remote.to_canonical()))
    }
}

/// Reads a header at the beginning of `bytes`.
pub fn read(bytes: &[u8]) -> Result<Header, Unfit> {
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes[..seen] != SIGNATURE[..seen] {
        return Err(Unfit);
    }
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(Header::Part) };
    let [command, family, high, low] = [fixed[12], fixed[13], fixed[14], fixed[15]];
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MOST {
        return Err(Unfit);
    }
    let Some(addresses) = rest.get(..length) else { return Ok(Header::Part) };
    let client = match (command, family) {
        (0x20, _) => None,
        (0x21, 0x11) => {
            Some(Ipv4Addr::from(*addresses.first_chunk::<4>().filter(|_| length >= 12).ok_or(Unfit)?).into())
        }
        (0x21, 0x21) => {
            Some(Ipv6Addr::from(*addresses.first_chunk::<16>().filter(|_| length >= 36).ok_or(Unfit)?).into())
        }
        // An address that it does not know.
        (0x21, 0x00) => None,
        _ => return Err(Unfit),
    };
    Ok(Header::Whole { client, length: FIXED + length })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_header_names_the_client_of_either_family() {
        let v4 = header(0x21, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0x1f, 0x90, 4, 0, 1, 0]);
        assert_eq!(read(&v4), Ok(Header::Whole { client: ip("192.0.2.1"), length: 32 }));
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(
            read(&[header(0x21, 0x21, &six), b"GET / HTTP/1.1".to_vec()].concat()),
            Ok(Header::Whole { client: ip("2001:db8::7"), length: 52 })
        );
        for own in [header(0x20, 0x00, &[]), header(0x20, 0x11, &[0; 12]), header(0x21, 0x00, &[1, 2, 3])] {
            assert_eq!(read(&own), Ok(Header::Whole { client: None, length: own.len() }));
        }
    }

    #[test]
    fn what_is_no_header_is_found_at_its_first_wrong_byte() {
        assert_eq!(read(b"G"), Err(Unfit));
        assert_eq!(read(b"\r\n\r\n\0\r\nQUIX"), Err(Unfit));
        assert_eq!(read(b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n"), Err(Unfit), "version 1 is text");
        for wrong in [
            header(0x11, 0x11, &[0; 12]),
            header(0x22, 0x11, &[0; 12]),
            header(0x21, 0x12, &[0; 12]),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x11, &[0; 11]),
            header(0x21, 0x21, &[0; 35]),
        ] {
            assert_eq!(read(&wrong), Err(Unfit), "{wrong:?}");
        }
        assert_eq!(read(&[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat()), Err(Unfit), "too long to wait for");
    }

    #[test]
    fn headers_are_expected_from_the_networks_that_were_named() {
        let proxies = Proxies::new(&["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()]);
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
            assert!(proxies.expect(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.1", "2001:db9::1", "127.0.0.1"] {
            assert!(!proxies.expect(outside.parse().unwrap()), "{outside}");
        }
        assert!(!Proxies::default().expect("10.1.2.3".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_part_of_a_header_waits_for_the_rest(extra in proptest::collection::vec(any::<u8>(), 0..50), at in 0.0..1.0) {
            let addresses = [vec![192, 0, 2, 1, 10, 0, 0, 1, 0, 1, 0, 2], extra].concat();
            let whole = header(0x21, 0x11, &addresses);
            let part = &whole[..(whole.len() as f64 * at) as usize];
            prop_assert_eq!(read(part), Ok(Header::Part));
        }

        #[test]
        fn any_bytes_are_answered_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(Header::Whole { length, .. }) = read(&[&SIGNATURE[..], &bytes].concat()) {
                prop_assert!(length <= MOST && length <= SIGNATURE.len() + bytes.len());
            }
        }
    }
}
