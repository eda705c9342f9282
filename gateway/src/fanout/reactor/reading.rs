//! From readable sockets to sessions.
//!
//! Decides how much is read of a connection before the next gets its turn, and when one is not read at all.

use std::io::{ErrorKind, Read};

use super::{
    connection::{Connection, Flags, Timer, Unread},
    counters::Counters,
    turn::Reactor,
};
use crate::fanout::{
    codec::{self, Event, Violation},
    session::{Input, OverRate},
};

/// Bytes of the buffer that all connections of a reactor read into.
pub(super) const BUFFER: usize = 64 << 10;

/// Bytes read at once. What a connection may not say yet is kept, so this bounds what an unruly crowd can cost:
/// 16 KiB each the first time, then 4.
const WINDOW: usize = 16 << 10;
const PAUSED_WINDOW: usize = 4 << 10;

/// Connections read in a turn, before others are written to.
const SOCKETS: usize = 512;

/// Reads of a connection in a turn: after them the others get theirs.
const READS: usize = 4;

/// Replies that may wait for a client before it is not read any more.
const REPLIES: usize = 64 << 10;

/// Pieces that may wait for a client before it is not read any more.
const PIECES: usize = 256;

/// What the decoder and the session made of the next bytes.
enum Step {
    /// Everything was used.
    Empty,
    /// A message was handled; its effects wait.
    Handled,
    Pong(Vec<u8>),
    Closed(Option<u16>),
    /// Over the rate: again in that many microseconds.
    Wait(u64),
    Broken(Violation),
}

impl Reactor {
    /// Reads listed connections, each for a while, the first that were listed first.
    pub(super) fn read_sockets(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..self.readable.len().min(SOCKETS) {
            let Some(slot) = self.readable.pop_front() else { break };
            let slot = slot as usize;
            self.connections.hot[slot].flags.clear(Flags::LISTED);
            self.read(slot, &mut buffer);
        }
        self.buffer = buffer;
    }

    fn read(&mut self, slot: usize, buffer: &mut [u8]) {
        if self.connections.get(slot).is_none() {
            return;
        }
        self.digest_unread(slot);
        for _ in 0..READS {
            let flags = self.connections.hot[slot].flags;
            if flags.any(Flags::STOPPED | Flags::GONE) || !flags.any(Flags::READY) || self.congested(slot) {
                return;
            }
            let window = if flags.any(Flags::PAUSED) { PAUSED_WINDOW } else { WINDOW };
            match self.read_once(slot, &mut buffer[..window]) {
                None => return,
                // What comes after our close frame is read away, so that the peer gets the frame and no reset.
                Some(_) if flags.any(Flags::CLOSING) => {}
                Some(n) => {
                    let at = self.digest(slot, &mut buffer[..n]);
                    if at < n {
                        self.keep_unread(slot, buffer[at..n].to_vec(), 0);
                    }
                }
            }
        }
        self.list_readable(slot);
    }

    /// Reads once; None when there is nothing more now, or nothing more ever.
    fn read_once(&mut self, slot: usize, buffer: &mut [u8]) -> Option<usize> {
        let hot = &mut self.connections.hot[slot];
        match hot.stream.as_mut()?.read(buffer) {
            Ok(n) if n > 0 => {
                // A short read leaves nothing behind but the end of the stream, which came with a flag of its own.
                if n < buffer.len() && !hot.flags.any(Flags::HALF_SHUT) {
                    hot.flags.clear(Flags::READY);
                }
                Counters::add(&self.counters.bytes_in, n as u64);
                Some(n)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                hot.flags.clear(Flags::READY);
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read_once(slot, buffer),
            Ok(_) | Err(_) => {
                self.drop_connection(slot);
                None
            }
        }
    }

    /// Whether the client does not take its replies: it is not read until it does.
    fn congested(&mut self, slot: usize) -> bool {
        self.connections
            .get(slot)
            .is_some_and(|connection| connection.replies > REPLIES || connection.outgoing.len() > PIECES)
    }

    /// Keeps `bytes` from `at` on until the connection is read again.
    pub(super) fn keep_unread(&mut self, slot: usize, bytes: Vec<u8>, at: usize) {
        let Some(connection) = self.connections.get(slot) else { return };
        if at < bytes.len() {
            connection.unread = Some(Box::new(Unread { bytes, at }));
        }
    }

    fn digest_unread(&mut self, slot: usize) {
        if self.connections.hot[slot].flags.any(Flags::STOPPED | Flags::ENDED) || self.congested(slot) {
            return;
        }
        let Some(unread) = self.connections.get(slot).and_then(|connection| connection.unread.take()) else { return };
        let Unread { mut bytes, at } = *unread;
        let used = self.digest(slot, &mut bytes[at..]);
        self.keep_unread(slot, bytes, at + used);
    }

    /// Decodes `bytes` and tells the session, until they are used or reading has to stop; returns how many were used.
    fn digest(&mut self, slot: usize, bytes: &mut [u8]) -> usize {
        let (mut at, mut pong) = (0, None);
        while !self.connections.hot[slot].flags.any(Flags::STOPPED | Flags::ENDED) && !self.congested(slot) {
            match self.step(slot, bytes, &mut at) {
                Step::Empty => break,
                Step::Handled => self.carry_out(slot),
                // Of pings that came together only the newest is answered.
                Step::Pong(payload) => pong = Some(payload),
                Step::Closed(code) => {
                    self.connections.hot[slot].flags.set(Flags::PARTED);
                    self.close(slot, code, "");
                }
                Step::Wait(micros) => {
                    self.count_refusal(slot, "rate_limited");
                    self.stop_reading(slot, Flags::LIMITED);
                    self.set_timer(slot, Timer::RESUME, micros.div_ceil(1000));
                }
                Step::Broken(violation) => {
                    self.count_refusal(slot, violation.reason());
                    self.close(slot, Some(violation.code()), violation.reason());
                }
            }
        }
        if let Some(payload) = pong {
            self.reply(slot, codec::PONG, &payload);
        }
        at
    }

    fn step(&mut self, slot: usize, bytes: &mut [u8], at: &mut usize) -> Step {
        let (context, now) = (self.context(slot), self.now.micros);
        let Some(connection) = self.connections.cold[slot].as_deref_mut() else { return Step::Empty };
        let Connection { session: Some(session), decoder, bucket, over_rate, .. } = connection else {
            return Step::Empty;
        };
        if let (OverRate::StopReading, Err(wait), true) = (&over_rate, bucket.wait(now), *at < bytes.len()) {
            return Step::Wait(wait);
        }
        let (input, text) = match decoder.next(bytes, at) {
            Ok(None) => return Step::Empty,
            Err(violation) => return Step::Broken(violation),
            Ok(Some(Event::Ping(payload))) => return Step::Pong(payload.to_vec()),
            Ok(Some(Event::Close(code))) => return Step::Closed(code),
            Ok(Some(Event::Pong)) => (Input::Pong, None),
            Ok(Some(Event::Text(text))) => (Input::Text(text), Some(text)),
            Ok(Some(Event::Binary(bytes))) => (Input::Binary(bytes), Some("")),
        };
        let input = match text.map(|text| (text, bucket.take(now))) {
            Some((text, Err(wait))) => Input::Limited { text, retry: wait.div_ceil(1000) },
            _ => input,
        };
        Counters::add(&self.counters.messages_in, u64::from(text.is_some()));
        session.handle(input, &context, &mut self.effects);
        Step::Handled
    }
}
