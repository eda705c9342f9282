//! How many members rooms have on this gateway, on its way to the bus.
//!
//! Decides when counts are written: those that changed, together, at most every 250 ms. So what people see is exact
//! within a second.

use std::collections::HashSet;

use tokio::time::Instant;

use super::super::call::{BusAccess, BusCall, Failure, within};
use crate::{
    deadlines::hub::FRESH,
    rooms::{RoomName, Unavailable},
};

/// Rooms in one write.
const WRITE: usize = 512;

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    changed: HashSet<RoomName>,
    written: Option<Instant>,
    writing: bool,
}

/// Counts that are written.
#[derive(Debug)]
pub(crate) struct CountsCall(Vec<(RoomName, u32)>);

/// Counts that were written, or were not.
#[derive(Debug)]
pub(crate) struct CountsDone {
    counts: Vec<(RoomName, u32)>,
    result: Result<(), Unavailable>,
}

impl Counts {
    /// The room's count must be written.
    pub(crate) fn changed(&mut self, room: &RoomName) {
        if !self.changed.contains(room) {
            self.changed.insert(room.clone());
        }
    }

    /// True while the room's count may not be written.
    pub(crate) fn pending(&self, room: &RoomName) -> bool {
        self.writing || self.changed.contains(room)
    }

    /// When the next write may go out, `now` at the earliest, if there is one.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let idle = self.changed.is_empty() || self.writing;
        (!idle).then(|| self.written.map_or(now, |written| now.max(written + FRESH)))
    }

    /// The counts to write, unless it is too early. `count`: of a room now.
    pub(crate) fn next(&mut self, count: impl Fn(&RoomName) -> u32) -> Option<CountsCall> {
        let now = Instant::now();
        self.due(now).filter(|due| *due <= now)?;
        let rooms: Vec<_> = self.changed.iter().take(WRITE).cloned().collect();
        for room in &rooms {
            self.changed.remove(room);
        }
        (self.writing, self.written) = (true, Some(now));
        let counted = |room: RoomName| {
            let count = count(&room);
            (room, count)
        };
        Some(CountsCall(rooms.into_iter().map(counted).collect()))
    }

    /// Takes the fate of a write. Answers what the bus knows now; what it does not know is written again.
    pub(crate) fn done(&mut self, CountsDone { counts, result }: CountsDone) -> Vec<(RoomName, u32)> {
        self.writing = false;
        if result.is_err() {
            self.changed.extend(counts.into_iter().map(|(room, _)| room));
            return Vec::new();
        }
        counts
    }
}

impl BusCall for CountsCall {
    type Done = CountsDone;

    async fn run(self, BusAccess { bus, partition, .. }: &BusAccess) -> CountsDone {
        let result = within(bus.count(*partition, &self.0)).await;
        CountsDone { counts: self.0, result }
    }
}

impl Failure for CountsDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        Some(("failed to publish member counts; will retry", self.result.as_ref().err()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The clock is not paused here: it continues between two looks at it.
    #[test]
    fn the_first_count_is_written_at_once() {
        let mut counts = Counts::default();
        counts.changed(&RoomName::new("a").unwrap());
        assert!(counts.next(|_| 3).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_change_together_are_written_together_and_again_after_a_failure() {
        let (mut counts, [a, b]) = (Counts::default(), ["a", "b"].map(|name| RoomName::new(name).unwrap()));
        [&a, &b, &a].into_iter().for_each(|room| counts.changed(room));
        let CountsCall(mut written) = counts.next(|_| 3).unwrap();
        written.sort_unstable();
        assert_eq!(written, [(a.clone(), 3), (b, 3)]);
        assert!(counts.pending(&a) && counts.due(Instant::now()).is_none() && counts.next(|_| 3).is_none());
        let result = Err(Unavailable("as the test wants".into()));
        assert_eq!(counts.done(CountsDone { counts: written, result }), []);
        assert!(counts.next(|_| 4).is_none(), "too early");
        tokio::time::sleep(FRESH).await;
        let CountsCall(written) = counts.next(|_| 4).unwrap();
        assert_eq!(counts.done(CountsDone { counts: written.clone(), result: Ok(()) }), written);
        assert!(!counts.pending(&a));
    }
}
