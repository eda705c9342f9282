//! The connections that wait for their turn: to be read, to be written to, to be freed.
//!
//! Decides the order: the connection that has waited longest comes first. Each entry agrees with a bit of the connection's
//! state, so a connection is in a list once at most. Never reads or writes: [`super::table::Table`] asks whose turn it is.

use std::collections::VecDeque;

use super::{slab::Slab, state::State};
use crate::fanout::reactor::ids::Slot;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Lists {
    readable: VecDeque<Slot>,
    writable: VecDeque<Slot>,
    dropped: Vec<Slot>,
}

impl Lists {
    /// Has the connection read, unless its state forbids it.
    pub(super) fn add_to_read(&mut self, slot: Slot, state: &mut State) {
        if state.list_to_read() {
            self.readable.push_back(slot);
        }
    }

    /// Something is queued for the connection alone: has it written, unless its socket is blocked.
    pub(super) fn add_to_write(&mut self, slot: Slot, state: &mut State) {
        if state.queued() {
            self.writable.push_back(slot);
        }
    }

    /// Has the connection freed at the end of the turn; false if that was decided before.
    pub(super) fn add_to_drop(&mut self, slot: Slot, state: &mut State) -> bool {
        let new = state.drop();
        if new {
            self.dropped.push(slot);
        }
        new
    }

    /// How many connections wait to be read.
    pub(super) fn to_read(&self) -> usize {
        self.readable.len()
    }

    /// Whether any connection has something of its own to be written.
    pub(super) fn has_to_write(&self) -> bool {
        !self.writable.is_empty()
    }

    /// The connection that waited longest to be read, off the list.
    pub(super) fn next_to_read(&mut self, slab: &mut Slab) -> Option<Slot> {
        let slot = self.readable.pop_front()?;
        slab.hot(slot).state.unlist_to_read();
        Some(slot)
    }

    /// The connection that waited longest to be written to, off the list. Passes over those that have nothing left to
    /// write, and those whose sockets are blocked.
    pub(super) fn next_to_write(&mut self, slab: &mut Slab) -> Option<Slot> {
        while let Some(slot) = self.writable.pop_front() {
            if slab.hot(slot).state.unlist_to_write() {
                return Some(slot);
            }
        }
        None
    }

    /// A connection that is to be freed.
    pub(super) fn next_to_free(&mut self) -> Option<Slot> {
        self.dropped.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_in_each_list_once() {
        let (mut lists, mut state) = (Lists::default(), State::default());
        for _ in 0..2 {
            lists.add_to_read(Slot(1), &mut state);
            lists.add_to_write(Slot(1), &mut state);
        }
        assert!(lists.add_to_drop(Slot(1), &mut state) && !lists.add_to_drop(Slot(1), &mut state));
        assert_eq!((lists.readable.len(), lists.writable.len(), lists.dropped.len()), (1, 1, 1));
    }

    #[test]
    fn a_dropped_connection_is_not_read_again() {
        let (mut lists, mut state) = (Lists::default(), State::default());
        lists.add_to_drop(Slot(1), &mut state);
        lists.add_to_read(Slot(1), &mut state);
        assert_eq!(lists.to_read(), 0);
    }
}
