//! Rooms that wait for something, each at most once, in the order in which they came.

use std::collections::{HashSet, VecDeque};

use crate::rooms::RoomName;

/// The rooms that wait.
#[derive(Debug, Default)]
pub(crate) struct RoomQueue {
    order: VecDeque<RoomName>,
    waiting: HashSet<RoomName>,
}

impl RoomQueue {
    /// Adds a room, unless it waits already.
    pub(crate) fn push(&mut self, room: &RoomName) {
        if !self.waiting.contains(room) {
            self.waiting.insert(room.clone());
            self.order.push_back(room.clone());
        }
    }

    /// Takes the room that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<RoomName> {
        let room = self.order.pop_front()?;
        self.waiting.remove(&room);
        Some(room)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_waits_once_and_may_wait_again_once_it_was_taken() {
        let (mut queue, [a, b]) = (RoomQueue::default(), ["a", "b"].map(|name| RoomName::new(name).unwrap()));
        [&a, &b, &a].into_iter().for_each(|room| queue.push(room));
        assert_eq!((queue.len(), queue.pop()), (2, Some(a.clone())));
        queue.push(&a);
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(b), Some(a), None]);
    }
}
