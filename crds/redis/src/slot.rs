//! Hash slots: which one a key lives in, and ranges of them.

use std::{fmt, str::FromStr};

/// A hash slot of a Redis Cluster, below [`Slot::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// Number of hash slots in every Redis Cluster.
    pub const COUNT: u16 = 16_384;
    /// The first slot.
    pub const FIRST: Self = Self(0);
    /// The last slot.
    pub const LAST: Self = Self(Self::COUNT - 1);

    /// The slot of this number, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number < Self::COUNT).then_some(Self(number))
    }

    /// The slot that `key` lives in: the CRC16 of its hash tag, or of the whole key if it has no tag.
    pub fn of(key: impl AsRef<[u8]>) -> Self {
        Self(redis_protocol::redis_keyslot(key.as_ref()) % Self::COUNT)
    }

    /// Its number, below 16,384.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason why a text is no slot and no range of slots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no slot: write a number from 0 to 16383, or two in ascending order with a hyphen between them")]
pub struct SlotError(String);

impl FromStr for Slot {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| SlotError(text.to_owned()))
    }
}

/// Slots from `first` to `last`, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    first: Slot,
    last: Slot,
}

impl SlotRange {
    /// Every slot.
    pub const ALL: Self = Self { first: Slot::FIRST, last: Slot::LAST };

    /// The range, unless it ends before it begins.
    pub fn new(first: Slot, last: Slot) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first slot.
    pub fn first(self) -> Slot {
        self.first
    }

    /// The last slot.
    pub fn last(self) -> Slot {
        self.last
    }

    /// The slots in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Slot> {
        (self.first.0..=self.last.0).map(Slot)
    }
}

impl From<Slot> for SlotRange {
    fn from(slot: Slot) -> Self {
        Self { first: slot, last: slot }
    }
}

/// As `CLUSTER NODES` writes it: `5`, or `5-10`.
impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl FromStr for SlotRange {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(first.parse()?, last.parse()?).ok_or_else(|| SlotError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_where_redis_says_it_lives() {
        // From the Redis Cluster specification and `CLUSTER KEYSLOT`.
        for (key, slot) in [("123456789", 0x31C3), ("foo", 12_182), ("{user1000}.following", 3443)] {
            assert_eq!(Slot::of(key).number(), slot, "{key}");
        }
        assert_eq!(Slot::of("{user1000}.following"), Slot::of("user1000"));
        assert_eq!(Slot::of("a{b}c{d}"), Slot::of("b"), "the first tag counts");
        assert_ne!(Slot::of("{}a"), Slot::of("{}b"), "an empty tag is none");
    }

    #[test]
    fn ranges_are_read_as_they_are_written_and_nothing_else_is() {
        for text in ["0", "0-16383", "5461-10922"] {
            assert_eq!(text.parse::<SlotRange>().unwrap().to_string(), text);
        }
        for text in ["", "-", "0-16384", "9-3", "65536", "1-2-3", "x"] {
            assert!(text.parse::<SlotRange>().is_err(), "{text}");
        }
    }
}
