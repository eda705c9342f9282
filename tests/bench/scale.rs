//! How much is measured: in full, or as little as still runs all of the code.

use std::time::Duration;

/// Sizes and times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    short: bool,
    rounds: Option<usize>,
}

impl Scale {
    /// `rounds` replaces what is usual.
    pub(crate) fn new(short: bool, rounds: Option<usize>) -> Self {
        Self { short, rounds }
    }

    /// Rounds that medians are taken of.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(self.pick(5, 1))
    }

    /// Pairs where a ratio near one is to be distinguished from one.
    pub(crate) fn pairs(&self) -> usize {
        self.rounds.unwrap_or(self.pick(9, 1))
    }

    /// One of two.
    pub(crate) fn pick<T>(&self, full: T, short: T) -> T {
        if self.short { short } else { full }
    }

    /// A time that a short run spends a second on.
    pub(crate) fn time(&self, seconds: u64) -> Duration {
        Duration::from_secs(self.pick(seconds, 1))
    }
}
