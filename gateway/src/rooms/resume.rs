//! What a reader that comes back with a position receives.
//!
//! A position (epoch, seq) names an entry of one branch. It resumes when the entry at that seq is of that epoch or
//! an older one, because branches part only at an epoch's start. Pure; called by the hub at a join.

use super::{
    Epoch, Position,
    log::{Log, Span},
};

/// The answer to a position. The entries owed are [`Log::after`] `after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Everything after the position is held.
    Complete { after: u64 },
    /// `gap` is no longer held; what follows it is.
    Partial { gap: Span, after: u64 },
    /// The position is on no branch that is known: nothing can be said to follow it.
    UnknownBranch,
    /// The position is further than the log, or of a later epoch: the log may be late.
    Ahead,
}

impl Log {
    /// Judges a position by what the log holds.
    pub fn resume(&self, position: Position) -> Resume {
        let head = self.head();
        if position.seq > head.seq && position.epoch < head.epoch {
            return Resume::UnknownBranch;
        }
        if position.seq > head.seq || (position.epoch > head.epoch && position.seq > 0) {
            return Resume::Ahead;
        }
        if !self.on_branch(position) {
            return Resume::UnknownBranch;
        }
        let first = self.first();
        if position.seq + 1 >= first {
            return Resume::Complete { after: position.seq };
        }
        Resume::Partial { gap: Span { first: position.seq + 1, last: first - 1 }, after: first - 1 }
    }

    /// Whether reading older entries of the history could better the answer of [`Log::resume`].
    pub fn wants_older(&self, position: Position) -> bool {
        let below = position.seq < self.first();
        let settled = position.seq + 1 == self.first() && self.on_branch(position);
        below && !settled && !self.complete() && !self.full()
    }

    fn on_branch(&self, position: Position) -> bool {
        position.seq == 0 || self.newest_possible(position.seq) <= position.epoch
    }

    /// The epoch of the entry at `seq`; an upper bound of it when the entry is not held.
    fn newest_possible(&self, seq: u64) -> Epoch {
        let held = self.get(seq.max(self.first()));
        held.map_or(self.head().epoch, |entry| entry.epoch)
    }
}
