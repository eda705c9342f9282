//! In which order a drain asks connections to move.
//!
//! Decides the order only: first those whose clients resume, then the others, which miss what is said while they
//! reconnect. How many may be asked by now is the reactors' shared budget.

use super::slab::Slab;
use crate::fanout::reactor::ids::Slot;

/// Where asking continues: one place among the connections that resume, one among the others.
#[derive(Default)]
pub(super) struct Moves {
    from: [u32; 2],
}

impl Moves {
    /// The next connection to be asked, in the order of slots. None at the end of a round; the next round finds those
    /// that came late.
    pub(super) fn next(&mut self, slab: &Slab) -> Option<Slot> {
        for (from, last) in self.from.iter_mut().zip([false, true]) {
            let waits = |slot: &Slot| {
                let state = slab.state(*slot);
                slab.is_used(*slot) && state.may_be_moved() && state.moves_last() == last
            };
            let found = slab.slots_from(*from).find(waits);
            *from = found.map_or(u32::MAX, |slot| slot.0);
            if found.is_some() {
                return found;
            }
        }
        self.from = [0; 2];
        None
    }
}
