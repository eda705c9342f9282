//! The timers of connections: set by overwriting a deadline, looked at by the wheel when it gets there.

use super::{
    connection::{Flags, Timer},
    turn::Reactor,
    wheel::{Due, deadline},
};
use crate::fanout::session::{Input, TimerId};

/// Ticks after which the wheel looks again at a timer that stands still, about a second.
const STILL: u32 = 32;

impl Reactor {
    /// Runs `key` out `after` milliseconds from now, whatever it was set to.
    pub(super) fn set_timer(&mut self, slot: usize, key: u16, after: u64) {
        let deadline = deadline(self.now.millis, after);
        let generation = self.connections.hot[slot].generation;
        let Some(connection) = self.connections.get(slot) else { return };
        let timers = &mut connection.timers;
        let timer = match timers.iter_mut().find(|timer| timer.key == key) {
            Some(timer) => timer,
            None => {
                timers.push(Timer { key, deadline, armed: Timer::NEVER });
                let last = timers.len() - 1;
                &mut timers[last]
            }
        };
        timer.deadline = deadline;
        if timer.armed > deadline {
            timer.armed = deadline;
            self.wheel.insert(Due { slot: slot as u32, generation, tick: deadline, key });
        }
    }

    /// Stops `key`; the wheel forgets it when it gets there.
    pub(super) fn cancel_timer(&mut self, slot: usize, key: u16) {
        let Some(connection) = self.connections.get(slot) else { return };
        if let Some(timer) = connection.timers.iter_mut().find(|timer| timer.key == key) {
            timer.deadline = Timer::NEVER;
        }
    }

    /// Ends the ticks that are over.
    pub(super) fn run_timers(&mut self) {
        let mut due = Vec::new();
        self.wheel.advance(self.now.tick, &mut due);
        for due in due {
            self.look_at(due);
        }
    }

    fn look_at(&mut self, due: Due) {
        let slot = due.slot as usize;
        if self.connections.hot[slot].generation != due.generation {
            return;
        }
        let Some(connection) = self.connections.get(slot) else { return };
        let frozen = connection.frozen.is_some() && due.key < Timer::SESSION;
        let Some(at) = connection.timers.iter().position(|timer| timer.key == due.key) else { return };
        let timer = &mut connection.timers[at];
        if timer.armed != due.tick {
            return;
        }
        if timer.deadline != Timer::NEVER && (frozen || timer.deadline > due.tick) {
            timer.armed = if frozen { self.now.tick + STILL } else { timer.deadline };
            let tick = timer.armed;
            return self.wheel.insert(Due { tick, ..due });
        }
        let stopped = timer.deadline == Timer::NEVER;
        connection.timers.swap_remove(at);
        match due.key {
            _ if stopped => {}
            key if key < Timer::SESSION => self.tell(slot, Input::Timer(TimerId(key as u8))),
            key => self.own_timer(slot, key),
        }
    }

    /// Stops reading for `why`; the session's timers, which reading might feed, stand still meanwhile.
    pub(super) fn stop_reading(&mut self, slot: usize, why: Flags) {
        let unruly = if why == Flags::ASKING { Flags::default() } else { Flags::PAUSED };
        self.connections.hot[slot].flags.set(why | unruly);
        let tick = self.now.tick;
        if let Some(connection) = self.connections.get(slot) {
            connection.frozen.get_or_insert(tick);
        }
    }

    /// Reads on unless another reason not to is left.
    pub(super) fn go_on(&mut self, slot: usize, why: Flags) {
        let flags = &mut self.connections.hot[slot].flags;
        flags.clear(why);
        if flags.any(Flags::STOPPED) {
            return;
        }
        self.thaw(slot);
        self.list_readable(slot);
    }

    fn thaw(&mut self, slot: usize) {
        let (tick, generation) = (self.now.tick, self.connections.hot[slot].generation);
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(since) = connection.frozen.take() else { return };
        let session = |timer: &&mut Timer| timer.key < Timer::SESSION && timer.deadline != Timer::NEVER;
        let mut again = smallvec::SmallVec::<[Due; 2]>::new();
        for timer in connection.timers.iter_mut().filter(session) {
            timer.deadline = timer.deadline.saturating_add(tick - since).min(Timer::NEVER - 1);
            if timer.armed > timer.deadline {
                timer.armed = timer.deadline;
                again.push(Due { slot: slot as u32, generation, tick: timer.deadline, key: timer.key });
            }
        }
        for due in again {
            self.wheel.insert(due);
        }
    }
}
