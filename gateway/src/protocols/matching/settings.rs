//! What the ChatRoom decides about this protocol, and the name of its encoding.

use std::{sync::Arc, time::Duration};

use crate::{fanout::encoding::EncodingId, rooms::ProtocolId};

/// How entries of an inbox look.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::Match, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone, Debug)]
pub struct MatchSettings {
    /// Makes the tokens of accounts; every gateway of the ChatRoom has the same.
    pub key: Arc<[u8]>,
    /// How long an account whose connection is gone keeps its sessions.
    pub grace: Duration,
}
