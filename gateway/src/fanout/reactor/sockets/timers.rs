//! The timers of one connection: set by overwriting a deadline, looked at by the wheel when it gets there.
//!
//! Decides which of them have run out. What that means is for the caller.

use std::time::Duration;

use smallvec::SmallVec;

use super::wheel::{Due, Key, Wheel, deadline};
use crate::fanout::reactor::{
    clock::{Micros, Tick},
    ids::Slot,
};

/// Ticks after which the wheel looks again at a timer that is suspended, about one second.
const LOOK_AGAIN: u32 = 32;

impl Key {
    fn is_session(self) -> bool {
        matches!(self, Self::Session(_))
    }
}

/// Whose timers they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) slot: Slot,
    pub(super) generation: u32,
}

impl Owner {
    fn due(self, timer: &Timer) -> Due {
        Due { slot: self.slot, generation: self.generation, tick: timer.armed, key: timer.key }
    }
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    key: Key,
    /// When it runs out; [`Timer::NEVER`]: it was cancelled.
    deadline: Tick,
    /// When the wheel will look at it, at the latest at the deadline.
    armed: Tick,
}

impl Timer {
    const NEVER: Tick = Tick(u32::MAX);

    /// Has the wheel look at it at its deadline, if it would come too late.
    fn arm(&mut self, owner: Owner, wheel: &mut Wheel) {
        if self.armed > self.deadline {
            self.armed = self.deadline;
            wheel.insert(owner.due(self));
        }
    }
}

/// The timers of a connection.
#[derive(Debug, Default)]
pub(super) struct Timers(SmallVec<[Timer; 2]>);

impl Timers {
    /// Runs `key` out `after` a time, whatever it was set to.
    pub(super) fn set(&mut self, key: Key, now: Micros, after: Duration, owner: Owner, wheel: &mut Wheel) {
        let at = self.0.iter().position(|timer| timer.key == key).unwrap_or_else(|| {
            self.0.push(Timer { key, deadline: Timer::NEVER, armed: Timer::NEVER });
            self.0.len() - 1
        });
        self.0[at].deadline = deadline(now, after);
        self.0[at].arm(owner, wheel);
    }

    /// Stops `key`; the wheel forgets it when it gets there.
    pub(super) fn cancel(&mut self, key: Key) {
        if let Some(timer) = self.0.iter_mut().find(|timer| timer.key == key) {
            timer.deadline = Timer::NEVER;
        }
    }

    /// The wheel is at `due`: the key if it has run out, which ends it. `suspended`: the session's timers are.
    pub(super) fn run_out(&mut self, due: Due, now: Tick, suspended: bool, wheel: &mut Wheel) -> Option<Key> {
        let at = self.0.iter().position(|timer| timer.key == due.key && timer.armed == due.tick)?;
        let timer = &mut self.0[at];
        let suspended = suspended && due.key.is_session();
        if timer.deadline != Timer::NEVER && (suspended || timer.deadline > due.tick) {
            timer.armed = if suspended { Tick(now.0 + LOOK_AGAIN) } else { timer.deadline };
            wheel.insert(Due { tick: timer.armed, ..due });
            return None;
        }
        let ended = self.0.swap_remove(at);
        (ended.deadline != Timer::NEVER).then_some(due.key)
    }

    /// The session's timers were suspended for so many ticks: they run out as much later.
    pub(super) fn postpone(&mut self, ticks: u32, owner: Owner, wheel: &mut Wheel) {
        for timer in self.0.iter_mut().filter(|timer| timer.key.is_session() && timer.deadline != Timer::NEVER) {
            timer.deadline = Tick(timer.deadline.0.saturating_add(ticks).min(Timer::NEVER.0 - 1));
            timer.arm(owner, wheel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::session::TimerId;

    const OWNER: Owner = Owner { slot: Slot(7), generation: 3 };
    const MINE: Key = Key::Session(TimerId(1));

    /// Lets ticks pass up to `to`; when each key ran out.
    fn pass(timers: &mut Timers, wheel: &mut Wheel, to: u32, suspended: bool) -> Vec<(u32, Key)> {
        let mut found = Vec::new();
        for tick in 1..=to {
            let mut due = Vec::new();
            wheel.advance(Tick(tick), &mut due);
            found.extend(
                due.into_iter()
                    .filter_map(|due| timers.run_out(due, Tick(tick), suspended, wheel).map(|key| (tick, key))),
            );
        }
        found
    }

    fn set(timers: &mut Timers, wheel: &mut Wheel, key: Key, ticks: u64) {
        timers.set(key, Micros(0), Duration::from_millis(ticks * Tick::MILLIS), OWNER, wheel);
    }

    #[test]
    fn a_timer_set_again_runs_out_once_at_its_last_deadline() {
        let (mut timers, mut wheel) = (Timers::default(), Wheel::new(Tick(0)));
        set(&mut timers, &mut wheel, MINE, 5);
        set(&mut timers, &mut wheel, MINE, 9);
        set(&mut timers, &mut wheel, Key::Linger, 9);
        set(&mut timers, &mut wheel, Key::Linger, 4);
        assert_eq!(pass(&mut timers, &mut wheel, 2000, false), [(4, Key::Linger), (9, MINE)]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_cancelled_timer_does_not_run_out() {
        let (mut timers, mut wheel) = (Timers::default(), Wheel::new(Tick(0)));
        set(&mut timers, &mut wheel, MINE, 5);
        timers.cancel(MINE);
        assert!(pass(&mut timers, &mut wheel, 2000, false).is_empty());
        assert!(wheel.is_empty());
    }

    #[test]
    fn suspended_timers_of_a_session_run_out_later_and_the_reactors_own_do_not_wait() {
        let (mut timers, mut wheel) = (Timers::default(), Wheel::new(Tick(0)));
        set(&mut timers, &mut wheel, MINE, 5);
        set(&mut timers, &mut wheel, Key::Cut, 6);
        assert_eq!(pass(&mut timers, &mut wheel, 100, true), [(6, Key::Cut)]);
        timers.postpone(100, OWNER, &mut wheel);
        assert_eq!(pass(&mut timers, &mut wheel, 200, false), [(105, MINE)]);
    }
}
