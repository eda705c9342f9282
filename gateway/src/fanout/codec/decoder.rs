//! From the bytes of one client to its messages.
//!
//! A message that lies whole in the bytes given is unmasked there and borrowed from there. What is incomplete moves
//! into a boxed buffer that exists only while something is incomplete, so that an idle connection costs two words.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::{Event, Violation, close, deflate, mask::unmask};

/// Longest frame header of a client, in bytes.
const HEADER_BYTES: usize = 14;

/// Longest payload of a control frame, in bytes.
const CONTROL_BYTES: u64 = 125;

/// Decodes one connection's bytes, however they are split.
#[derive(Debug)]
pub struct Decoder {
    /// Largest payload of a whole message, in bytes.
    limit: u32,
    /// Whether messages may come compressed.
    inflates: bool,
    partial: Option<Box<Partial>>,
}

/// What is kept between reads.
#[derive(Debug, Default)]
struct Partial {
    /// The beginning of a header.
    header: Vec<u8>,
    /// The frame whose payload is incomplete.
    frame: Option<Frame>,
    /// The fragmented or incomplete message: its kind once its first frame has begun.
    open: Option<Kind>,
    /// Whether that message is compressed.
    compressed: bool,
    message: Vec<u8>,
    /// How much of `message` is known to be UTF-8.
    valid: usize,
    control: Vec<u8>,
    /// Which buffer the last event was borrowed from.
    lent: Option<Lent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lent {
    Message(Kind),
    Control(Control),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    last: bool,
    /// Begins a compressed message.
    compressed: bool,
    mask: [u8; 4],
    /// Payload bytes taken so far and still to come.
    taken: usize,
    left: usize,
}

enum Step {
    /// The payload is whole in the input, and is a whole message.
    Direct(Frame),
    /// A buffer holds a whole message.
    Kept(Lent),
    Continue,
    Starved,
}

impl Decoder {
    /// `limit`: largest payload of a whole message, in bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit: u32::try_from(limit).unwrap_or(u32::MAX), inflates: false, partial: None }
    }

    /// Takes compressed messages too, as the handshake has agreed.
    pub fn inflating(self, inflates: bool) -> Self {
        Self { inflates, ..self }
    }

    /// Whether compression was agreed on.
    pub fn inflates(&self) -> bool {
        self.inflates
    }

    /// Takes bytes of `input` from `at` on until something is whole; None when all are used up. Nothing may be asked of
    /// the decoder after a violation.
    pub fn next<'a>(&'a mut self, input: &'a mut [u8], at: &mut usize) -> Result<Option<Event<'a>>, Violation> {
        self.take_back();
        loop {
            match self.step(input, at)? {
                Step::Direct(frame) => {
                    let payload = take(input, at, frame.left);
                    unmask(payload, frame.mask, 0);
                    return event(lent(frame.opcode), payload).map(Some);
                }
                Step::Kept(lent) => return self.lend(lent).map(Some),
                Step::Continue => {}
                Step::Starved => return Ok(None),
            }
        }
    }

    fn step(&mut self, input: &mut [u8], at: &mut usize) -> Result<Step, Violation> {
        let begun = self.partial.as_mut().and_then(|partial| partial.frame.take());
        // A frame that has begun is in the buffer, even if nothing of its payload came with its header.
        if let Some(frame) = begun {
            return self.keep(frame, input, at);
        }
        let Some(frame) = self.header(input, at)? else { return Ok(Step::Starved) };
        let whole = frame.left <= input.len() - *at;
        let control = matches!(frame.opcode, OpCode::Control(_));
        let alone = control || (frame.last && !frame.compressed && frame.opcode != OpCode::Data(Data::Continue));
        if whole && alone {
            return Ok(Step::Direct(frame));
        }
        self.keep(frame, input, at)
    }

    /// Parses a header from what was kept of it and `input`.
    fn header(&mut self, input: &mut [u8], at: &mut usize) -> Result<Option<Frame>, Violation> {
        let kept = self.partial.as_ref().map_or(0, |partial| partial.header.len());
        let parsed = if kept == 0 {
            parse(&input[*at..])?
        } else {
            let mut bytes = [0; HEADER_BYTES];
            let more = (input.len() - *at).min(HEADER_BYTES - kept);
            bytes[..kept].copy_from_slice(&self.partial().header);
            bytes[kept..kept + more].copy_from_slice(&input[*at..*at + more]);
            parse(&bytes[..kept + more])?
        };
        let Some((header, length, size)) = parsed else {
            let rest = take(input, at, usize::MAX);
            if !rest.is_empty() {
                self.partial().header.extend_from_slice(rest);
            }
            return Ok(None);
        };
        *at += size - kept;
        if let Some(partial) = &mut self.partial {
            partial.header = Vec::new();
        }
        self.check(&header, length).map(Some)
    }

