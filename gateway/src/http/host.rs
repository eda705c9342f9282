//! The Host of a request: what it may be, and whether it names this gateway. Decides nothing else; pure.
//!
//! A Host is written by the client. It chooses a protocol and is compared with an Origin; it becomes part of what others
//! are shown only where the ChatRoom names it or where it is the address that was connected to.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, header};

/// The Host of a request, `name` or `name:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host<'a> {
    /// As it came.
    pub(super) text: &'a str,
    /// Without the port; IPv6 addresses keep their brackets.
    pub(super) name: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Host<'a> {
    /// RFC 9112 section 3.2: exactly one, and valid. None: the request gets 400.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next()?.to_str().ok()?;
        if hosts.next().is_some() { None } else { Self::read(host) }
    }

    /// A name of letters, digits, `-`, `_` and dots, or an address, with or without a port.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let end = text.find(']').map_or(0, |bracket| bracket + 1);
        let (name, port) = match text[end..].find(':') {
            Some(colon) => (&text[..end + colon], Some(text[end + colon + 1..].parse().ok()?)),
            None => (text, None),
        };
        let named = || !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let valid = bracketed.map_or_else(named, |address| address.parse::<Ipv6Addr>().is_ok());
        valid.then_some(Self { text, name, port })
    }

    /// True if the client wrote the address that its connection goes to, which it cannot choose.
    pub(super) fn is(&self, local: SocketAddr) -> bool {
        let address = self.name.trim_matches(['[', ']']).parse::<IpAddr>();
        let ip = local.ip().to_canonical();
        let named = address.map_or(self.name == "localhost" && ip.is_loopback(), |address| address == ip);
        named && self.port.unwrap_or(80) == local.port()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, name, port) in [
            ("chat.example", "chat.example", None),
            ("a_b-c:8080", "a_b-c", Some(8080)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:9", "[::1]", Some(9)),
        ] {
            assert_eq!(Host::read(text), Some(Host { text, name, port }), "{text}");
        }
        let wrong = [
            "",
            ":80",
            "a:",
            "a:x",
            "a:70000",
            "a b",
            "a/b",
            "evil.example/x?\"><script>",
            "a\"b",
            "a@b",
            "[::1",
            "::1",
            "[x]",
            "é",
            "a,b",
        ];
        for text in wrong {
            assert_eq!(Host::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let hosts = |hosts: &[&'static str]| {
            hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host))).collect::<HeaderMap>()
        };
        assert!(Host::of(&hosts(&[])).is_none());
        assert!(Host::of(&hosts(&["a"])).is_some());
        let mut two = hosts(&["a"]);
        two.append(header::HOST, HeaderValue::from_static("b"));
        assert!(Host::of(&two).is_none());
    }

    #[test]
    fn only_the_address_that_was_connected_to_is_this_gateways() {
        let local = "127.0.0.1:8080".parse().unwrap();
        let is = |text: &str| Host::read(text).unwrap().is(local);
        assert!(is("127.0.0.1:8080") && is("localhost:8080"));
        assert!(!is("127.0.0.1") && !is("localhost:80") && !is("evil.example:8080") && !is("127.0.0.2:8080"));
        assert!(Host::read("[::1]:80").unwrap().is("[::1]:80".parse().unwrap()));
        assert!(!Host::read("localhost:80").unwrap().is("192.0.2.1:80".parse().unwrap()));
    }
}
