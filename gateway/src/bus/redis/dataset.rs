//! What this gateway knows of a partition's data.
//!
//! Decides whether the data is still that of which rooms are held here. Shared by the halves that write and that watch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::super::Offset;

#[derive(Debug, Default)]
pub(super) struct Dataset {
    seen: Mutex<Offset>,
    born: AtomicU64,
    held: AtomicBool,
    /// The data to which something was given back from here.
    given_to: AtomicU64,
}

impl Dataset {
    /// How far the partition was seen. Data that ends before it has lost a part.
    pub(super) fn seen(&self) -> Offset {
        *self.seen.lock()
    }

    /// The partition was seen up to here.
    pub(super) fn see(&self, at: Offset) {
        let mut seen = self.seen.lock();
        *seen = at.max(*seen);
    }

    /// The first epoch of the data that rooms were read from, or to which what was held was given back.
    pub(super) fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }

    /// From now on the data is that which began with this epoch.
    pub(super) fn accept(&self, born: u64) {
        self.born.store(born, Relaxed);
    }

    /// Something that this data had lost was given back from here.
    pub(super) fn gave_back(&self, born: u64) {
        self.given_to.store(born, Relaxed);
    }

    /// Whether something was given back to the data as it is.
    pub(super) fn has_given_back(&self) -> bool {
        self.given_to.load(Relaxed) == self.born()
    }

    /// Whether rooms of the partition may be held.
    pub(super) fn held(&self) -> bool {
        self.held.load(Relaxed)
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Relaxed);
    }
}
