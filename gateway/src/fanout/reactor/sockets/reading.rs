//! From the bytes of one socket to its session.
//!
//! Decides how much is read at once, and answers pings. Never decides whose turn it is: [`super::lists::Lists`] does.

use std::{
    io::{ErrorKind, Read},
    time::Duration,
};

use super::{
    connection::{Connection, Unread},
    slab::Hot,
};
use crate::fanout::{
    codec::{self, Event, Violation},
    reactor::clock::Now,
    session::{Context, Effects, Input, OverRate},
};

/// Bytes of the buffer that all connections of a reactor read into.
const BUFFER: usize = 64 << 10;

/// Bytes read at once. What a connection may not say yet is kept, so this bounds what an unruly crowd can cost:
/// 16 KiB each the first time, then 4.
const WINDOW: usize = 16 << 10;
const UNRULY_WINDOW: usize = 4 << 10;

/// Reads of a connection in a turn: after them the others get theirs.
const READS: usize = 4;

/// What came of the next bytes of a connection.
#[derive(Debug)]
pub(in crate::fanout::reactor) enum Heard {
    /// The session handled something; its effects wait. `message`: it was one of the client's, not a pong.
    Handled {
        message: bool,
    },
    /// The peer's close frame, with its code if it gave one.
    Closed(Option<u16>),
    /// Over the rate: again in that many microseconds.
    Wait(u64),
    /// Far more messages over the rate than a client that listens would send.
    Flood,
    Broken(Violation),
    /// There is nothing more to read now.
    Nothing,
}

/// One connection's share of a turn: the bytes that were read and not decoded yet, and the reads that are left.
pub(in crate::fanout::reactor) struct Intake {
    buffer: Vec<u8>,
    /// What was kept of an earlier turn; it goes before what is read.
    unread: Option<Box<Unread>>,
    at: usize,
    end: usize,
    reads: usize,
}

/// How a read of the socket ended.
pub(super) enum ReadOutcome {
    /// So many bytes came.
    Bytes(usize),
    Nothing,
    Failed,
}

impl Intake {
    pub(in crate::fanout::reactor) fn new() -> Self {
        Self { buffer: vec![0; BUFFER], unread: None, at: 0, end: 0, reads: 0 }
    }

    /// The next connection's share begins.
    pub(super) fn begin(&mut self, unread: Option<Box<Unread>>) {
        (self.unread, self.at, self.end, self.reads) = (unread, 0, 0, READS);
    }

    /// Whether there is something to decode.
    pub(super) fn has_bytes(&self) -> bool {
        self.unread.is_some() || self.at < self.end
    }

    /// Takes one of the reads that a connection has in a turn.
    pub(super) fn may_read(&mut self) -> bool {
        let may = self.reads > 0;
        self.reads = self.reads.saturating_sub(1);
        may
    }

    /// Reads from the socket. `discard`: what comes is not for anyone.
    pub(super) fn read(&mut self, hot: &mut Hot, discard: bool) -> ReadOutcome {
        let window = if hot.state.is_unruly() { UNRULY_WINDOW } else { WINDOW };
        let Some(stream) = hot.stream.as_mut() else { return ReadOutcome::Nothing };
        loop {
            match stream.read(&mut self.buffer[..window]) {
                Ok(n) if n > 0 => {
                    hot.state.was_read(n, window);
                    (self.at, self.end) = (0, if discard { 0 } else { n });
                    return ReadOutcome::Bytes(n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    hot.state.was_read_empty();
                    return ReadOutcome::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return ReadOutcome::Failed,
            }
        }
    }

    /// Decodes until the session has received something or reading has to stop.
    pub(super) fn decode(&mut self, connection: &mut Connection, now: Now, cx: &Context, out: &mut Effects) -> Heard {
        if let Some(unread) = self.unread.as_deref_mut() {
            let heard = decode(connection, &mut unread.bytes, &mut unread.at, now, cx, out);
            if unread.at >= unread.bytes.len() {
                self.unread = None;
            }
            return heard;
        }
        decode(connection, &mut self.buffer[..self.end], &mut self.at, now, cx, out)
    }

    /// What is not decoded yet, to be kept for a later turn.
    pub(super) fn rest(&mut self) -> Option<Box<Unread>> {
        if let Some(unread) = self.unread.take() {
            return Some(unread);
        }
        let rest = &self.buffer[self.at..self.end];
        let kept = (!rest.is_empty()).then(|| Box::new(Unread { bytes: rest.to_vec(), at: 0 }));
        self.at = self.end;
        kept
    }
}

fn decode(
    connection: &mut Connection,
    bytes: &mut [u8],
    at: &mut usize,
    now: Now,
    cx: &Context,
    out: &mut Effects,
) -> Heard {
    let Connection { session: Some(session), decoder, bucket, over_rate, outbox, .. } = connection else {
        *at = bytes.len();
        return Heard::Nothing;
    };
    loop {
        if outbox.is_congested() {
            return Heard::Nothing;
        }
        if let (OverRate::StopReading, Err(wait), true) = (&over_rate, bucket.wait(now.micros), *at < bytes.len()) {
            return Heard::Wait(wait);
        }
        let input = match decoder.next(bytes, at) {
            Ok(None) => return Heard::Nothing,
            Err(violation) => return Heard::Broken(violation),
            // Every ping, before the answers to what came after it. A congested client is not read further.
            Ok(Some(Event::Ping(payload))) => {
                outbox.reply(|bytes| codec::frame(bytes, codec::PONG, payload));
                continue;
            }
            Ok(Some(Event::Close(code))) => return Heard::Closed(code),
            Ok(Some(Event::Pong)) => Input::Pong,
            Ok(Some(Event::Text(text))) => match bucket.take(now.micros) {
                Ok(()) => Input::Text(text),
                Err(_) if bucket.floods() => return Heard::Flood,
                Err(wait) => Input::Limited { text, retry: Duration::from_micros(wait) },
            },
            Ok(Some(Event::Binary(payload))) => match bucket.take(now.micros) {
                Ok(()) => Input::Binary(payload),
                Err(_) if bucket.floods() => return Heard::Flood,
                Err(wait) => Input::Limited { text: "", retry: Duration::from_micros(wait) },
            },
        };
        let message = !matches!(input, Input::Pong);
        session.handle(input, cx, out);
        return Heard::Handled { message };
    }
}
