//! WebSocket extensions: whether a handshake offers permessage-deflate in a form that can be agreed to.

use http::{HeaderMap, HeaderValue, header};

/// What is agreed to: every message by itself, so that all readers of a room share its compressed form.
pub(super) const DEFLATE: HeaderValue =
    HeaderValue::from_static("permessage-deflate; server_no_context_takeover; client_no_context_takeover");

/// True if one of the client's offers can be answered with [`DEFLATE`].
pub(super) fn offers_deflate(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(acceptable)
}

/// RFC 7692 section 7.1: an offer with a parameter that is unknown, repeated or out of range is declined.
fn acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("permessage-deflate")) {
        return false;
    }
    let mut seen = Vec::new();
    parts.all(|parameter| {
        let (name, value) =
            parameter.split_once('=').map_or((parameter, None), |(n, v)| (n.trim_end(), Some(v.trim())));
        let fresh = !seen.contains(&name);
        seen.push(name);
        fresh
            && match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => true,
                // Whatever window the client compresses with can be read; one for our side cannot be promised.
                ("client_max_window_bits", Some(bits)) => {
                    matches!(bits.trim_matches('"'), "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
                }
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(offers: &[&'static str]) -> bool {
        let values = offers.iter().map(|offer| (header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer)));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        offers_deflate(&headers)
    }

    #[test]
    fn what_browsers_and_libraries_offer_is_agreed_to() {
        assert!(offered(&["permessage-deflate; client_max_window_bits"]));
        assert!(offered(&["permessage-deflate"]));
        assert!(offered(&["x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=\"12\""]));
        assert!(offered(&["permessage-deflate; server_max_window_bits=10, permessage-deflate"]));
        assert!(offered(&["other", "Permessage-Deflate; server_no_context_takeover; client_no_context_takeover"]));
    }

    #[test]
    fn what_cannot_be_kept_is_declined() {
        assert!(!offered(&[]));
        assert!(!offered(&["permessage-bzip2"]));
        assert!(!offered(&["permessage-deflate; server_max_window_bits=10"]));
        for bits in ["16", "7", "08", "+9", "0x9", ""] {
            let offer: &'static str = Box::leak(format!("permessage-deflate; client_max_window_bits={bits}").into());
            assert!(!offered(&[offer]), "{bits}");
        }
        assert!(!offered(&["permessage-deflate; client_no_context_takeover; client_no_context_takeover"]));
        assert!(!offered(&["permessage-deflate; server_no_context_takeover=1"]));
    }
}
