//! Which row of a table was not heard of for longest: the one that goes when there is no room.
//!
//! Decides the order alone; whether a row may go is the table's. What somebody only made counts as older than what was heard of,
//! so that a flood of rows pushes out itself.

use std::collections::{BTreeSet, HashMap};

use super::ONLY_MADE;

/// Rows by when they were last heard of, in milliseconds.
#[derive(Debug, Default)]
pub(in crate::directory) struct Silent {
    rows: HashMap<u64, i64>,
    order: BTreeSet<(i64, u64)>,
}

impl Silent {
    /// A row that somebody made, of which nothing else is known.
    pub(in crate::directory) fn made(&mut self, id: u64, now: u64) {
        self.note(id, now.cast_signed() - ONLY_MADE.cast_signed());
    }

    /// Somebody used the row.
    pub(in crate::directory) fn heard(&mut self, id: u64, now: u64) {
        self.note(id, now.cast_signed());
    }

    fn note(&mut self, id: u64, at: i64) {
        if let Some(before) = self.rows.insert(id, at) {
            self.order.remove(&(before, id));
        }
        self.order.insert((at, id));
    }

    /// Takes a row out.
    pub(in crate::directory) fn forget(&mut self, id: u64) {
        if let Some(at) = self.rows.remove(&id) {
            self.order.remove(&(at, id));
        }
    }

    /// The rows, those that were not heard of for longest first.
    pub(in crate::directory) fn oldest_first(&self) -> impl Iterator<Item = u64> {
        self.order.iter().map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_made_goes_before_what_was_heard_of() {
        let mut silent = Silent::default();
        silent.heard(1, 5_000);
        silent.made(2, 9_000);
        silent.heard(3, 1_000);
        silent.made(4, 8_000);
        assert_eq!(silent.oldest_first().collect::<Vec<_>>(), [4, 2, 3, 1]);
        silent.heard(4, 9_000);
        silent.forget(2);
        assert_eq!(silent.oldest_first().collect::<Vec<_>>(), [3, 1, 4]);
    }
}