    fn check(&self, header: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        let compressed = header.rsv1 && self.inflates && begins;
        if header.rsv1 != compressed || header.rsv2 || header.rsv3 {
            return Err(Violation::Reserved);
        }
        let mask = header.mask.ok_or(Violation::Unmasked)?;
        let open = self.partial.as_ref().filter(|partial| partial.open.is_some());
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > CONTROL_BYTES => return Err(Violation::Control),
            OpCode::Data(Data::Continue) if open.is_none() => return Err(Violation::Continuation),
            OpCode::Data(Data::Text | Data::Binary) if open.is_some() => return Err(Violation::Interleaved),
            _ => {}
        }
        let kept = open.map_or(0, |partial| partial.message.len());
        let data = matches!(header.opcode, OpCode::Data(_));
        let small = compressed || open.is_some_and(|partial| partial.compressed);
        let limit = self.limit();
        let limit = limit + if small { deflate::overhead(limit) } else { 0 };
        if data && length > limit.saturating_sub(kept) as u64 {
            return Err(Violation::TooLarge);
        }
        // Fits: bounded by the limit or by what a control frame holds.
        Ok(Frame { opcode: header.opcode, last: header.is_final, compressed, mask, taken: 0, left: length as usize })
    }

    /// Moves what has come of `frame` into a buffer.
    fn keep(&mut self, mut frame: Frame, input: &mut [u8], at: &mut usize) -> Result<Step, Violation> {
        let bytes = take(input, at, frame.left);
        unmask(bytes, frame.mask, frame.taken);
        frame.taken += bytes.len();
        frame.left -= bytes.len();
        let limit = self.limit();
        let partial = self.partial();
        partial.compressed |= frame.compressed;
        match frame.opcode {
            OpCode::Control(_) => partial.control.extend_from_slice(bytes),
            OpCode::Data(data) => partial.append(data, bytes)?,
        }
        if frame.left > 0 {
            partial.frame = Some(frame);
            return Ok(Step::Starved);
        }
        match (frame.opcode, partial.open) {
            (OpCode::Control(control), _) => Ok(Step::Kept(Lent::Control(control))),
            (OpCode::Data(_), Some(kind)) if frame.last => {
                if partial.compressed {
                    partial.message = deflate::inflate(&partial.message, limit)?;
                }
                Ok(Step::Kept(Lent::Message(kind)))
            }
            _ => Ok(Step::Continue),
        }
    }

    fn limit(&self) -> usize {
        self.limit as usize
    }

    fn partial(&mut self) -> &mut Partial {
        self.partial.get_or_insert_default()
    }

    fn lend(&mut self, lent: Lent) -> Result<Event<'_>, Violation> {
        let partial = self.partial.get_or_insert_default();
        partial.lent = Some(lent);
        match lent {
            Lent::Message(_) => event(lent, &partial.message),
            Lent::Control(_) => event(lent, &partial.control),
        }
    }

    /// Frees what the last event was borrowed from, and the buffer itself once nothing is incomplete.
    fn take_back(&mut self) {
        let Some(partial) = &mut self.partial else { return };
        match partial.lent.take() {
            Some(Lent::Message(_)) => {
                (partial.open, partial.compressed, partial.valid) = (None, false, 0);
                partial.message = Vec::new();
            }
            Some(Lent::Control(_)) => partial.control.clear(),
            None => {}
        }
        if partial.open.is_none() && partial.frame.is_none() && partial.header.is_empty() {
            self.partial = None;
        }
    }

    /// Bytes kept of incomplete messages.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.message.capacity() + size_of::<Partial>())
    }
}

impl Partial {
    fn append(&mut self, data: Data, bytes: &[u8]) -> Result<(), Violation> {
        match data {
            Data::Text => self.open = Some(Kind::Text),
            Data::Binary => self.open = Some(Kind::Binary),
            Data::Continue | Data::Reserved(_) => {}
        }
        self.message.extend_from_slice(bytes);
        if self.open == Some(Kind::Text) && !self.compressed {
            match std::str::from_utf8(&self.message[self.valid..]) {
                Ok(text) => self.valid += text.len(),
                Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
                Err(_) => return Err(Violation::Utf8),
            }
        }
        Ok(())
    }
}

/// A header, its payload's length, and its own; None when `bytes` end before it does.
fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, u64, usize)>, Violation> {
    let mut cursor = Cursor::new(&bytes[..bytes.len().min(HEADER_BYTES)]);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Opcode)? else {
        return Ok(None);
    };
    let size = cursor.position() as usize;
    // `len` is that of the shortest form.
    if size != header.len(length) {
        return Err(Violation::Length);
    }
    Ok(Some((header, length, size)))
}

fn lent(opcode: OpCode) -> Lent {
    match opcode {
        OpCode::Control(control) => Lent::Control(control),
        OpCode::Data(Data::Text) => Lent::Message(Kind::Text),
        OpCode::Data(_) => Lent::Message(Kind::Binary),
    }
}

fn event(lent: Lent, payload: &[u8]) -> Result<Event<'_>, Violation> {
    match lent {
        Lent::Message(Kind::Text) => std::str::from_utf8(payload).map(Event::Text).map_err(|_| Violation::Utf8),
        Lent::Message(Kind::Binary) => Ok(Event::Binary(payload)),
        Lent::Control(Control::Ping) => Ok(Event::Ping(payload)),
        Lent::Control(Control::Pong) => Ok(Event::Pong),
        Lent::Control(Control::Close) => close::parse(payload).map(Event::Close),
        Lent::Control(Control::Reserved(_)) => Err(Violation::Opcode),
    }
}

/// Up to `n` bytes of `input` from `at` on, which moves past them.
fn take<'a>(input: &'a mut [u8], at: &mut usize, n: usize) -> &'a mut [u8] {
    let start = *at;
    *at += n.min(input.len() - start);
    &mut input[start..*at]
}
