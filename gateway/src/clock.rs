//! The time that entries and accounts in memory are dated with.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the Unix epoch that never go back, and follow a paused clock in tests. What is compared is dated
/// by one of these and its copies: two that were started apart differ.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    unix: u64,
    since: Instant,
}

impl Clock {
    /// Reads the time of day, once.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Self { unix, since: Instant::now() }
    }

    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The time that it was at `instant`.
    pub fn at(&self, instant: Instant) -> u64 {
        self.unix + instant.saturating_duration_since(self.since).as_millis() as u64
    }
}
