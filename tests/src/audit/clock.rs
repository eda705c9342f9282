//! When a member's posts are due: evenly, from a point of its own, whatever became of the ones before.

use std::time::{Duration, Instant};

/// The clock of a whole run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Microseconds since the start.
    pub(super) fn now(self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// That many microseconds after the start.
    pub(super) fn at(self, micros: u64) -> tokio::time::Instant {
        (self.start + Duration::from_micros(micros)).into()
    }
}

/// One member's timetable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timetable {
    first: u64,
    every: u64,
    end: u64,
}

impl Timetable {
    /// The timetable of member `index` of `members`, which together post `rate` times per second, for `duration`.
    pub(super) fn of(index: u32, members: u32, rate: f64, duration: Duration) -> Self {
        let every = (f64::from(members.max(1)) * 1e6 / rate.max(1e-6)) as u64;
        let first = every * u64::from(index) / u64::from(members.max(1));
        Self { first, every: every.max(1), end: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX) }
    }

    /// When the last post is due at the latest, in microseconds from the start.
    pub(super) fn end(self) -> u64 {
        self.end
    }

    /// When post `n` (from 1) is due, in microseconds from the start; None: it is not part of the run.
    pub(super) fn due(self, n: u32) -> Option<u64> {
        let due = self.first + self.every * u64::from(n.checked_sub(1)?);
        (due < self.end).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_post_in_turn_and_stop_at_the_end() {
        let timetable = |index| Timetable::of(index, 4, 8.0, Duration::from_secs(1));
        let all = |index| (1..).map_while(|n| timetable(index).due(n)).collect::<Vec<_>>();
        assert_eq!(all(0), [0, 500_000]);
        assert_eq!(all(1), [125_000, 625_000]);
        assert_eq!(all(3), [375_000, 875_000]);
        assert_eq!(timetable(0).due(0), None);
    }
}
