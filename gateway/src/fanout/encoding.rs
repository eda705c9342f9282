//! How one protocol writes room entries on the wire: done once per room and encoding, never per connection.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    fanout::{codec, presence::Presence},
    rooms::{Entry, Epoch, Origin, ProtocolId, RoomName, Signal, present::Person},
};

/// Index of an encoding in the registry of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncodingId(pub u8);

impl EncodingId {
    const DEFLATED: u8 = 0x80;
    const PER_PROTOCOL: u8 = 8;

    /// The `nth` encoding of `protocol`; each has eight.
    pub const fn of(protocol: ProtocolId, nth: u8) -> Self {
        assert!(nth < Self::PER_PROTOCOL, "a protocol has eight encodings");
        Self(protocol.number() * Self::PER_PROTOCOL + nth)
    }

    /// The same encoding with its messages compressed, for connections that have agreed to it.
    pub fn deflated(self) -> Self {
        Self(self.0 | Self::DEFLATED)
    }

    /// Whether messages are compressed.
    pub fn is_deflated(self) -> bool {
        self.0 & Self::DEFLATED != 0
    }

    /// The encoding without compression, as it is registered.
    pub fn plain(self) -> Self {
        Self(self.0 & !Self::DEFLATED)
    }
}

const _: () = {
    let last = ProtocolId::MAX_NUMBER as u16 * EncodingId::PER_PROTOCOL as u16 + EncodingId::PER_PROTOCOL as u16 - 1;
    assert!(last < EncodingId::DEFLATED as u16, "the highest bit of an encoding's number says that it is deflated");
};

/// Writes entries and signals as whole WebSocket frames. Pure; called on the hub's threads.
pub trait Encoding: Send + Sync {
    /// Appends frames that carry `entries` (ascending, at least one) to `out`. `epoch` is set when readers
    /// must learn it. Calls [`ChunkWriter::own`] around what the author's connection must not see.
    fn entries(&self, room: &RoomName, epoch: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter);

    /// The same for one person who comes back and is among those who reacted to one of the messages.
    fn entries_for(&self, _viewer: Person, room: &RoomName, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        self.entries(room, None, entries, out);
    }

    /// Whether amendments, and messages that were deleted, are shown. Otherwise [`Encoding::entries`] gets neither.
    fn shows_amendments(&self) -> bool {
        false
    }

    /// Appends frames for a signal; nothing when the protocol does not show it.
    fn signal(&self, room: &RoomName, signal: &Signal, out: &mut ChunkWriter);

    /// Appends frames that tell who is in a room. Writes nothing where that is for each session to decide, which
    /// comes as [`crate::fanout::session::Input::Presence`] then.
    fn presence(&self, _room: &RoomName, _presence: &Presence, _out: &mut ChunkWriter) {}
}

/// Collects the frames of one chunk.
#[derive(Debug, Default)]
pub struct ChunkWriter {
    deflated: bool,
    bytes: Vec<u8>,
    hidden: Vec<Hidden>,
    notice: bool,
}

/// A run of bytes that one connection does not get: what it wrote itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    pub start: u32,
    pub end: u32,
    pub from: Origin,
}

impl ChunkWriter {
    /// For an encoding, whose frames are compressed if it is a deflated one.
    pub fn new(encoding: EncodingId) -> Self {
        Self { deflated: encoding.is_deflated(), ..Self::default() }
    }

    /// One unmasked TEXT frame; `payload` is UTF-8.
    pub fn text(&mut self, payload: &[u8]) {
        self.frame(codec::TEXT, payload);
    }

    /// One unmasked BINARY frame.
    pub fn binary(&mut self, payload: &[u8]) {
        self.frame(codec::BINARY, payload);
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        match self.deflated.then(|| codec::deflate(payload)).flatten() {
            Some(small) => codec::frame(&mut self.bytes, first | codec::COMPRESSED, &small),
            None => codec::frame(&mut self.bytes, first, payload),
        }
    }

    /// Frames written inside `write` are not sent to the connection `from`.
    pub fn own(&mut self, from: Origin, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len() as u32;
        write(self);
        self.hidden.push(Hidden { start, end: self.bytes.len() as u32, from });
    }

    /// Tells the sessions of the room's readers that there is news for them, not for their peers
    /// ([`crate::fanout::session::Input::Notice`]).
    pub fn notice(&mut self) {
        self.notice = true;
    }

    /// True while nothing was written and no session needs to know.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.notice
    }

    /// The finished chunk. `seqs` are the first and last entry in it; None for signals.
    pub fn seal(self, seqs: Option<(u64, u64)>) -> Chunk {
        Chunk { bytes: self.bytes.into(), hidden: self.hidden.into(), seqs, notice: self.notice, appended: None }
    }
}

/// Whole frames, shared by every connection that gets them.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub bytes: Bytes,
    /// Ascending, not overlapping; empty for most encodings.
    pub hidden: Arc<[Hidden]>,
    /// First and last entry in it; None: signals, which a slow reader may miss without a gap.
    pub seqs: Option<(u64, u64)>,
    /// The sessions of readers learn of it.
    pub notice: bool,
    /// When its newest entry was appended, in milliseconds since the Unix epoch; None for what is not a delivery of news.
    pub appended: Option<u64>,
}

impl Chunk {
    /// The same chunk, as news: its newest entry was appended at `time`, in milliseconds since the Unix epoch.
    pub fn appended(self, time: u64) -> Self {
        Self { appended: Some(time), ..self }
    }
}
