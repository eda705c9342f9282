//! The little of WebSocket that a load generator needs, without allocating for a message.

/// Opcodes of frames that matter here.
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The request that upgrades a connection to `path`, offering to inflate what comes, with a token.
pub(crate) fn upgrade(path: &str, inflates: bool, bearer: Option<&str>) -> String {
    let offer =
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    let offer = if inflates { offer } else { "" };
    let bearer = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}{bearer}\r\n"
    )
}

/// Where the head of an HTTP message ends.
pub(crate) fn head(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// A client's frame. The mask is zero, which a server cannot tell from any other.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0x80);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// A server's frame.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

fn header(opcode: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length + 14);
    frame.push(0x80 | opcode);
    match length {
        n @ 0..=125 => frame.push(mask | n as u8),
        n @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    frame
}

/// A frame that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) deflated: bool,
    pub(crate) payload: &'a [u8],
    /// With its header.
    pub(crate) length: usize,
}

/// The first whole frame in `bytes`. A mask is taken to be zero, as [`frame`] writes it.
pub(crate) fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        n => (2, usize::from(n)),
    };
    let start: usize = if second & 0x80 == 0 { start } else { start + 4 };
    let end = start.checked_add(length)?;
    let payload = bytes.get(start..end)?;
    Some(Frame { opcode: first & 0x0f, deflated: first & 0x40 != 0, payload, length: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_parse_when_whole_and_not_before() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            for whole in [frame(TEXT, &payload), unmasked(TEXT, &payload)] {
                let (payload, length) = (payload.as_slice(), whole.len());
                assert_eq!(parse(&whole), Some(Frame { opcode: TEXT, deflated: false, payload, length }));
                assert_eq!(parse(&whole[..whole.len() - 1]), None);
            }
        }
    }
}
