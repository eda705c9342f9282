//! Heads of HTTP: that of an upgrade request that has come whole, and that of its answer.
//!
//! Decides which requests need no HTTP server: a plain GET that asks for a WebSocket, all of it there. Reads nothing
//! that could be read in two ways; what it leaves is hyper's.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header};

/// More than browsers and proxies send.
const HEADERS: usize = 64;

/// The upgrade request at the beginning of `said`, and the bytes that it takes; None when it is something else, or when
/// some of it is missing.
pub fn upgrade(said: &Bytes) -> Option<(Request<()>, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(said) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return None,
    };
    let (Some("GET"), Some(target), Some(1)) = (head.method, head.path, head.version) else { return None };
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = Uri::from_maybe_shared(said.slice_ref(target.as_bytes())).ok()?;
    *request.headers_mut() = HeaderMap::with_capacity(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(said.slice_ref(header.value)).ok()?;
        request.headers_mut().append(name, value);
    }
    let headers = request.headers();
    let body = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
    (asks_for_websocket(headers) && !body).then_some((request, length))
}

/// An answer as it is sent.
pub(super) fn write(answer: &Response<()>) -> Vec<u8> {
    let status = answer.status();
    let mut head = Vec::with_capacity(256);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in answer.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// True if the request asks for a WebSocket, well or badly: Upgrade is a list, which may be spread over several lines.
pub(super) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let names = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    };
    headers.get_all(header::UPGRADE).iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /chat?a=b HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nCookie: a\r\ncookie:  b \r\n\r\n";

    fn read(said: &str) -> Option<(Request<()>, usize)> {
        upgrade(&Bytes::copy_from_slice(said.as_bytes()))
    }

    #[test]
    fn a_whole_head_is_read_and_what_follows_is_left() {
        let (request, length) = read(&format!("{HEAD}\u{1}\u{2}")).expect("an upgrade");
        assert_eq!(length, HEAD.len());
        assert_eq!(request.uri(), "/chat?a=b");
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a", "b"]);
    }

    #[test]
    fn a_head_that_is_not_whole_is_left() {
        for length in 0..HEAD.len() {
            assert!(read(&HEAD[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn websocket_may_be_one_of_several_protocols_to_upgrade_to() {
        for list in ["Upgrade: websocket, h2c", "Upgrade: h2c,WebSocket", "Upgrade: h2c\r\nUpgrade: websocket"] {
            assert!(read(&HEAD.replace("Upgrade: WebSocket", list)).is_some(), "{list}");
        }
    }

    #[test]
    fn what_is_no_plain_upgrade_is_left() {
        assert!(read(HEAD).is_some());
        let cases = [
            ("GET ", "POST "),
            ("GET ", "get "),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Upgrade: WebSocket", "Upgrade: h2c"),
            ("Upgrade: WebSocket", "Upgrade: websockets"),
            ("Upgrade: WebSocket", "Accept: */*"),
            ("Host: h", "Content-Length: 0"),
            ("Host: h", "Transfer-Encoding: chunked"),
            ("Host: h", "Host : h"),
            ("Host: h", " Host: h"),
            ("Host: h", "Ho\u{0}st: h"),
            ("/chat?a=b", "/chat a=b"),
            ("/chat?a=b", "{"),
        ];
        for (from, to) in cases {
            assert!(read(&HEAD.replace(from, to)).is_none(), "{to}");
        }
        assert!(read(&HEAD.replace("Cookie: a", &vec!["X: y"; HEADERS].join("\r\n"))).is_none());
    }
}
