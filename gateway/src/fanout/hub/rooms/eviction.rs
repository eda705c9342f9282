//! What leaves memory: rooms that nobody uses.
//!
//! Decides which, and how often that is looked at. Never removes anything itself. Pure: the caller passes the time.

use std::time::Duration;

use tokio::time::Instant;

/// How often it is looked at while the partition has rooms.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a room without members stays, so that a page that is reloaded finds it warm.
const GRACE: Duration = Duration::from_secs(30);
/// Rooms of one partition that stay without members: some 4,000 in all.
const IDLE: usize = 64;

/// When rooms are looked at next.
#[derive(Debug, Default)]
pub(crate) struct Eviction {
    at: Option<Instant>,
}

impl Eviction {
    /// Looks at the rooms within [`PERIOD`].
    pub(crate) fn schedule(&mut self, now: Instant) {
        self.at.get_or_insert(now + PERIOD);
    }

    /// When they are looked at, if they are.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// True once, when the time has come.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }
}

/// The rooms whose grace is over, and beyond the bound those that have been unused for longest. `idle` are rooms that
/// could go, and since when.
pub(crate) fn unused<R: Ord>(mut idle: Vec<(Instant, R)>, now: Instant) -> impl Iterator<Item = R> {
    idle.sort_unstable();
    let beyond = idle.len().saturating_sub(IDLE);
    let over = move |(n, (since, _)): &(usize, (Instant, R))| *n < beyond || now - *since >= GRACE;
    idle.into_iter().enumerate().filter(over).map(|(_, (_, room))| room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_stays_for_its_grace_and_the_longest_unused_go_first_beyond_the_bound() {
        let start = Instant::now();
        let now = start + GRACE;
        let idle = |count: u64| (0..count).map(|n| (start + Duration::from_millis(n), n)).rev().collect::<Vec<_>>();
        assert!(unused(idle(3), now).eq([0]), "whose grace is over");
        assert!(unused(idle(IDLE as u64 + 2), start).eq([0, 1]));
    }

    #[test]
    fn rooms_are_looked_at_once_a_period() {
        let (mut eviction, start) = (Eviction::default(), Instant::now());
        eviction.schedule(start);
        eviction.schedule(start + PERIOD / 2);
        assert_eq!((eviction.due(), eviction.take(start)), (Some(start + PERIOD), false));
        assert!(eviction.take(start + PERIOD));
        assert!(!eviction.take(start + PERIOD) && eviction.due().is_none());
    }
}
