//! How the lines of a table are written.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::client::{http::Request, relay};

/// One line: who, what happens, and the rest.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) sign: Sign,
    pub(super) rest: &'a str,
}

/// What a line says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    Send,
    Frame,
    Bytes,
    Expect,
    Anywhere,
    Together,
    Verbatim,
    Ask,
    Nothing,
    Closed,
    Close,
}

impl<'a> Line<'a> {
    pub(super) fn read(line: &'a str) -> Result<Self> {
        let (name, rest) = line.split_once(' ').context("a line is: client, sign, and what the sign is about")?;
        let (sign, rest) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
        let sign = match sign {
            ">" => Sign::Send,
            ">f" => Sign::Frame,
            ">!" => Sign::Bytes,
            "<" => Sign::Expect,
            "<~" => Sign::Anywhere,
            "<+" => Sign::Together,
            "=" => Sign::Verbatim,
            "?" => Sign::Ask,
            "." => Sign::Nothing,
            "x" => Sign::Closed,
            ">x" => Sign::Close,
            _ => bail!("{sign} is no sign"),
        };
        Ok(Self { name, sign, rest: rest.trim_start() })
    }
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

/// The message that `words` stand for.
pub(super) fn payload(words: &str) -> Result<Payload> {
    if let Some(text) = words.strip_prefix("BINARY ") {
        return Ok(Payload::Binary(text.into()));
    }
    let (as_text, words) = words.strip_prefix("TEXT ").map_or((false, words), |words| (true, words));
    let binary = match words.strip_prefix("HEX ") {
        Some(hex) => Some(bytes(hex)?),
        None => relay::frame(words),
    };
    Ok(match binary {
        Some(bytes) if as_text => Payload::Text(String::from_utf8(bytes).context("TEXT is UTF-8")?),
        Some(bytes) => Payload::Binary(bytes),
        None => Payload::Text(words.to_owned()),
    })
}

/// Bytes written as pairs of hex digits and as quoted text without spaces, `*N` behind them repeats.
pub(super) fn bytes(notation: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for word in notation.split_whitespace() {
        let (word, times) = match word.rsplit_once('*') {
            Some((word, times)) => (word, times.parse().context("how often to repeat is a number")?),
            None => (word, 1),
        };
        let piece = match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            Some(text) => text.as_bytes().to_vec(),
            None => hex(word).with_context(|| format!("{word} is neither hex nor quoted"))?,
        };
        out.extend(piece.repeat(times));
    }
    Ok(out)
}

fn hex(word: &str) -> Result<Vec<u8>> {
    ensure!(word.is_ascii() && word.len().is_multiple_of(2), "digits come in pairs");
    let pair = |at| u8::from_str_radix(&word[at..at + 2], 16).context("no hex digit");
    (0..word.len()).step_by(2).map(pair).collect()
}

/// A frame of the first byte and the payload behind it, masked with zeros, which leave the payload readable.
pub(super) fn masked(bytes: &[u8]) -> Result<Vec<u8>> {
    let (first, payload) = bytes.split_first().context("a frame has a first byte")?;
    let mut frame = vec![*first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length)?),
        length @ 126..0x1_0000 => {
            frame.push(0xfe);
            frame.extend(u16::try_from(length)?.to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    Ok(frame)
}

/// `METHOD target [name: value] body`; None when the words do not begin with a method.
pub(super) fn request(words: &str) -> Option<Request> {
    let (method, rest) = words.split_once(' ')?;
    if !["GET", "HEAD", "POST", "PUT", "OPTIONS", "UPGRADE"].contains(&method) {
        return None;
    }
    let (target, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    // An absolute URL is asked for by its path.
    let target = target.strip_prefix("http://").map_or(target, |url| url.find('/').map_or("/", |at| &url[at..]));
    let (headers, body) = headers(rest);
    // The lines of a multipart body end as HTTP's do.
    let body = if body.starts_with("--") { body.replace("\\r\\n", "\r\n") } else { body.to_owned() }.into_bytes();
    let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
    if method == "UPGRADE" { Some(Request { method: "GET".to_owned(), ..request }.upgrade()) } else { Some(request) }
}

fn headers(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut headers = Vec::new();
    while let Some((header, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let Some((name, value)) = header.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
        rest = behind.trim_start();
    }
    (headers, rest)
}

/// A pattern: JSON, or an HTTP answer as `status [name: value] body`.
pub(super) fn pattern(text: &str) -> Result<Value> {
    let status = text.get(..3).filter(|status| status.bytes().all(|b| b.is_ascii_digit()));
    let Some(status) = status.filter(|_| text.as_bytes().get(3).is_none_or(|b| *b == b' ')) else {
        return serde_json::from_str(text).context("a pattern is JSON");
    };
    let (headers, body) = headers(text[3..].trim_start());
    let headers: serde_json::Map<_, _> = headers.into_iter().map(|(n, v)| (n, Value::String(v))).collect();
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Ok(json!({"status": status.parse::<u16>()?, "headers": headers, "body": body}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hex_and_text_and_repeat() {
        assert_eq!(bytes(r#"0a000000 "hi" ff*3 "ab"*2"#).unwrap(), b"\x0a\0\0\0hi\xff\xff\xffabab");
        assert!(bytes("0").is_err());
        assert!(bytes("zz").is_err());
    }

    #[test]
    fn frames_are_as_long_as_they_say() {
        assert_eq!(masked(b"\x81hi").unwrap(), b"\x81\x82\0\0\0\0hi");
        assert_eq!(masked(&[0x82; 1 + 300]).unwrap()[..4], [0x82, 0xfe, 1, 44]);
        assert_eq!(masked(&[0x82; 1 + 70_000]).unwrap()[..10], [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
    }

    #[test]
    fn a_request_has_headers_and_a_body() {
        let request = request(r#"POST http://h:1/msg?x=1 [a: b] [c: d] {"e": [1]}"#).unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/msg?x=1"));
        assert_eq!(request.headers, [("a".into(), "b".into()), ("c".into(), "d".into())]);
        assert_eq!(request.body, br#"{"e": [1]}"#);
        assert!(super::request(r#"{"op":"x"}"#).is_none());
    }

    #[test]
    fn words_are_sent_as_what_they_say() {
        assert_eq!(payload("BINARY {}").unwrap(), Payload::Binary(b"{}".into()));
        assert_eq!(payload("TEXT HEARTBEAT").unwrap(), Payload::Text("\u{8}\u{2}".into()));
        assert_eq!(payload("{}").unwrap(), Payload::Text("{}".into()));
    }

    #[test]
    fn an_answer_is_status_headers_and_body() {
        let wanted = json!({"status": 401, "headers": {"a": "b"}, "body": "NO"});
        assert_eq!(pattern("401 [a: b] NO").unwrap(), wanted);
        assert_eq!(pattern("200 {}").unwrap(), json!({"status": 200, "headers": {}, "body": {}}));
        assert_eq!(pattern("[1]").unwrap(), json!([1]));
    }
}
