//! Partitions: which stream carries a room.
//!
//! Decides the partition of a room, for every gateway alike. Pure; called by the bus, the directory and the hub.

use super::{Cause, RoomName};

/// Number of partitions. It is written in the stored data: a gateway refuses to start on data with another number.
pub const PARTITIONS: u16 = 64;

/// One of [`PARTITIONS`] streams that carry the entries of many rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u16);

impl Partition {
    /// The partition that carries `room`.
    pub fn of(room: &RoomName) -> Self {
        // FNV-1a: stable across releases and machines, because every gateway must agree on it.
        let hash = room
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        Self(((hash ^ (hash >> 32)) % u64::from(PARTITIONS)) as u16)
    }

    /// One of all, evenly by `n`.
    pub fn nth(n: u32) -> Self {
        Self((n % u32::from(PARTITIONS)) as u16)
    }

    /// The partition with that index, if there is one.
    pub fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().filter(|index| *index < PARTITIONS).map(Self)
    }

    /// All partitions.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// 0 to [`PARTITIONS`] - 1.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Redis cannot serve now; the caller may try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is unavailable: {0}")]
pub struct Unavailable(#[source] pub Cause);
