//! When a reactor may flush: at once while its thread has time to spare, less often as flushing takes more of it.
//!
//! A budget: time earns a share of itself for flushing, a flush spends what it took. What is overdrawn is waited for,
//! and what arrives meanwhile shares a write. Pure: the caller passes the time.

use std::time::{Duration, Instant};

/// The part of a thread's time that flushing may take without a pause: a third. Below it a message waits for nothing;
/// above it many a write saves more than it costs.
const SHARE: u32 = 3;

/// Flush time saved up in quiet spells: some flushes of a thousand readers, so that a burst is shown at once.
const SAVED: Duration = Duration::from_millis(10);

/// The longest pause. A message waits for a pause and two flushes at most; longer ones save little more, since a write
/// of fifty messages costs little more a message than one of a hundred.
const LONGEST: Duration = Duration::from_millis(8);

/// Shorter pauses are not kept: epoll waits whole milliseconds.
const SHORTEST: Duration = Duration::from_micros(250);

/// A reactor's budget for flushing.
pub(super) struct Pace {
    saved: Duration,
    pause: Duration,
    /// When the pause is over and time earns again.
    next: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { saved: SAVED, pause: Duration::ZERO, next: now }
    }

    /// The pause that followed the last flush.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// How long the next flush has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Pays for a flush that took `cost` and ended at `now`.
    pub(super) fn flushed(&mut self, cost: Duration, now: Instant) {
        let earned = now.saturating_duration_since(self.next) / SHARE;
        let saved = (self.saved + earned).min(SAVED);
        let pause = (cost.saturating_sub(saved) * SHARE).min(LONGEST);
        self.pause = if pause < SHORTEST { Duration::ZERO } else { pause };
        self.saved = saved.saturating_sub(cost);
        self.next = now + self.pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flushes of `cost` as often as they are allowed, `every` at most, for a second: how many, and the longest pause.
    fn run(cost: u64, every: u64) -> (u32, Duration) {
        let start = Instant::now();
        let (mut pace, mut now, mut flushes, mut longest) = (Pace::new(start), start, 0, Duration::ZERO);
        while now < start + Duration::from_secs(1) {
            let due = now + Duration::from_micros(every.saturating_sub(cost));
            now = due + pace.wait(due) + Duration::from_micros(cost);
            pace.flushed(Duration::from_micros(cost), now);
            (flushes, longest) = (flushes + 1, longest.max(pace.pause()));
        }
        (flushes, longest)
    }

    #[test]
    fn a_thread_with_time_to_spare_never_pauses() {
        // 100 readers at 500 messages a second, 1,000 readers at 50.
        assert_eq!(run(500, 2_000), (500, Duration::ZERO));
        assert_eq!(run(6_000, 20_000), (50, Duration::ZERO));
    }

    #[test]
    fn flushing_without_end_takes_a_third_of_the_thread() {
        let (flushes, longest) = run(2_000, 0);
        assert!((165..=175).contains(&flushes), "{flushes} flushes of 2 ms");
        assert_eq!(longest.as_micros(), 4_000);
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        assert_eq!(run(50_000, 0).1, LONGEST);
    }

    #[test]
    fn a_burst_after_a_quiet_spell_is_shown_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut now = start + Duration::from_secs(5);
        for _ in 0..3 {
            now += Duration::from_millis(3);
            pace.flushed(Duration::from_millis(3), now);
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
    }
}
