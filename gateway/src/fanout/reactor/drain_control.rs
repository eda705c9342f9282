//! What the gateway asks of all its reactors at once: to drain at a set rate, to give some connections away, and to end.
//!
//! Decides how many connections may be asked to move by now. The reactors claim their share from one budget, so that
//! the rate holds over all of them however their connections are spread.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use super::clock::{Clock, Micros};

/// A drain has no bound.
const ALL: u64 = u64::MAX;

/// Shared by the reactors and their owner.
#[derive(Debug)]
pub(super) struct DrainControl {
    clock: Clock,
    /// Connections per second; 0: nobody is asked to move.
    rate: AtomicU32,
    /// Connections to move in all; [`ALL`] in a drain.
    most: AtomicU64,
    /// When draining began at this rate, in microseconds on the reactors' clock.
    since: AtomicU64,
    /// Connections moved since then.
    moved: AtomicU64,
    shutdown: AtomicBool,
}

impl DrainControl {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            rate: AtomicU32::new(0),
            most: AtomicU64::new(ALL),
            since: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            shutdown: AtomicBool::new(false),
        }
    }

    /// Starts draining, or continues at another rate. The same rate again changes nothing.
    pub(super) fn drain(&self, rate: u32) {
        self.drain_at(rate, self.clock.micros());
    }

    /// Moves so many connections from now on, and then no more.
    pub(super) fn give_away(&self, connections: u32, rate: u32) {
        self.give_away_at(connections, rate, self.clock.micros());
    }

    fn drain_at(&self, rate: u32, now: Micros) {
        if self.rate.swap(0, SeqCst) == rate && self.most.load(SeqCst) == ALL {
            self.rate.store(rate, SeqCst);
        } else {
            self.begin(ALL, rate, now);
        }
    }

    fn give_away_at(&self, connections: u32, rate: u32, now: Micros) {
        self.rate.store(0, SeqCst);
        self.begin(u64::from(connections), rate, now);
    }

    /// Called while the rate is zero, so that no reactor sees half of it.
    fn begin(&self, most: u64, rate: u32, now: Micros) {
        self.since.store(now.0, SeqCst);
        self.moved.store(0, SeqCst);
        self.most.store(most, SeqCst);
        self.rate.store(rate, SeqCst);
    }

    pub(super) fn undrain(&self) {
        self.rate.store(0, SeqCst);
    }

    /// Whether somebody is still to be asked to move.
    pub(super) fn draining(&self) -> bool {
        self.rate.load(SeqCst) > 0 && self.moved.load(SeqCst) < self.most.load(SeqCst)
    }

    /// Whether one more connection may be asked to move at `now`; it counts as moved then.
    pub(super) fn claim(&self, now: Micros) -> bool {
        let rate = u64::from(self.rate.load(SeqCst));
        let elapsed = now.0.saturating_sub(self.since.load(SeqCst));
        let budget = (rate.saturating_mul(elapsed) / 1_000_000).min(self.most.load(SeqCst));
        self.moved.fetch_update(SeqCst, SeqCst, |moved| (moved < budget).then_some(moved + 1)).is_ok()
    }

    pub(super) fn shut_down(&self) {
        self.shutdown.store(true, SeqCst);
    }

    pub(super) fn shutting_down(&self) -> bool {
        self.shutdown.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> DrainControl {
        DrainControl::new(Clock::start())
    }

    fn claimed(control: &DrainControl, times: u64, millis: u64) -> u64 {
        (0..times).filter(|_| control.claim(Micros(millis * 1000))).count() as u64
    }

    #[test]
    fn all_reactors_together_keep_the_rate() {
        let control = control();
        control.drain_at(200, Micros(0));
        let moved: u64 = (0..=1000).map(|ms| claimed(&control, 3, ms) + claimed(&control, 1, ms)).sum();
        assert_eq!(moved, 200);
    }

    #[test]
    fn the_given_number_is_asked_to_move_at_the_rate_and_a_drain_takes_the_rest() {
        let control = control();
        control.give_away_at(30, 100, Micros(0));
        assert_eq!(claimed(&control, 1000, 200), 20);
        assert!(control.draining());
        assert_eq!(claimed(&control, 1000, 9000), 10);
        assert!(!control.draining());
        control.drain_at(100, Micros(9_000_000));
        assert_eq!(claimed(&control, 1000, 10_000), 100, "the same rate is another order");
    }

    #[test]
    fn the_same_rate_again_gives_no_second_budget_and_none_is_left_after_undrain() {
        let control = control();
        control.drain_at(100, Micros(0));
        assert_eq!(claimed(&control, 1000, 1000), 100);
        control.drain_at(100, Micros(0));
        assert_eq!(claimed(&control, 1000, 1000), 0);
        control.undrain();
        assert_eq!(claimed(&control, 1000, 9000), 0);
    }
}
