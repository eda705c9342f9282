//! How many messages a client may send: a token bucket kept as one time.

/// A token bucket that holds twice a second's worth. Times are microseconds on the reactors' clock.
#[derive(Debug)]
pub(super) struct Bucket {
    /// When the bucket is full again.
    full: u64,
    /// Between two messages at the sustained rate.
    interval: u32,
}

/// The burst: twice what the sustained rate allows in a second.
const BURST: u64 = 2_000_000;

impl Bucket {
    /// `rate`: messages per second, 1 to 1,000,000.
    pub(super) fn new(rate: u32) -> Self {
        Self { full: 0, interval: 1_000_000 / rate.clamp(1, 1_000_000) }
    }

    /// Takes a token, or says in how many microseconds there is one.
    pub(super) fn take(&mut self, now: u64) -> Result<(), u64> {
        self.wait(now)?;
        self.full = self.full.max(now) + u64::from(self.interval);
        Ok(())
    }

    /// As [`Bucket::take`], without taking it.
    pub(super) fn wait(&self, now: u64) -> Result<(), u64> {
        match (self.full + u64::from(self.interval)).saturating_sub(now + BURST) {
            0 => Ok(()),
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_two_seconds_passes_then_the_sustained_rate() {
        let mut bucket = Bucket::new(20);
        let now = 5_000_000;
        let burst = (0..100).filter(|_| bucket.take(now).is_ok()).count();
        assert_eq!(burst, 40);
        assert_eq!(bucket.take(now), Err(50_000));
        let later = (0..1000).filter(|ms| bucket.take(now + ms * 1000).is_ok()).count();
        assert_eq!(later, 19);
    }
}
