//! The timers of all connections of a reactor: set, suspended, run out.
//!
//! Decides which timers have run out; the reactor decides what follows. A timer lies with its connection, and the wheel
//! here knows when to look at it.

use std::time::Duration;

use super::{
    connection::Connection,
    table::Table,
    wheel::{Key, Wheel},
};
use crate::fanout::reactor::{
    clock::{Micros, Now, Tick},
    ids::Slot,
};

pub(super) struct Timekeeper {
    wheel: Wheel,
}

impl Timekeeper {
    pub(super) fn new(now: Tick) -> Self {
        Self { wheel: Wheel::new(now) }
    }

    /// Runs `key` out `after` a time, whatever it was set to.
    pub(super) fn set(&mut self, slot: Slot, key: Key, after: Duration, now: Micros, table: &mut Table) {
        let owner = table.owner(slot);
        if let Some(connection) = table.get(slot) {
            connection.timers.set(key, now, after, owner, &mut self.wheel);
        }
    }

    /// Suspends the timers of a session, unless they are: reading, which might feed them, has stopped.
    pub(super) fn suspend(connection: &mut Connection, now: Now) {
        connection.suspended.get_or_insert(now.tick());
    }

    /// Continues the timers of a session that were suspended: they run out as much later.
    pub(super) fn go_on(&mut self, slot: Slot, now: Now, table: &mut Table) {
        let owner = table.owner(slot);
        let Some(connection) = table.get(slot) else { return };
        if let Some(since) = connection.suspended.take() {
            connection.timers.postpone(now.tick().0 - since.0, owner, &mut self.wheel);
        }
    }

    pub(super) fn has_timers(&self) -> bool {
        !self.wheel.is_empty()
    }

    /// Whether a tick has ended since timers were last run.
    pub(super) fn ends_tick(&self, now: Now) -> bool {
        self.wheel.ends_tick(now.tick())
    }

    /// Ends the ticks that are over; returns what has run out.
    pub(super) fn run(&mut self, now: Tick, table: &mut Table) -> Vec<(Slot, Key)> {
        let (mut due, mut run_out) = (Vec::new(), Vec::new());
        self.wheel.advance(now, &mut due);
        for due in due {
            // The slot may have a new connection.
            if table.owner(due.slot).generation != due.generation {
                continue;
            }
            let Some(connection) = table.get(due.slot) else { continue };
            let suspended = connection.suspended.is_some();
            let key = connection.timers.run_out(due, now, suspended, &mut self.wheel);
            run_out.extend(key.map(|key| (due.slot, key)));
        }
        run_out
    }
}
