//! `relay`: the protocol of the message relay: BINARY Protocol Buffers (`relay.proto`), and HTTP for servers that post.
//!
//! Decides what its frames mean ([`session`]), how entries are merged ([`encoding`]) and who signs in ([`token`]).
//! [`endpoints`] alone does I/O: it posts to the bus.

mod encoding;
mod endpoints;
mod session;
#[cfg(test)]
mod tests;
mod token;
mod wire;

use std::{collections::HashSet, fmt, sync::Arc};

use crate::{
    fanout::{
        encoding::{Encoding, EncodingId},
        poster::Poster,
        session::{OverRate, Session},
    },
    protocols::{Clock, Handshake, Protocol, Refusal},
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
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}

impl Settings {
    fn serves(&self, room: &RoomName) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room))
    }
}

/// The protocol as configured.
#[derive(Clone, Debug)]
pub struct Relay {
    settings: Arc<Settings>,
}

impl Relay {
    /// The protocol with `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Relay {
    fn id(&self) -> ProtocolId {
        ProtocolId::Relay
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::RelaySession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::RelayEncoding))]
    }

    fn routes(&self) -> axum::Router {
        endpoints::routes(self.settings.clone())
    }
}
