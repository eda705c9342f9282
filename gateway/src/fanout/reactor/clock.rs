//! The reactors' clock: microseconds since they were made, and the ticks of their timers.
//!
//! Decides nothing. A turn reads the clock once, so that all that happens in it happens at one time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A time on the reactors' clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Micros(pub(super) u64);

impl Micros {
    pub(super) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long it is from this time until `later`; nothing when that is over.
    pub(super) fn until(self, later: Self) -> Duration {
        Duration::from_micros(later.0.saturating_sub(self.0))
    }

    pub(super) fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// The tick that this time lies in.
    pub(super) fn tick(self) -> Tick {
        Tick(u32::try_from(self.millis() / Tick::MILLIS).unwrap_or(u32::MAX))
    }

    /// How long it is until the next tick.
    pub(super) fn until_tick(self) -> Duration {
        Duration::from_millis(Tick::MILLIS - self.millis() % Tick::MILLIS)
    }
}

/// A step of the timer wheel. Some four years of them fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u32);

impl Tick {
    /// Milliseconds in a tick.
    pub(super) const MILLIS: u64 = 32;
}

/// The time of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    pub(super) micros: Micros,
    /// Milliseconds since the Unix epoch, for what sessions show to people.
    pub(super) unix_millis: u64,
}

impl Now {
    pub(super) fn tick(self) -> Tick {
        self.micros.tick()
    }
}

/// One for all reactors of a gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn micros(self) -> Micros {
        Micros(self.0.elapsed().as_micros() as u64)
    }

    pub(super) fn now(self) -> Now {
        let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Now { micros: self.micros(), unix_millis }
    }
}
