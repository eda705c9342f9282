//! What the ChatRoom decides about this protocol, and the name of its encoding.

use std::sync::Arc;

use crate::{
    fanout::encoding::EncodingId,
    rooms::{Access, ProtocolId},
    tokens::Verifier,
};

/// How entries look to native readers.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::Native, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone, Debug)]
pub struct NativeSettings {
    /// Signs identities; every gateway of the ChatRoom has the same.
    pub key: Arc<[u8]>,
    /// Whether people without a valid token may join.
    pub anonymous: bool,
    /// Checks tokens from outside; None: none are taken.
    pub verifier: Option<Arc<Verifier>>,
    /// Who may use which room.
    pub access: Arc<Access>,
    /// Largest whole message, in bytes: clients learn it, and the reactors enforce it.
    pub message_bytes: u32,
}
