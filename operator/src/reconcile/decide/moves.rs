//! What moving connections between gateways has achieved, from pass to pass.
//!
//! Decides when the next move may begin, and when moving is given up. Kept in the pass cache by `recall`; read by `balance`.

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Moves in a row that may bring nothing before a fleet is left as it is.
pub const MOST_VAIN: u8 = 4;
/// Clients that were asked to move have reconnected, and gateways have been asked again, so long after the last was asked.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_secs(15);

/// What moves have achieved for the fleet as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// The gateways that served. Others make another fleet, for which it begins again.
    fleet: BTreeSet<String>,
    /// Smallest difference between the fullest and the emptiest gateway at which something was moved.
    least: Option<u64>,
    /// Moves that did not make the difference smaller.
    vain: u8,
    /// When the last move will have had its effect.
    until: Option<Timestamp>,
}

impl Moves {
    /// Begins again if other gateways serve.
    pub fn note_fleet(&mut self, fleet: BTreeSet<String>) {
        if self.fleet != fleet {
            *self = Self { fleet, ..Self::default() };
        }
    }

    /// Notes that connections are being moved, at most `connections` by one gateway.
    pub fn note_move(&mut self, spread: u64, connections: u32, rate: u32, now: Timestamp) {
        if self.until.is_none_or(|until| until <= now) {
            let helped = self.least.is_none_or(|least| spread < least);
            self.vain = if helped { 0 } else { self.vain + 1 };
            self.least = Some(self.least.map_or(spread, |least| least.min(spread)));
        }
        let takes = SignedDuration::from_secs(i64::from(connections / rate.max(1)));
        let until = now + takes + SETTLES_WITHIN;
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// Whether the last move has had its effect, and moving helps.
    pub fn may_go_on(&self, now: Timestamp) -> bool {
        self.vain < MOST_VAIN && self.until.is_none_or(|until| until <= now)
    }
}
