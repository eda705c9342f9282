//! What the ChatRoom decides about this protocol, and the name of its encoding.

use std::sync::Arc;

use super::{process_stats::ProcessStats, token::TokenKey};
use crate::{
    fanout::encoding::EncodingId,
    rooms::{Access, ProtocolId, RoomName},
};

/// How entries look to OnlyOne readers.
pub const ENCODING: EncodingId = EncodingId::of(ProtocolId::OnlyOne, 0);

/// What the ChatRoom decides about this protocol.
#[derive(Clone, Debug)]
pub struct OnlyOneSettings {
    /// The rooms that exist; `getRoomList` tells them in this order.
    pub rooms: Vec<RoomName>,
    /// Who may use which room.
    pub access: Arc<Access>,
    /// None: any client may connect.
    pub token_key: Option<TokenKey>,
    /// Empty: any page may connect.
    pub allowed_origins: Vec<String>,
    /// Start of the avatars' URLs of people of other protocols, without a slash at the end; empty makes them relative.
    pub public_url: String,
    pub process_stats: Arc<ProcessStats>,
}
