//! When messages are due: a Poisson process, as people who do not wait for each other make one. Messages at even
//! intervals would never meet, and would hide what a server does when they do.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};

/// The same times in each run: rounds are compared with each other.
const SEED: u64 = 1;

/// The times at which messages are due.
pub(super) struct Arrivals {
    rate: f64,
    due: Instant,
    random: StdRng,
}

impl Arrivals {
    /// No message is ever due.
    pub(super) fn none() -> Self {
        Self::at(0.0, Instant::now())
    }

    /// `rate` messages per second from `begin` on; none where it is 0.
    pub(super) fn at(rate: f64, begin: Instant) -> Self {
        Self { rate, due: begin, random: StdRng::seed_from_u64(SEED) }
    }

    /// Messages per second, in the mean.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// When the next message is due.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.rate > 0.0).then_some(self.due)
    }

    /// The message that was due is sent.
    pub(super) fn advance(&mut self) {
        // Above 0, so that its logarithm is a number.
        let chance = 1.0 - self.random.random::<f64>();
        self.due += Duration::from_secs_f64(-chance.ln() / self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_the_mean_and_the_spread_of_a_poisson_process() {
        let begin = Instant::now();
        let mut arrivals = Arrivals::at(100.0, begin);
        let mut gaps = Vec::new();
        while gaps.len() < 10_000 {
            let due = arrivals.next().unwrap();
            arrivals.advance();
            gaps.push((arrivals.next().unwrap() - due).as_secs_f64());
        }
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        assert!((0.0097..0.0103).contains(&mean) && (0.0095..0.0105).contains(&deviation), "{mean} {deviation}");
    }
}
