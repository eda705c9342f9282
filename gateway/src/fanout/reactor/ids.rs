//! What a reactor calls its connections and its rooms: places in slabs, which are used again.

/// A connection's place. [`crate::fanout::messages::ConnectionId`] names it to others, together with its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A room in one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FeedId(pub(super) u32);

impl FeedId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A reader's place among the readers of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderIndex(pub(super) u32);

impl ReaderIndex {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
