//! A bare client: bytes out, frames of the server in, each checked to be what RFC 6455 allows a server.

use std::{io::Read, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::DeflateDecoder;
use parlor_tests::client::PATIENCE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;

/// Between two pieces that must not arrive together.
const PAUSE: Duration = Duration::from_millis(20);

/// Something that a client does, or must be shown next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// These bytes, in one write.
    Send(Vec<u8>),
    /// These bytes, so many at a time.
    Chop(Vec<u8>, usize),
    Wait,
    /// A whole message, compressed or not.
    Message(u8, Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame with this code, or without one; then the end.
    Closed(Option<u16>),
}

/// One case: an own connection, and all that happens on it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) what: String,
    /// The extensions offered, and whether compression must be agreed to.
    pub(super) offer: Option<(&'static str, bool)>,
    pub(super) steps: Vec<Step>,
}

impl Case {
    pub(super) fn new(id: impl Into<String>, what: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { id: id.into(), what: what.into(), offer: None, steps }
    }

    pub(super) fn offering(self, offer: &'static str, agreed: bool) -> Self {
        Self { offer: Some((offer, agreed)), ..self }
    }
}

/// A frame of a client; the mask is not zero, so that unmasking shows.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    out
}

/// A close frame of a client.
pub(super) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// The steps of a connection that is closed well at the end.
pub(super) fn then_close(mut steps: Vec<Step>) -> Vec<Step> {
    steps.extend([Step::Send(close(1000, b"")), Step::Closed(Some(1000))]);
    steps
}

/// A frame of the server.
struct Frame {
    first: u8,
    payload: Vec<u8>,
}

/// An upgraded connection.
pub(super) struct Wire {
    socket: TcpStream,
    read: Vec<u8>,
    deflates: bool,
}

impl Wire {
    /// Plays a case on a connection of its own.
    pub(super) async fn play(address: SocketAddr, case: &Case) -> Result<()> {
        let mut wire = Self::open(address, case.offer.map(|(offer, _)| offer)).await?;
        if let Some((_, agreed)) = case.offer {
            ensure!(wire.deflates == agreed, "compression was agreed to: {}", wire.deflates);
        }
        for (n, step) in case.steps.iter().enumerate() {
            let shown: String = format!("{step:?}").chars().take(100).collect();
            let done = timeout(PATIENCE, wire.step(step)).await;
            done.context("it takes too long").and_then(|done| done).with_context(|| format!("step {n}, {shown}"))?;
        }
        Ok(())
    }

    async fn open(address: SocketAddr, offer: Option<&str>) -> Result<Self> {
        let mut socket = TcpStream::connect(address).await.context("connect")?;
        socket.set_nodelay(true)?;
        let offer = offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        let request = format!(
            "GET /echo HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(socket.read_buf(&mut read).await? > 0, "the server closed");
        };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 101"), "{head}");
        // The answer to the key of the RFC's example.
        ensure!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        let deflates = head.contains("sec-websocket-extensions: permessage-deflate");
        Ok(Self { socket, read: read.split_off(end), deflates })
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Send(bytes) => self.socket.write_all(bytes).await.context("send"),
            Step::Chop(bytes, size) => {
                for piece in bytes.chunks(*size) {
                    self.socket.write_all(piece).await.context("send")?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Step::Wait => {
                sleep(PAUSE).await;
                Ok(())
            }
            Step::Message(kind, expected) => self.message(*kind, expected).await,
            Step::Pong(expected) => {
                let Frame { first, payload } = self.frame().await?.context("the end came")?;
                ensure!(first == FIN | PONG && payload == *expected, "{first:02x} {payload:x?} came");
                Ok(())
            }
            Step::Closed(code) => self.closed(*code).await,
        }
    }

    async fn message(&mut self, kind: u8, expected: &[u8]) -> Result<()> {
        let Frame { first, payload } = self.frame().await?.context("the end came")?;
        ensure!(first & !RSV1 == FIN | kind, "{first:02x} came");
        let payload = if first & RSV1 == 0 { payload } else { self.inflate(&payload)? };
        ensure!(payload == expected, "{} bytes came that are not the {} expected", payload.len(), expected.len());
        Ok(())
    }

    fn inflate(&self, payload: &[u8]) -> Result<Vec<u8>> {
        ensure!(self.deflates, "compression was not agreed to");
        // The tail that is left out on the wire, and an empty last block.
        let whole = [payload, &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]].concat();
        let mut out = Vec::new();
        DeflateDecoder::new(&whole[..]).read_to_end(&mut out).context("decompress")?;
        Ok(out)
    }

    async fn closed(&mut self, code: Option<u16>) -> Result<()> {
        let Frame { first, payload } = self.frame().await?.context("the end came without a close frame")?;
        ensure!(first == FIN | CLOSE, "{first:02x} {payload:x?} came");
        let found = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        ensure!(found == code, "closed with {found:?}");
        ensure!(self.frame().await?.is_none(), "something came after the close frame");
        Ok(())
    }

    /// The next frame; None at the end of the stream.
    async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some((frame, size)) = parse(&self.read)? {
                self.read.drain(..size);
                return Ok(Some(frame));
            }
            if self.socket.read_buf(&mut self.read).await.context("read")? == 0 {
                ensure!(self.read.is_empty(), "the stream ends within a frame");
                return Ok(None);
            }
        }
    }
}

/// A frame and its size; None while some of it is missing.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    ensure!(second & 0x80 == 0, "a server never masks");
    ensure!(first & 0x30 == 0, "{first:02x}: reserved bits");
    let (head, length) = match (second, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [length @ .., _]) if length.len() >= 8 => {
            let length = length.first_chunk().map_or(0, |length| u64::from_be_bytes(*length));
            (10, usize::try_from(length)?)
        }
        (126 | 127, _) => return Ok(None),
        (n, _) => (2, usize::from(*n)),
    };
    let shortest = match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    ensure!(head == shortest, "{length} is not in its shortest form");
    if first & 0x08 != 0 && (length > 125 || first & FIN == 0) {
        bail!("{first:02x} with {length} bytes: a control frame is short and whole");
    }
    let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
    Ok(Some((Frame { first: *first, payload: payload.to_vec() }, head + length)))
}
