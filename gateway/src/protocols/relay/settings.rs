//! What the ChatRoom decides about this protocol, and the name of its encoding.

use std::{fmt, sync::Arc};

use crate::{
    fanout::{encoding::EncodingId, poster::Poster},
    protocols::Clock,
    rooms::{Access, Denied, ProtocolId, RoomName, Visitor, Want, rates::Rate},
};

/// How entries look to relay readers.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::Relay, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone)]
pub struct RelaySettings {
    /// Signs and checks tokens.
    pub key: Arc<[u8]>,
    /// Whether `POST /tk` gives a token to anyone.
    pub issue_tokens: bool,
    /// Who may use which room.
    pub access: Arc<Access>,
    /// Longest message that `POST /msg` takes, in bytes.
    pub message_bytes: usize,
    /// Where `POST /msg` posts.
    pub poster: Poster,
    /// How often one person may post over HTTP.
    pub rate: Rate,
    /// How often one person may open a new room over HTTP.
    pub new_rooms: Rate,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for RelaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaySettings").field("access", &self.access).finish_non_exhaustive()
    }
}

impl RelaySettings {
    /// Whether the holder of a token may have what they want with the room. Where everybody gets a token, it says nothing.
    pub(super) fn may(&self, want: Want, room: &RoomName) -> Result<(), Denied> {
        let visitor = if self.issue_tokens { Visitor::Anonymous } else { Visitor::Holder };
        self.access.may(ProtocolId::Relay, visitor, want, room)
    }
}
