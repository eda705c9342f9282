//! The most connections in the last stretch of time, in bounded memory.
//!
//! Remembers one maximum for each sixtieth of the stretch, so that 24 h cost no more than a minute. The clock is passed in.

use std::{collections::VecDeque, time::Duration};

use k8s_openapi::jiff::Timestamp;

/// Parts of the stretch that are remembered apart.
const PARTS: i64 = 60;
/// Longest time without a number that does not count as a break: several polls may fail in a row.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// Maxima of the last stretch; empty after a start, which only delays the next scale-down.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Number of the part since the epoch, and its maximum; ascending, at most 121 (a stretch of 119 s in parts of 1 s).
    parts: VecDeque<(i64, u64)>,
    watch: Option<Watch>,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    since: Timestamp,
    last: Timestamp,
    stretch: Duration,
}

impl Window {
    /// Notes `connections`. After a gap of a minute, or with another `stretch`, watching starts again.
    pub fn note(&mut self, now: Timestamp, stretch: Duration, connections: u64) {
        let unbroken = |watch: &Watch| watch.stretch == stretch && since(watch.last, now) <= LONGEST_GAP;
        let since = self.watch.filter(unbroken).map_or(now, |watch| watch.since);
        if since == now {
            self.parts.clear();
        }
        self.watch = Some(Watch { since, last: now, stretch });
        let part = now.as_second() / part_seconds(stretch);
        match self.parts.back_mut() {
            Some((last, most)) if *last == part => *most = connections.max(*most),
            _ => self.parts.push_back((part, connections)),
        }
        while self.parts.front().is_some_and(|(oldest, _)| *oldest < part - reach(stretch)) {
            self.parts.pop_front();
        }
    }

    /// The most connections of the last stretch, once it was watched in full.
    pub fn peak(&self, now: Timestamp) -> Option<u64> {
        let watch = self.watch.filter(|watch| since(watch.since, now) >= watch.stretch)?;
        let first = watch.last.as_second() / part_seconds(watch.stretch) - reach(watch.stretch);
        self.parts.iter().filter(|(part, _)| *part >= first).map(|(_, most)| *most).max()
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).unsigned_abs()
}

/// Parts that the stretch reaches back: fewer than sixty when it is shorter than a minute.
fn reach(stretch: Duration) -> i64 {
    i64::try_from(stretch.as_secs()).unwrap_or(i64::MAX).div_euclid(part_seconds(stretch)) + 1
}

fn part_seconds(stretch: Duration) -> i64 {
    i64::try_from(stretch.as_secs()).unwrap_or(i64::MAX).div_euclid(PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_peak_counts_until_it_is_older_than_the_stretch() {
        let (mut window, stretch) = (Window::default(), Duration::from_secs(300));
        window.note(at(0), stretch, 500);
        for second in (5..=300).step_by(5) {
            window.note(at(second), stretch, 100);
        }
        assert_eq!(window.peak(at(295)), None, "not watched for long enough");
        assert_eq!(window.peak(at(300)), Some(500));
        window.note(at(310), stretch, 90);
        assert_eq!(window.peak(at(310)), Some(100));
    }

    #[test]
    fn a_stretch_shorter_than_a_minute_forgets_as_soon() {
        let (mut window, stretch) = (Window::default(), Duration::from_secs(10));
        window.note(at(0), stretch, 500);
        window.note(at(5), stretch, 100);
        assert_eq!(window.peak(at(10)), Some(500));
        window.note(at(15), stretch, 100);
        assert_eq!(window.peak(at(15)), Some(100));
    }

    #[test]
    fn a_long_gap_or_another_stretch_starts_a_new_window() {
        let (mut window, stretch) = (Window::default(), Duration::from_secs(10));
        window.note(at(0), stretch, 5);
        window.note(at(10), stretch, 5);
        assert_eq!(window.peak(at(10)), Some(5));
        window.note(at(70), stretch, 5);
        assert!(window.peak(at(70)).is_some(), "a minute without a number is no break");
        window.note(at(131), stretch, 5);
        assert_eq!(window.peak(at(131)), None);
        window.note(at(141), stretch, 5);
        window.note(at(142), Duration::from_secs(20), 5);
        assert_eq!(window.peak(at(142)), None);
    }

    #[test]
    fn a_day_is_remembered_in_sixty_parts() {
        let (mut window, stretch) = (Window::default(), Duration::from_secs(86_400));
        (0..40_000).for_each(|tick| window.note(at(tick * 5), stretch, 1));
        assert!(window.parts.len() <= 62);
    }
}
