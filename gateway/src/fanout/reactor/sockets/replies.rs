//! The total of the replies that the clients of a reactor leave unread, and its bound.
//!
//! Decides which connections have to go when the total is above the bound. Never closes one: the reactor does.

use crate::fanout::reactor::ids::Slot;

/// Bytes of replies in all outboxes, and how many there may be.
#[derive(Debug)]
pub(super) struct Replies {
    total: usize,
    most: usize,
}

impl Replies {
    pub(super) fn new(most: usize) -> Self {
        Self { total: 0, most }
    }

    /// An outbox that held `before` bytes of replies holds `after`.
    pub(super) fn changed(&mut self, before: usize, after: usize) {
        self.total = self.total + after - before;
    }

    /// Whether all connections together leave more unread than a reactor keeps.
    pub(super) fn are_too_many(&self) -> bool {
        self.total > self.most
    }

    /// Those of `held` that hold most, until the rest is well within the bound.
    pub(super) fn heaviest(&self, held: impl Iterator<Item = (usize, Slot)>) -> Vec<Slot> {
        let mut held: Vec<(usize, Slot)> = held.filter(|(bytes, _)| *bytes > 0).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        let few = self.most - self.most / 4;
        let mut left = self.total;
        let heavy = held.into_iter().take_while(|(bytes, _)| {
            let takes = left > few;
            left = left.saturating_sub(*bytes);
            takes
        });
        heavy.map(|(_, slot)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The replies of connections that hold so many bytes each, with a bound of 100.
    fn holding(held: &[usize]) -> (Replies, Vec<(usize, Slot)>) {
        let mut replies = Replies::new(100);
        held.iter().for_each(|bytes| replies.changed(0, *bytes));
        (replies, held.iter().copied().zip((0..).map(Slot)).collect())
    }

    #[test]
    fn the_connections_that_hold_most_go_until_the_rest_is_three_quarters_of_the_bound() {
        let (replies, held) = holding(&[10, 40, 0, 30, 25]);
        assert!(replies.are_too_many());
        assert_eq!(replies.heaviest(held.into_iter()), [Slot(1)], "65 bytes are left");
        let (replies, held) = holding(&[10, 40, 0, 60, 25]);
        assert_eq!(replies.heaviest(held.into_iter()), [Slot(3)], "75 bytes are left");
        let (replies, held) = holding(&[11, 40, 0, 60, 25]);
        assert_eq!(replies.heaviest(held.into_iter()), [Slot(3), Slot(1)], "76 bytes were left after the first");
    }

    #[test]
    fn a_connection_that_holds_nothing_stays() {
        let (replies, _) = holding(&[200]);
        assert!(replies.heaviest([(0, Slot(1)), (5, Slot(2))].into_iter()).eq(&[Slot(2)]));
    }

    #[test]
    fn replies_that_were_read_no_longer_count() {
        let (mut replies, _) = holding(&[101]);
        assert!(replies.are_too_many());
        replies.changed(101, 100);
        assert!(!replies.are_too_many());
    }
}
