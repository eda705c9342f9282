//! What the hub counts for the metrics: plain numbers, read by the admin port.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Written by the actors.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// A copy of the counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The numbers now.
            pub fn totals(&self) -> Totals {
                Totals { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Posts acknowledged by the bus, duplicates included.
    posts,
    /// Posts refused because the queue was full.
    posts_full,
    /// Posts that failed in the bus.
    posts_failed,
    /// Groups sent to the bus, retries not counted.
    groups,
    /// Entries that came by the tail, those of rooms not in use included.
    entries,
    /// Chunks encoded, backlogs included.
    encoded,
    /// Joins answered.
    joins,
    /// Joins that resumed without a gap.
    resumed,
    /// Gaps reported to readers, at a resume or later.
    gaps,
    /// Reads of the bus's history.
    reads,
    /// Calls of the bus that failed.
    unavailable,
}

/// Counts one.
pub(crate) fn tick(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Counts `n`.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
