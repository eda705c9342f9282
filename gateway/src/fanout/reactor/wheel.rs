//! A timer wheel with coarse ticks: setting a timer is a push, an idle timer is looked at once a turn.
//!
//! Decides when a tick is over. Knows nothing of what a timer means; the reactor checks whether it is still wanted.

/// Milliseconds in a tick.
pub(super) const TICK: u64 = 32;

/// Ticks in a turn, some 16 s: a heartbeat of 25 s is looked at twice.
const TURN: usize = 512;

/// A timer that runs out at `tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) tick: u32,
    pub(super) key: u16,
}

pub(super) struct Wheel {
    spokes: Vec<Vec<Due>>,
    /// The last tick that is over.
    tick: u32,
    len: usize,
}

impl Wheel {
    pub(super) fn new(tick: u32) -> Self {
        Self { spokes: (0..TURN).map(|_| Vec::new()).collect(), tick, len: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a tick is over at `tick` that was not ended yet.
    pub(super) fn ends_tick(&self, tick: u32) -> bool {
        tick > self.tick
    }

    /// Adds a timer; one whose tick is over runs out at the next.
    pub(super) fn insert(&mut self, due: Due) {
        self.len += 1;
        self.spokes[due.tick.max(self.tick + 1) as usize % TURN].push(due);
    }

    /// Ends ticks up to `tick` and appends what ran out to `out`.
    pub(super) fn advance(&mut self, tick: u32, out: &mut Vec<Due>) {
        let before = out.len();
        let ended = (tick.saturating_sub(self.tick) as usize).min(TURN) as u32;
        for spoke in (1..=ended).map(|n| (tick - ended + n) as usize % TURN) {
            out.extend(self.spokes[spoke].extract_if(.., |due| due.tick <= tick));
        }
        self.len -= out.len() - before;
        self.tick = self.tick.max(tick);
    }
}

/// The tick in which a timer set `after` milliseconds from `now` may run out: never early.
pub(super) fn deadline(now: u64, after: u64) -> u32 {
    u32::try_from(now.saturating_add(after).div_ceil(TICK)).unwrap_or(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_timer_runs_out_once_in_its_tick(
            ticks in proptest::collection::vec(1_u32..3000, 1..50),
            steps in proptest::collection::vec(1_u32..700, 1..30),
        ) {
            let mut wheel = Wheel::new(0);
            for (slot, tick) in ticks.iter().enumerate() {
                wheel.insert(Due { slot: slot as u32, generation: 0, tick: *tick, key: 0 });
            }
            let (mut now, mut seen) = (0, 0);
            for step in steps.into_iter().chain(std::iter::repeat_n(100, 30)) {
                let mut out = Vec::new();
                wheel.advance(now + step, &mut out);
                for due in &out {
                    prop_assert!(due.tick > now && due.tick <= now + step);
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
        let (mut wheel, mut out) = (Wheel::new(100), Vec::new());
        wheel.insert(Due { slot: 0, generation: 0, tick: 7, key: 0 });
        wheel.advance(101, &mut out);
        assert_eq!(out.len(), 1);
    }
}
