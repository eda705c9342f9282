//! Which web pages may open a socket. Browsers name the page in `Origin`; other clients send none and pass.

use http::{HeaderMap, header};

use crate::http::host::Host;

/// Which Origins a protocol accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Any.
    Any,
    /// Those that are listed; `*` stands for any.
    Listed(Vec<String>),
    /// Those that are listed, and the pages of the host that the request is for.
    OwnHostAnd(Vec<String>),
}

impl Origins {
    /// Whether the page that makes the request may connect.
    pub(super) fn admit(&self, headers: &HeaderMap, host: Host<'_>) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let (listed, own) = match self {
            Self::Any => return true,
            Self::Listed(listed) => (listed, false),
            Self::OwnHostAnd(listed) => (listed, true),
        };
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
        (own && is_of(origin, host)) || listed.iter().any(|entry| entry == "*" || same(entry, origin))
    }
}

/// Schemes and hosts do not differ by case; an entry may end in a slash.
fn same(entry: &str, origin: &str) -> bool {
    entry.strip_suffix('/').unwrap_or(entry).eq_ignore_ascii_case(origin)
}

/// Whether `origin` is a page of `host`. A proxy in front may speak TLS, so the scheme says nothing but the usual port.
fn is_of(origin: &str, host: Host<'_>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    Host::read(authority).is_some_and(|page| {
        page.name.eq_ignore_ascii_case(host.name) && page.port.unwrap_or(usual) == host.port.unwrap_or(usual)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admits(origins: &Origins, origin: &'static str, host: &str) -> bool {
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
        origins.admit(&headers, Host::read(host).unwrap())
    }

    #[test]
    fn a_page_of_the_same_host_passes_whatever_speaks_tls_in_front() {
        let own = Origins::OwnHostAnd(Vec::new());
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("https://Chat.example", "chat.example"),
            ("https://chat.example:8443", "chat.example:8443"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(admits(&own, origin, host), "{origin} on {host}");
        }
        for (origin, host) in [
            ("https://evil.example", "chat.example"),
            ("https://chat.example.evil.example", "chat.example"),
            ("http://localhost:3000", "localhost:8080"),
            ("null", "chat.example"),
            ("file://", "chat.example"),
            ("https://chat.example@evil.example", "chat.example"),
        ] {
            assert!(!admits(&own, origin, host), "{origin} on {host}");
        }
    }

    #[test]
    fn a_listed_origin_passes_and_no_longer_or_shorter_one() {
        let listed = Origins::Listed(vec!["https://chat.example".to_owned(), "https://b.example/".to_owned()]);
        assert!(admits(&listed, "https://chat.example", "h") && admits(&listed, "https://b.example", "h"));
        for origin in ["https://chat.example.co", "https://chat.exampl", "http://chat.example", "null", "https://h"] {
            assert!(!admits(&listed, origin, "h"), "{origin}");
        }
        assert!(admits(&Origins::Listed(vec!["*".to_owned()]), "null", "h"));
    }

    #[test]
    fn a_client_that_is_no_browser_passes() {
        assert!(Origins::OwnHostAnd(Vec::new()).admit(&HeaderMap::new(), Host::read("h").unwrap()));
    }

    #[test]
    fn two_origins_are_nobodys_page() {
        let mut headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://h"))]);
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!Origins::OwnHostAnd(Vec::new()).admit(&headers, Host::read("h").unwrap()));
    }
}
