//! What the ChatRoom decides about this protocol, and the name of its encoding.

use std::{collections::HashSet, fmt, sync::Arc};

use crate::{
    fanout::{encoding::EncodingId, poster::Poster},
    protocols::Clock,
    rooms::{ProtocolId, RoomName, rates::Rate},
};

/// How entries look to relay readers.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::Relay, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone)]
pub struct Settings {
    /// Signs and checks tokens.
    pub key: Arc<[u8]>,
    /// Whether `POST /tk` gives a token to anyone.
    pub issue_tokens: bool,
    /// Whether a message reaches only the room that its sender signed in to.
    pub require_membership: bool,
    /// The rooms that may be used; None: any.
    pub rooms: Option<HashSet<RoomName>>,
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}

impl Settings {
    pub(super) fn serves(&self, room: &RoomName) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room))
    }
}
