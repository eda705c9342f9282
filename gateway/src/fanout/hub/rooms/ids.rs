//! Numbers for rooms: dense, and unique in the process.

use std::collections::VecDeque;

use crate::{
    fanout::messages::RoomId,
    rooms::{PARTITIONS, Partition},
};

/// The numbers of one partition. The one that was given back longest ago is used again first.
#[derive(Debug)]
pub(crate) struct RoomIds {
    next: u32,
    free: VecDeque<RoomId>,
}

impl RoomIds {
    pub(crate) fn new(partition: Partition) -> Self {
        Self { next: partition.index() as u32, free: VecDeque::new() }
    }

    pub(crate) fn take(&mut self) -> RoomId {
        self.free.pop_front().unwrap_or_else(|| {
            let id = RoomId(self.next);
            self.next += u32::from(PARTITIONS);
            id
        })
    }

    pub(crate) fn give_back(&mut self, id: RoomId) {
        self.free.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_share_no_number_and_one_given_back_is_used_again() {
        let [mut one, mut two] = [0, 1].map(|n| RoomIds::new(Partition::nth(n)));
        let taken = [one.take(), two.take(), one.take(), two.take()];
        assert!(taken.iter().enumerate().all(|(at, id)| !taken[..at].contains(id)));
        one.give_back(taken[2]);
        assert_eq!(one.take(), taken[2]);
    }
}
