//! What the ChatRoom decides about this protocol, and the names of its encodings.

use std::{fmt, sync::Arc};

use crate::{
    directory::Directory,
    fanout::{encoding::EncodingId, poster::Poster, recent::Recent},
    rooms::{Access, ProtocolId, RoomName},
};

/// How entries look to readers of the broadcast dialect.
pub const BROADCAST: EncodingId = EncodingId::of(ProtocolId::MultiPerson, 0);
/// How entries look to readers of the blocks dialect.
pub const BLOCK: EncodingId = EncodingId::of(ProtocolId::MultiPerson, 1);

/// What the ChatRoom decides about this protocol.
#[derive(Clone)]
pub struct MultiPersonSettings {
    /// The room of the broadcast dialect.
    pub room: RoomName,
    /// Who may use which room: a block is not for a room that another protocol guards.
    pub access: Arc<Access>,
    /// Whether people of the blocks dialect are welcomed whenever they come.
    pub welcome: bool,
    /// What the endpoints ask about people.
    pub directory: Arc<dyn Directory>,
    /// Where the endpoints post.
    pub poster: Poster,
    /// Where the endpoints read what was said.
    pub recent: Recent,
}

impl fmt::Debug for MultiPersonSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiPersonSettings").field("room", &self.room).finish_non_exhaustive()
    }
}
