//! Limits per second: announcements of joins in a room, and typing of one person.
//!
//! Pure: the caller passes the time in milliseconds on any monotonic clock. Called by the hub.

use std::{collections::HashMap, hash::Hash};

/// At most `limit` in each second, counted from the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerSecond {
    limit: u32,
    start: u64,
    used: u32,
}

const SECOND: u64 = 1000;

impl PerSecond {
    /// Nothing has happened yet.
    pub fn new(limit: u32) -> Self {
        Self { limit, start: 0, used: 0 }
    }

    /// Counts one, and says whether it is within the limit.
    pub fn allow(&mut self, now: u64) -> bool {
        if self.used == 0 || now >= self.start + SECOND {
            (self.start, self.used) = (now, 0);
        }
        self.used = self.used.saturating_add(1);
        self.used <= self.limit
    }
}

/// At most once per second for each key, for a bounded number of keys.
#[derive(Debug)]
pub struct Conflated<K> {
    last: HashMap<K, u64>,
    bound: usize,
}

impl<K: Eq + Hash> Conflated<K> {
    /// Remembers at most `bound` keys; beyond them nothing is allowed until the second is over.
    pub fn new(bound: usize) -> Self {
        Self { last: HashMap::new(), bound }
    }

    /// Whether a second has passed since this key was last allowed.
    pub fn allow(&mut self, key: K, now: u64) -> bool {
        if self.last.get(&key).is_some_and(|last| now < last + SECOND) {
            return false;
        }
        if self.last.len() >= self.bound {
            self.last.retain(|_, last| now < *last + SECOND);
        }
        let room = self.last.len() < self.bound;
        if room {
            self.last.insert(key, now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_within_a_second_and_starts_again_after_it() {
        let mut limit = PerSecond::new(2);
        assert_eq!([10, 500, 1009].map(|now| limit.allow(now)), [true, true, false]);
        assert_eq!([1010, 1010, 2009].map(|now| limit.allow(now)), [true, true, false]);
    }

    #[test]
    fn a_key_is_allowed_once_per_second() {
        let mut typing = Conflated::new(8);
        assert_eq!([0, 999, 1000].map(|now| typing.allow("ada", now)), [true, false, true]);
        assert!(typing.allow("bob", 1000));
    }

    #[test]
    fn keys_beyond_the_bound_wait_for_old_ones_to_go() {
        let mut typing = Conflated::new(1);
        assert!(typing.allow("ada", 0));
        assert!(!typing.allow("bob", 999));
        assert!(typing.allow("bob", 1000));
    }
}
