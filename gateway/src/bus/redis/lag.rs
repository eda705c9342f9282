//! How far the reader of a partition lies behind its primary, in time that passes here.
//!
//! Decides when a reader lags. Pure: the clock is passed in. The stream reader says how far it has read, and the watch of
//! heads what the primary held when.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::super::Offset;
use crate::deadlines::ANSWER;

/// How long a reader may lie behind the primary's head before it tries another replica.
pub(super) const BEHIND: Duration = Duration::from_secs(1);

/// Heads that are kept, one per second. Of a reader that lies further behind, the oldest are what matters.
const KEPT: usize = 64;

/// How far a partition has been read, and what the primary held meanwhile.
#[derive(Debug)]
pub(super) struct Lag {
    at: Offset,
    /// When a read succeeded last; before that, when reading began.
    read: Instant,
    /// Heads that were not reached yet, ascending, and when each was seen.
    ahead: VecDeque<(Offset, Instant)>,
    /// The primary holds no data of the partition.
    absent: bool,
}

impl Lag {
    pub(super) fn new(now: Instant) -> Self {
        Self { at: Offset::default(), read: now, ahead: VecDeque::new(), absent: false }
    }

    /// A read begins behind `from`.
    pub(super) fn begins(&mut self, from: Offset) {
        self.at = from;
        self.ahead.retain(|(head, _)| *head > from);
    }

    /// A read has succeeded; everything up to `at` was read.
    pub(super) fn has_read(&mut self, at: Offset, now: Instant) {
        self.begins(at);
        self.read = now;
    }

    /// The primary's head; None: it holds no data of the partition.
    pub(super) fn seen(&mut self, head: Option<Offset>, now: Instant) {
        self.absent = head.is_none();
        let Some(head) = head else { return };
        let newest = self.ahead.back().map_or(self.at, |(newest, _)| *newest);
        if head > newest && self.ahead.len() < KEPT {
            self.ahead.push_back((head, now));
        }
    }

    /// Whether the primary was found without the partition's data; true once each time.
    pub(super) fn take_absent(&mut self) -> bool {
        std::mem::take(&mut self.absent)
    }

    /// Whether what its server gave last, which was all that it had, should have been more.
    pub(super) fn lies_behind(&self, now: Instant) -> bool {
        self.unreached(now) >= BEHIND
    }

    /// How old the oldest head is that was not reached.
    fn unreached(&self, now: Instant) -> Duration {
        self.ahead.front().map_or(Duration::ZERO, |(_, seen)| now.saturating_duration_since(*seen))
    }

    /// How far reading lies behind: for as long it has not shown what the primary held, or nothing can be read at all.
    pub(super) fn behind(&self, now: Instant) -> Duration {
        let silent = now.saturating_duration_since(self.read).saturating_sub(ANSWER);
        self.unreached(now).max(silent)
    }
}

/// Whether a partition is read, and how far.
#[derive(Debug, Default)]
pub(super) enum Reads {
    #[default]
    NotYet,
    Now(Lag),
    /// A read that comes late does not make the partition one that is read.
    NoMore,
}

impl Reads {
    pub(super) fn lag(&mut self) -> Option<&mut Lag> {
        match self {
            Self::Now(lag) => Some(lag),
            Self::NotYet | Self::NoMore => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Offset {
        Offset { epoch: 1, offset }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reader_lies_behind_by_the_age_of_the_oldest_head_that_it_has_not_reached() {
        let begin = Instant::now();
        let mut lag = Lag::new(begin);
        for second in 0..10_u32 {
            let now = begin + second * SECOND;
            lag.seen(Some(at(u64::from(second) * 10)), now);
            // It is shown what was there four seconds ago.
            lag.has_read(at(u64::from(second.saturating_sub(4)) * 10), now);
            let expected = if second < 4 { second.saturating_sub(1) } else { 3 };
            assert_eq!(lag.behind(now), expected * SECOND, "after {second} s");
            assert_eq!(lag.lies_behind(now), expected >= 1);
        }
        lag.has_read(at(90), begin + 10 * SECOND);
        assert_eq!(lag.behind(begin + 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_reader_whose_reads_fail_lies_behind_although_nothing_is_known_of_the_primary() {
        let begin = Instant::now();
        let lag = Lag::new(begin);
        assert_eq!(lag.behind(begin + ANSWER), Duration::ZERO);
        assert_eq!(lag.behind(begin + ANSWER + 3 * SECOND), 3 * SECOND);
        assert!(!lag.lies_behind(begin + ANSWER + 3 * SECOND), "it may be the primary that is silent");
    }

    #[test]
    fn heads_are_bounded_and_the_oldest_stays() {
        let begin = Instant::now();
        let mut lag = Lag::new(begin);
        for second in 0..1000_u32 {
            lag.seen(Some(at(1 + u64::from(second))), begin + second * SECOND);
        }
        assert_eq!(lag.ahead.len(), KEPT);
        assert_eq!(lag.unreached(begin + 1000 * SECOND), 1000 * SECOND);
    }

    #[test]
    fn a_primary_without_data_is_reported_once_and_again_when_it_is_found_again() {
        let begin = Instant::now();
        let mut lag = Lag::new(begin);
        lag.seen(None, begin);
        assert!(lag.take_absent() && !lag.take_absent());
        lag.seen(None, begin);
        lag.seen(Some(at(1)), begin);
        assert!(!lag.take_absent());
    }
}
