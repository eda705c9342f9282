//! The little of WebSocket and of the native protocol that a load generator needs, without allocating for a message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memchr::memmem::Finder;

/// Opcodes of frames that matter here.
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Connects and upgrades; returns the socket and what came after the answer.
pub(crate) fn dial(address: SocketAddr, path: &str) -> Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).context("set a deadline")?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).context("send the upgrade")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let read = stream.read(&mut buffer).context("read the answer")?;
        ensure!(read > 0, "closed during the upgrade");
        answer.extend_from_slice(&buffer[..read]);
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]);
            ensure!(head.starts_with("HTTP/1.1 101"), "the upgrade was answered with {head}");
            return Ok((stream, answer.split_off(end + 4)));
        }
    }
}

/// A client's frame. The mask is zero, which a server cannot tell from any other.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        n @ 0..=125 => frame.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The first whole frame of a server in `bytes`: opcode, payload, and its length in all.
pub(crate) fn parse(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        n => (2, usize::from(n)),
    };
    let payload = bytes.get(start..start + length)?;
    Some((first & 0x0f, payload, start + length))
}

/// Finds messages in a native `messages` frame.
pub(crate) struct Items {
    item: Finder<'static>,
    text: Finder<'static>,
}

impl Items {
    pub(crate) fn new() -> Self {
        Self { item: Finder::new(r#"{"seq":"#), text: Finder::new(r#""text":""#) }
    }

    /// How many messages.
    pub(crate) fn count(&self, payload: &[u8]) -> u64 {
        self.item.find_iter(payload).count() as u64
    }

    /// The seq of each message, and the number that its text begins with.
    pub(crate) fn read(&self, payload: &[u8], mut each: impl FnMut(u64, u64)) {
        for at in self.item.find_iter(payload) {
            let item = &payload[at..];
            let text = self.text.find(item).map(|text| number(&item[text + 8..])).unwrap_or_default();
            each(number(&item[7..]), text);
        }
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_parse_when_whole_and_not_before() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut server = frame(TEXT, &vec![b'x'; length]);
            // A server sends no mask.
            let mask = server.len() - length - 4;
            server.drain(mask..mask + 4);
            server[1] &= 0x7f;
            assert_eq!(
                parse(&server).map(|(op, payload, all)| (op, payload.len(), all)),
                Some((TEXT, length, server.len()))
            );
            assert!(parse(&server[..server.len() - 1]).is_none());
        }
    }

    #[test]
    fn messages_are_counted_and_read() {
        let payload = br#"{"op":"messages","room":"r","items":[{"seq":7,"time":1,"from":{},"body":{"text":"12 x"}},{"seq":8,"body":{"text":"13"}}]}"#;
        let (items, mut read) = (Items::new(), Vec::new());
        items.read(payload, |seq, text| read.push((seq, text)));
        assert_eq!((items.count(payload), read), (2, vec![(7, 12), (8, 13)]));
        assert_eq!(items.count(br#"{"op":"posted","id":1,"room":"r","seq":8,"duplicate":false}"#), 0);
    }
}
