//! What time it is on a Redis server, for what happened on this gateway.

use std::time::Duration;

use fred::types::Value;
use tokio::time::Instant;

use super::connection::{Command, Fault, Node, list, number};

/// How long a server may take to tell.
const ANSWER: Duration = Duration::from_secs(1);

/// A server's time, as it was read once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerTime {
    /// Microseconds since the Unix epoch.
    told: u64,
    /// When the answer was here, so at or after `told`.
    here: Instant,
}

impl ServerTime {
    pub(crate) async fn of(node: &Node) -> Result<Self, Fault> {
        let answer = list(node.call(Command::new("TIME"), ANSWER).await?);
        let told = micros(&answer).ok_or_else(|| Fault::Refused(format!("TIME is {answer:?}").into()))?;
        Ok(Self { told, here: Instant::now() })
    }

    /// The server's time at `instant` in milliseconds, or before it by as long as the answer took: never after it.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        let before = self.here.saturating_duration_since(instant).as_nanos().div_ceil(1000);
        let after = instant.saturating_duration_since(self.here).as_micros();
        (self.told + after as u64).saturating_sub(before as u64) / 1000
    }
}

/// Microseconds since the Unix epoch, from an answer of TIME.
pub(super) fn micros(answer: &[Value]) -> Option<u64> {
    let [seconds, micros] = answer else { return None };
    number(seconds)?.checked_mul(1_000_000)?.checked_add(number(micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_numbers_is_none() {
        assert_eq!(micros(&["1700000000".into(), "5".into()]), Some(1_700_000_000_000_005));
        assert_eq!(micros(&[u64::MAX.to_string().into(), "5".into()]), None);
    }

    #[test]
    fn an_instant_is_never_dated_too_late() {
        let here = Instant::now();
        let time = ServerTime { told: 5_000_000, here };
        let table = [(0, 5000), (999, 5000), (1000, 5001)];
        for (after, dated) in table {
            assert_eq!(time.at(here + Duration::from_micros(after)), dated);
        }
        for (before, dated) in [(1, 4999), (1_000_000, 4999), (1_000_001, 4998), (60_000_000_000, 0)] {
            assert_eq!(time.at(here - Duration::from_nanos(before)), dated);
        }
    }
}
