//! How many messages a client may send: a token bucket kept as one time, and when a flooder is shown the door.

use crate::fanout::reactor::clock::Micros;

/// A token bucket that holds the messages of two seconds.
#[derive(Debug)]
pub(super) struct Bucket {
    /// When the bucket is full again.
    full: Micros,
    /// Microseconds between two messages at the sustained rate.
    interval: u32,
    /// Messages refused, less those that were forgiven.
    refused: u32,
}

/// The burst: twice what the sustained rate allows in one second.
const BURST: u64 = 2_000_000;

/// Refusals after which a client floods. A client that retries its messages in a loop has received so many times what
/// is wrong; one that is merely busy never gets there.
const FLOOD: u32 = 1000;

/// Refusals that one message within the rate makes up for, so that only who sends many times the rate floods.
const FORGIVEN: u32 = 10;

impl Bucket {
    /// `rate`: messages per second, 1 to 1,000,000.
    pub(super) fn new(rate: u32) -> Self {
        Self { full: Micros(0), interval: 1_000_000 / rate.clamp(1, 1_000_000), refused: 0 }
    }

    /// Takes a token, or says in how many microseconds there is one.
    pub(super) fn take(&mut self, now: Micros) -> Result<(), u64> {
        if let Err(wait) = self.wait(now) {
            self.refused = self.refused.saturating_add(1);
            return Err(wait);
        }
        self.refused = self.refused.saturating_sub(FORGIVEN);
        self.full = Micros(self.full.max(now).0 + u64::from(self.interval));
        Ok(())
    }

    /// As [`Bucket::take`], without taking it.
    pub(super) fn wait(&self, now: Micros) -> Result<(), u64> {
        match (self.full.0 + u64::from(self.interval)).saturating_sub(now.0 + BURST) {
            0 => Ok(()),
            wait => Err(wait),
        }
    }

    /// Whether so many messages were refused that the client will not learn.
    pub(super) fn floods(&self) -> bool {
        self.refused > FLOOD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_two_seconds_passes_then_the_sustained_rate() {
        let mut bucket = Bucket::new(20);
        let now = 5_000_000;
        let burst = (0..100).filter(|_| bucket.take(Micros(now)).is_ok()).count();
        assert_eq!(burst, 40);
        assert_eq!(bucket.take(Micros(now)), Err(50_000));
        let later = (0..1000).filter(|ms| bucket.take(Micros(now + ms * 1000)).is_ok()).count();
        assert_eq!(later, 19);
    }

    /// Whether a client that sends `rate` messages per second for a minute, of 20 allowed, is found to flood.
    fn floods(rate: u64) -> bool {
        let mut bucket = Bucket::new(20);
        (0..60 * rate).any(|n| {
            let _ = bucket.take(Micros(n * 1_000_000 / rate));
            bucket.floods()
        })
    }

    #[test]
    fn only_a_client_that_sends_many_times_its_rate_floods() {
        assert!(!floods(20));
        assert!(!floods(200));
        assert!(floods(300));
        assert!(floods(100_000));
    }
}
