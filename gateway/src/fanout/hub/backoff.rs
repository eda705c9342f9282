//! Pauses between attempts while the bus is unavailable.
//!
//! Doubles from 20 ms to 1 s, each drawn from the upper half of its range, so that actors do not retry in step.

use std::time::Duration;

use rand::Rng;
use tokio::time::sleep;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Counts attempts in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause before the next attempt, after one more failure.
    pub(crate) fn failed(&mut self) -> Duration {
        let longest = LONGEST.min(FIRST * (1 << self.failures.min(6)));
        self.failures += 1;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Waits for `pause`. None takes no time, where a timer takes the rest of its millisecond and a wake-up.
pub(crate) async fn rest(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(backoff.failed() <= FIRST);
        let later = (0..100).map(|_| backoff.failed()).last().unwrap();
        assert!(later >= LONGEST / 2 && later <= LONGEST);
        backoff.reset();
        assert!(backoff.failed() <= FIRST);
    }
}
