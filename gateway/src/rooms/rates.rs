//! A rate for each of many keys, kept for as many as the table has room for.
//!
//! Decides whether one more may pass. A key is a single number, the time at which its burst is full again; the keys
//! that were quiet for longest are forgotten first, which a stranger cannot use: a forgotten key is a quiet one.

use std::{collections::HashMap, hash::Hash, mem};

/// How often something may happen, with bursts of twice as many per second. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval: u64,
    burst: u64,
}

impl Rate {
    /// `per_second` at most, on average; at least one.
    pub fn per_second(per_second: u32) -> Self {
        let interval = 1_000_000 / u64::from(per_second.max(1));
        Self { interval, burst: 2_000_000 - interval.min(1_000_000) }
    }

    /// `per_minute` at most, at once or spread; at least one.
    pub fn per_minute(per_minute: u32) -> Self {
        let interval = (60_000_000 / u64::from(per_minute.max(1))).max(1);
        Self { interval, burst: 60_000_000 - interval }
    }

    /// Whether one more would pass at `now`.
    pub fn is_free(self, full: u64, now: u64) -> bool {
        full.saturating_sub(now) <= self.burst
    }

    /// Takes one at `now`, and moves `full`, the time at which the burst is full again. Err: how long to wait.
    pub fn take(self, full: &mut u64, now: u64) -> Result<(), u64> {
        let ahead = full.saturating_sub(now);
        if ahead > self.burst {
            return Err(ahead - self.burst);
        }
        *full = now + ahead + self.interval;
        Ok(())
    }
}

/// Rates by key. Two generations of rows: when the young one is full it becomes the old one, and what was in that is
/// forgotten.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    rows: usize,
    young: HashMap<K, u64>,
    old: HashMap<K, u64>,
}

impl<K: Eq + Hash> Rates<K> {
    /// `rate` for each key. Remembers the last `rows` keys at least, and twice as many at most.
    pub fn new(rate: Rate, rows: usize) -> Self {
        Self { rate, rows: rows.max(1), young: HashMap::new(), old: HashMap::new() }
    }

    /// Whether one more would pass for `key` at `now`.
    pub fn is_free(&self, key: &K, now: u64) -> bool {
        let full = self.young.get(key).or_else(|| self.old.get(key)).copied().unwrap_or(0);
        self.rate.is_free(full, now)
    }

    /// Takes one for `key` at `now`. Err: how long to wait.
    pub fn take(&mut self, key: K, now: u64) -> Result<(), u64> {
        if self.young.len() >= self.rows && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        let before = self.old.remove(&key).unwrap_or(0);
        self.rate.take(self.young.entry(key).or_insert(before), now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_key_has_a_burst_of_two_seconds_and_then_its_rate() {
        let mut rates = Rates::new(Rate::per_second(20), 10);
        let passed = (0..1000).filter(|_| rates.take("a", SECOND).is_ok()).count();
        assert_eq!(passed, 40);
        assert_eq!(rates.take("a", SECOND), Err(SECOND / 20));
        assert_eq!(rates.take("b", SECOND), Ok(()));
        assert_eq!(rates.take("a", SECOND + SECOND / 20), Ok(()));
    }

    #[test]
    fn a_full_table_forgets_quiet_keys_and_admits_new_ones() {
        let mut rates = Rates::new(Rate::per_second(1), 10);
        for key in 0..10_000 {
            assert_eq!(rates.take(key, SECOND), Ok(()), "{key}");
            assert!(rates.young.len() + rates.old.len() <= 20);
        }
    }

    proptest! {
        #[test]
        fn a_key_that_keeps_asking_never_passes_more_than_its_rate(
            steps in proptest::collection::vec((0_u64..200_000, 0_u8..30), 1..500),
        ) {
            let mut rates = Rates::new(Rate::per_second(10), 30);
            let (mut now, mut passed) = (SECOND, 0_u64);
            for (pause, other) in steps {
                now += pause;
                passed += u64::from(rates.take(0, now).is_ok());
                // Others fill the table, but never so many that a busy key is the quietest.
                let _ = rates.take(1 + other, now);
                prop_assert!(passed <= 20 + (now - SECOND) / (SECOND / 10));
            }
        }
    }
}
