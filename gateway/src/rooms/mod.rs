//! The domain as plain data: entries, positions, the room log and its window, limits.
//!
//! Decides what a room's log holds and what a resume receives. Never touches a socket, Redis or a clock.

mod access;
pub mod amendments;
mod aside;
mod cause;
pub mod emoji;
mod entry;
pub mod follow;
mod identity;
pub mod log;
pub mod membership;
mod partition;
pub mod present;
mod protocol;
pub mod rates;
pub mod resume;
pub mod text;
pub mod throttle;

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use self::text::NameFault;
pub use self::{
    access::{Access, Denied, Door, Visitor, Want},
    cause::Cause,
    entry::{Content, Entry, Origin, Post},
    identity::{Identity, Role, RoomsAllowed},
    partition::{PARTITIONS, Partition, Unavailable},
    present::{Amendment, Change},
    protocol::{PerProtocol, ProtocolId},
};

/// Name of a room: 1 to 128 bytes of UTF-8 in normalization form C, by the rule of [`text::check_name`]. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

/// Why a string is no room name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    #[error("a room name has 1 to {max} bytes, not {0}", max = RoomName::MAX_BYTES)]
    Length(usize),
    #[error("a room name has no control characters")]
    Control,
    #[error("a room name is in Unicode normalization form C")]
    Form,
    #[error("a room name has no invisible characters, and at least one that can be seen")]
    Invisible,
}

impl RoomName {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Validates `name`.
    pub fn new(name: &str) -> Result<Self, RoomNameError> {
        if name.is_empty() || name.len() > Self::MAX_BYTES {
            return Err(RoomNameError::Length(name.len()));
        }
        text::check_name(name).map_err(|fault| match fault {
            NameFault::Control => RoomNameError::Control,
            NameFault::Invisible | NameFault::Blank => RoomNameError::Invisible,
        })?;
        // Not normalized here: answers would name another room than the client asked for.
        if text::is_normalized(name) { Ok(Self(name.into())) } else { Err(RoomNameError::Form) }
    }

    /// A room that no client can name: the inbox of someone, in a family of its own.
    pub fn private(family: &str, id: u64) -> Self {
        // Names from clients have no control characters.
        Self(format!("\u{1}{family}\u{1}{id}").into())
    }

    /// Validates a name as a gateway wrote it to the bus: what a client named, or a private room.
    pub fn stored(name: &str) -> Result<Self, RoomNameError> {
        let mut parts = name.split('\u{1}');
        match (parts.next(), parts.next(), parts.next().map(str::parse), parts.next()) {
            (Some(""), Some(family), Some(Ok(id)), None) => Ok(Self::private(family, id)),
            // Checked when it was written, by the rules of that time.
            _ if name.is_empty() || name.len() > Self::MAX_BYTES => Err(RoomNameError::Length(name.len())),
            _ if name.contains(char::is_control) => Err(RoomNameError::Control),
            _ => Ok(Self(name.into())),
        }
    }

    /// Whether no client can name it.
    pub fn is_private(&self) -> bool {
        self.0.starts_with('\u{1}')
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the stretch of a partition's history in which an entry was written. Grows; clients see it in base 36.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// A reader's place in a room: the last entry it has, and the epoch that it received.
/// `seq` 0 means "before the first entry".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub epoch: Epoch,
    pub seq: u64,
}

/// Who wrote an entry, as every protocol can show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Server-made id, unique in the ChatRoom.
    pub id: Arc<str>,
    /// Display name, 1 to 64 characters.
    pub name: Arc<str>,
    /// What only the author's own protocol shows (onlyone: avatar and register_time), as one JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Arc<str>>,
}

/// What travels beside the log: never stored, may be conflated or dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Signal {
    Typing {
        from: Author,
    },
    Joined {
        who: Author,
        protocol: ProtocolId,
        /// False when the connection was a member already and asked again.
        first: bool,
    },
    Left {
        who: Author,
        protocol: ProtocolId,
        /// True when the person asked to leave, false when the connection ended.
        asked: bool,
    },
    /// A gateway's count of members in the room changed; sums are asked of the bus.
    Count,
    /// A gateway asks who is in the room. `ask` names the question. Never shown.
    WhoIsHere {
        ask: u64,
    },
    /// A gateway with members in the room answers. Never shown.
    Here {
        ask: u64,
        /// Connections.
        members: u32,
        /// Each once, however many connections they have.
        people: Vec<Author>,
        /// There are more people than are named.
        more: bool,
    },
}

#[cfg(test)]
pub(crate) mod model;
