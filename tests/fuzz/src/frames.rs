//! The WebSocket decoder: its verdict is that of a decoder which has everything at hand and keeps nothing, however the
//! bytes are cut.

use parlor_gateway::fanout::codec::{self, Decoder, Event, Violation};

/// Largest message in bytes: small, so that mutations reach it.
const LIMIT: usize = 300;
/// A client's mask; the codec does not know that it is always the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl From<Event<'_>> for Told {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong => Self::Pong,
            Event::Close(code) => Self::Close(code),
        }
    }
}

type Verdict = (Vec<Told>, Option<Violation>);

/// The first byte says how the rest is cut.
pub(crate) fn any_bytes(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    for inflates in [false, true] {
        let whole = decode(bytes, usize::MAX, inflates);
        for size in [1, 2 + usize::from(*cut) % 19] {
            assert_eq!(decode(bytes, size, inflates), whole, "in pieces of {size}");
        }
        bounded(&whole.0);
        if !inflates {
            assert_eq!(whole.0, expected(bytes, whole.1), "messages up to {:?}", whole.1);
        }
    }
    round_trip(bytes);
}

fn decode(bytes: &[u8], size: usize, inflates: bool) -> Verdict {
    let (mut decoder, mut told) = (Decoder::new(LIMIT).inflating(inflates), Vec::new());
    for piece in bytes.chunks(size) {
        let (mut piece, mut at) = (piece.to_vec(), 0);
        loop {
            match decoder.next(&mut piece, &mut at) {
                Ok(Some(event)) => told.push(event.into()),
                Ok(None) => break,
                Err(violation) => return (told, Some(violation)),
            }
        }
    }
    (told, None)
}

fn bounded(told: &[Told]) {
    for event in told {
        let (length, limit) = match event {
            Told::Text(text) => (text.len(), LIMIT),
            Told::Binary(bytes) => (bytes.len(), LIMIT),
            Told::Ping(bytes) => (bytes.len(), 125),
            Told::Pong | Told::Close(_) => (0, 0),
        };
        assert!(length <= limit, "{length} bytes in {event:?}");
    }
}

/// What RFC 6455 makes of `bytes`; checks on the way that a violation is one and that none is missed.
fn expected(bytes: &[u8], violation: Option<Violation>) -> Vec<Told> {
    let (mut told, mut rest, mut open) = (Vec::new(), bytes, None::<(u8, Vec<u8>)>);
    loop {
        let Some(frame) = Frame::read(rest) else {
            // Not a whole frame: only a violation that its beginning shows can have been found.
            assert!(violation.is_none() || !rest.is_empty(), "{violation:?} after the last byte");
            return told;
        };
        rest = frame.rest;
        let opcode = frame.first & 0x0f;
        let wrong = frame.first & 0x70 != 0
            || !frame.masked
            || !matches!(opcode, 0..=2 | 8..=10)
            || !frame.shortest
            || (opcode >= 8 && (frame.first < 0x80 || frame.payload.len() > 125))
            || (opcode == 0 && open.is_none())
            || (matches!(opcode, 1 | 2) && open.is_some());
        let kept = open.as_ref().map_or(0, |(_, kept)| kept.len());
        let large = opcode < 8 && kept + frame.payload.len() > LIMIT;
        if wrong || large {
            let code = violation.map(Violation::code);
            assert!(code == Some(1002) || (large && code == Some(1009)), "{violation:?} for {:#x}", frame.first);
            return told;
        }
        if opcode < 8 {
            let (kind, mut message) = open.take().unwrap_or((opcode, Vec::new()));
            message.extend_from_slice(&frame.payload);
            let incomplete = frame.first < 0x80;
            let text = std::str::from_utf8(&message);
            let broken = text.err().is_some_and(|error| !incomplete || error.error_len().is_some());
            if kind == 1 && broken {
                assert_eq!(violation, Some(Violation::Utf8));
                return told;
            }
            match (kind, incomplete) {
                (kind, true) => open = Some((kind, message)),
                (1, false) => told.push(Told::Text(text.unwrap_or_default().to_owned())),
                (_, false) => told.push(Told::Binary(message)),
            }
            continue;
        }
        match (opcode, frame.payload.as_slice()) {
            (9, payload) => told.push(Told::Ping(payload.to_vec())),
            (10, _) => told.push(Told::Pong),
            (_, []) => told.push(Told::Close(None)),
            (_, [high, low, reason @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                if std::str::from_utf8(reason).is_err() || !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    assert!(violation.is_some(), "close {code} passed");
                    return told;
                }
                told.push(Told::Close(Some(code)));
            }
            (_, [_]) => {
                assert_eq!(violation, Some(Violation::Close));
                return told;
            }
        }
    }
}

/// One whole frame, unmasked.
struct Frame<'a> {
    first: u8,
    masked: bool,
    /// The length is in its shortest form.
    shortest: bool,
    payload: Vec<u8>,
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (length, shortest, rest) = match second & 0x7f {
            126 => rest.split_first_chunk().map(|(n, rest)| (u64::from(u16::from_be_bytes(*n)), 126, rest))?,
            127 => rest.split_first_chunk().map(|(n, rest)| (u64::from_be_bytes(*n), 1 << 16, rest))?,
            length => (u64::from(length), 0, rest),
        };
        let shortest = length >= shortest;
        let masked = second & 0x80 != 0;
        let (mask, rest) = if masked { rest.split_first_chunk()? } else { (&[0; 4], rest) };
        let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Some(Self { first, masked, shortest, payload, rest })
    }
}

/// What the encoder writes, sent back by a client, is what was written.
fn round_trip(payload: &[u8]) {
    let payload = &payload[..payload.len().min(LIMIT)];
    let told = (vec![Told::Binary(payload.to_vec())], None);
    assert_eq!(decode(&from_client(codec::BINARY, payload), 7, false), told);
    if let Some(small) = codec::deflate(payload) {
        assert!(small.len() < payload.len());
        assert_eq!(decode(&from_client(codec::BINARY | codec::COMPRESSED, &small), 7, true), told);
    }
    let mut close = Vec::new();
    codec::close_frame(&mut close, Some(1008), &String::from_utf8_lossy(payload));
    let frame = Frame::read(&close);
    let reason = frame.filter(|frame| frame.payload.len() <= 125 && frame.rest.is_empty());
    let reason = reason.as_ref().and_then(|frame| std::str::from_utf8(frame.payload.get(2..)?).ok());
    assert!(reason.is_some(), "a close frame that clients refuse");
}

/// A frame as the encoder writes it, masked.
fn from_client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    codec::frame(&mut written, first, payload);
    let header = written.len() - payload.len();
    written[1] |= 0x80;
    for (byte, key) in written[header..].iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= key;
    }
    written.splice(header..header, MASK);
    written
}
