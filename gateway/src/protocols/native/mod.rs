//! `native`: Parlor's own protocol, TEXT frames of one JSON object each, with positions, acknowledgements and gaps.
//!
//! Decides what its operations mean ([`request`], [`session`]) and how entries look to its readers ([`encoding`]).
//! Never does I/O; the reactors drive its sessions, the hub its encoding.

mod encoding;
mod identity;
mod reply;
mod request;
mod session;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use crate::{
    fanout::{
        encoding::{Encoding, EncodingId},
        session::{OverRate, Session},
    },
    protocols::{Handshake, Protocol, Refusal},
    rooms::{ProtocolId, RoomName},
};

/// How entries look to native readers.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::Native, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Signs identities; every gateway of the ChatRoom has the same.
    pub key: Arc<[u8]>,
    /// Whether people without a valid token may join.
    pub anonymous: bool,
    /// The rooms that may be used; None: any.
    pub rooms: Option<HashSet<RoomName>>,
}

/// The protocol as configured.
#[derive(Clone, Debug)]
pub struct Native {
    settings: Arc<Settings>,
}

impl Native {
    /// The protocol with `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Native {
    fn id(&self) -> ProtocolId {
        ProtocolId::Native
    }

    fn over_rate(&self) -> OverRate {
        OverRate::Answer
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::NativeSession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::NativeEncoding))]
    }
}
