//! What this gateway knows of a partition's data.
//!
//! Decides whether the data is still that of which rooms are held here. Shared by who writes and who watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct Dataset {
    seen: AtomicU64,
    born: AtomicU64,
    held: AtomicBool,
}

impl Dataset {
    /// The highest epoch that was seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Relaxed)
    }

    pub(super) fn see(&self, epoch: u64) {
        self.seen.fetch_max(epoch, Relaxed);
    }

    /// The first epoch of the data that rooms were read from, or to which what was held was given back.
    pub(super) fn born(&self) -> u64 {
        self.born.load(Relaxed)
    }

    /// From now on the data is that which began with this epoch.
    pub(super) fn accept(&self, born: u64) {
        self.born.store(born, Relaxed);
    }

    /// Whether rooms of the partition may be held.
    pub(super) fn held(&self) -> bool {
        self.held.load(Relaxed)
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Relaxed);
    }
}
