//! What the gateway asks of all its reactors at once: draining at a set rate, and ending.
//!
//! Decides how many connections may be moved by now; the reactors claim their share from one budget, so that the rate
//! holds over all of them however their connections are spread.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

/// Shared by the reactors and their owner.
#[derive(Debug)]
pub(crate) struct Orders {
    base: Instant,
    /// Connections a second; 0: not draining.
    rate: AtomicU32,
    /// Milliseconds after `base`.
    since: AtomicU64,
    /// Connections moved since then.
    moved: AtomicU64,
    shutdown: AtomicBool,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            rate: AtomicU32::new(0),
            since: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            shutdown: AtomicBool::new(false),
        }
    }

    /// Microseconds since the reactors were made: the clock that sessions see.
    pub(crate) fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.base).as_micros() as u64
    }

    /// How long it is until `micros` of that clock.
    pub(crate) fn until(&self, micros: u64) -> Duration {
        Duration::from_micros(micros.saturating_sub(self.micros(Instant::now())))
    }

    fn millis(&self, now: Instant) -> u64 {
        self.micros(now) / 1000
    }

    /// Starts draining, or goes on at another rate. The same rate again changes nothing.
    pub(crate) fn drain(&self, rate: u32, now: Instant) {
        if self.rate.swap(0, SeqCst) != rate {
            self.since.store(self.millis(now), SeqCst);
            self.moved.store(0, SeqCst);
        }
        self.rate.store(rate, SeqCst);
    }

    pub(crate) fn undrain(&self) {
        self.rate.store(0, SeqCst);
    }

    pub(crate) fn draining(&self) -> bool {
        self.rate.load(SeqCst) > 0
    }

    /// How many of `wanted` connections may be moved at `now` (milliseconds of this clock).
    pub(crate) fn claim(&self, wanted: u64, now: u64) -> u64 {
        let rate = u64::from(self.rate.load(SeqCst));
        let budget = rate.saturating_mul(now.saturating_sub(self.since.load(SeqCst))) / 1000;
        let claimed = |moved: u64| budget.saturating_sub(moved).min(wanted);
        match self.moved.fetch_update(SeqCst, SeqCst, |moved| (claimed(moved) > 0).then(|| moved + claimed(moved))) {
            Ok(moved) => claimed(moved),
            Err(_) => 0,
        }
    }

    pub(crate) fn shut_down(&self) {
        self.shutdown.store(true, SeqCst);
    }

    pub(crate) fn shutting_down(&self) -> bool {
        self.shutdown.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reactors_together_keep_the_rate() {
        let orders = Orders::new();
        orders.drain(200, orders.base);
        let moved: u64 = (0..=1000).map(|ms| orders.claim(3, ms) + orders.claim(1, ms)).sum();
        assert_eq!(moved, 200);
    }

    #[test]
    fn the_same_rate_again_gives_no_second_budget_and_none_is_left_after_undrain() {
        let orders = Orders::new();
        orders.drain(100, orders.base);
        assert_eq!(orders.claim(1000, 1000), 100);
        orders.drain(100, orders.base);
        assert_eq!(orders.claim(1000, 1000), 0);
        orders.undrain();
        assert_eq!(orders.claim(1000, 9000), 0);
    }
}
