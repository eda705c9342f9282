//! A message, or what changes one: on its way into a room, and in its log.
//!
//! Plain data; decides only what of it is counted in memory.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Author, Epoch, ProtocolId, RoomName,
    present::{Amendment, Present},
};

/// The content of a message: what every protocol can show, and what its own protocol shows unchanged.
#[derive(Clone, Debug)]
pub struct Content {
    /// One JSON object; `text` in it is what other protocols show. Native readers get it as `body`.
    pub body: Box<RawValue>,
    /// The sender's payload, byte for byte, for readers of the same protocol; absent where `body` is that.
    pub verbatim: Option<Bytes>,
}

impl Content {
    /// Bytes of both forms.
    pub fn size(&self) -> usize {
        self.body.get().len() + self.verbatim.as_ref().map_or(0, Bytes::len)
    }
}

/// Bytes that a post or an entry costs beside its content, about: the struct, names, keys and counters.
const OVERHEAD: usize = 256;

/// A message on its way into a room.
#[derive(Clone, Debug)]
pub struct Post {
    pub room: RoomName,
    pub from: Author,
    pub protocol: ProtocolId,
    /// Names the post for dedupe by (room, author id, key); the gateway makes one where the client gave none.
    pub key: Arc<str>,
    pub content: Content,
    /// The earlier message that this changes, if it does.
    pub amends: Option<Amendment>,
    /// Refuse rather than accept on one copy.
    pub durable: bool,
    /// Which connection of this gateway posted it, for encodings that do not echo; see [`Origin`].
    pub origin: Origin,
}

impl Post {
    /// Bytes in memory, about; what queues are bounded by.
    pub fn size(&self) -> usize {
        OVERHEAD + self.content.size()
    }
}

/// Names a connection in the whole ChatRoom: gateway incarnation and connection number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    pub gateway: u64,
    pub connection: u64,
}

/// One message in a room's log, or an amendment of an earlier one.
#[derive(Clone, Debug)]
pub struct Entry {
    /// 1, 2, 3, … without holes within the room.
    pub seq: u64,
    pub epoch: Epoch,
    /// Redis TIME in milliseconds since the Unix epoch; never decreases within a room.
    pub time: u64,
    pub from: Author,
    pub protocol: ProtocolId,
    pub key: Arc<str>,
    pub content: Content,
    pub origin: Origin,
    /// The earlier message that this changes, if it does.
    pub amends: Option<Amendment>,
    /// What it has become by amendments since.
    pub present: Option<Box<Present>>,
}

impl Entry {
    /// Bytes in memory, about; what windows are bounded by.
    pub fn size(&self) -> usize {
        OVERHEAD + self.content.size() + self.present.as_ref().map_or(0, |present| present.size())
    }
}
