//! A timer wheel with coarse ticks: setting a timer is a push, an idle timer is looked at once per turn.
//!
//! Decides when a tick is over. Knows nothing of what a timer means; `timers` checks whether it is still wanted.

use std::time::Duration;

use crate::fanout::{
    reactor::{
        clock::{Micros, Tick},
        ids::Slot,
    },
    session::TimerId,
};

/// Ticks in a turn, some 16 s: a heartbeat of 25 s is looked at twice.
const TURN: usize = 512;

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fanout::reactor) enum Key {
    Session(TimerId),
    /// The rate allows the next message.
    Resume,
    /// A closing connection is dropped.
    Linger,
    /// A connection that was asked to move is closed.
    Cut,
}

/// A timer that runs out at `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) slot: Slot,
    pub(super) generation: u32,
    pub(super) tick: Tick,
    pub(super) key: Key,
}

pub(super) struct Wheel {
    spokes: Vec<Vec<Due>>,
    /// The last tick that is over.
    tick: Tick,
    len: usize,
}

impl Wheel {
    pub(super) fn new(tick: Tick) -> Self {
        Self { spokes: (0..TURN).map(|_| Vec::new()).collect(), tick, len: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a tick is over at `tick` that was not ended yet.
    pub(super) fn ends_tick(&self, tick: Tick) -> bool {
        tick > self.tick
    }

    /// Adds a timer; one whose tick is over runs out at the next.
    pub(super) fn insert(&mut self, due: Due) {
        self.len += 1;
        self.spokes[due.tick.0.max(self.tick.0 + 1) as usize % TURN].push(due);
    }

    /// Ends ticks up to `tick` and appends what ran out to `out`.
    pub(super) fn advance(&mut self, tick: Tick, out: &mut Vec<Due>) {
        let before = out.len();
        let ended = (tick.0.saturating_sub(self.tick.0) as usize).min(TURN) as u32;
        for spoke in (1..=ended).map(|n| (tick.0 - ended + n) as usize % TURN) {
            out.extend(self.spokes[spoke].extract_if(.., |due| due.tick <= tick));
        }
        self.len -= out.len() - before;
        self.tick = self.tick.max(tick);
    }
}

/// The tick in which a timer set `after` a time from `now` may run out: never early, never in no tick at all.
pub(super) fn deadline(now: Micros, after: Duration) -> Tick {
    let millis = now.plus(after).millis().div_ceil(Tick::MILLIS);
    Tick(u32::try_from(millis).unwrap_or(u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(slot: usize, tick: u32) -> Due {
        Due { slot: Slot(slot as u32), generation: 0, tick: Tick(tick), key: Key::Resume }
    }

    proptest! {
        #[test]
        fn every_timer_runs_out_once_in_its_tick(
            ticks in proptest::collection::vec(1_u32..3000, 1..50),
            steps in proptest::collection::vec(1_u32..700, 1..30),
        ) {
            let mut wheel = Wheel::new(Tick(0));
            for (slot, tick) in ticks.iter().enumerate() {
                wheel.insert(due(slot, *tick));
            }
            let (mut now, mut seen) = (0, 0);
            for step in steps.into_iter().chain(std::iter::repeat_n(100, 30)) {
                let mut out = Vec::new();
                wheel.advance(Tick(now + step), &mut out);
                for due in &out {
                    prop_assert!(due.tick.0 > now && due.tick.0 <= now + step);
                }
                now += step;
                seen += out.len();
            }
            prop_assert_eq!(seen, ticks.len());
            prop_assert!(wheel.is_empty());
        }
    }

    #[test]
    fn a_timer_set_for_the_past_runs_out_at_the_next_tick() {
        let (mut wheel, mut out) = (Wheel::new(Tick(100)), Vec::new());
        wheel.insert(due(1, 7));
        wheel.advance(Tick(101), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_timer_costs_two_words() {
        assert!(size_of::<Due>() <= 16, "{}", size_of::<Due>());
    }
}
