//! When rooms must be looked at again although nothing has happened.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use tokio::time::Instant;

use crate::rooms::RoomName;

/// Timers by room, at most one for each. The one that was set first stays.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Reverse<(Instant, RoomName)>>,
    set: HashSet<RoomName>,
}

impl Schedule {
    /// Sets a timer, unless the room has one.
    pub(crate) fn set(&mut self, at: Instant, room: &RoomName) {
        if !self.set.contains(room) {
            self.set.insert(room.clone());
            self.heap.push(Reverse((at, room.clone())));
        }
    }

    /// When the next timer runs out.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a room whose timer has run out.
    pub(crate) fn take(&mut self, now: Instant) -> Option<RoomName> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, room)) = self.heap.pop()?;
        self.set.remove(&room);
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_room_has_one_timer_and_timers_run_out_in_their_order() {
        let (start, [a, b]) = (Instant::now(), ["a", "b"].map(|name| RoomName::new(name).unwrap()));
        let later = |millis| start + Duration::from_millis(millis);
        let mut schedule = Schedule::default();
        schedule.set(later(20), &a);
        schedule.set(later(10), &a);
        schedule.set(later(15), &b);
        assert_eq!((schedule.next(), schedule.take(later(14))), (Some(later(15)), None));
        assert_eq!(
            [schedule.take(later(30)), schedule.take(later(30)), schedule.take(later(30))],
            [Some(b), Some(a.clone()), None]
        );
        schedule.set(later(40), &a);
        assert_eq!(schedule.next(), Some(later(40)));
    }
}
