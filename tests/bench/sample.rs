//! One measurement: a load on a server at a rate for a while, and what it cost.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::{generator::Load, machine::CoreTime, server::Server};

/// Above this share of its core the load generator measures itself: latency does not count.
const GENERATOR_BUSY: f64 = 0.9;

/// What was seen meanwhile.
pub(crate) struct Sample {
    pub(crate) delivered: u64,
    pub(crate) wall: Duration,
    /// Of the server, and of its Redis.
    pub(crate) cpu: Duration,
    pub(crate) redis: Duration,
    /// Share of the load generator's core that was used, by whomever.
    pub(crate) generator: f64,
    /// Microseconds.
    latency: Histogram<u64>,
}

impl Sample {
    /// Posts `rate` messages per second for `duration`; 0 watches.
    pub(crate) fn take(load: &mut Load, server: &Server, rate: f64, duration: Duration) -> Result<Self> {
        load.seen.latency.reset();
        let (delivered, core, began) = (load.seen.delivered, CoreTime::now()?, Instant::now());
        let (cpu, redis) = (server.cpu()?, server.redis_cpu()?);
        load.run(rate, duration)?;
        Ok(Self {
            delivered: load.seen.delivered - delivered,
            wall: began.elapsed(),
            cpu: server.cpu()?.saturating_sub(cpu),
            redis: server.redis_cpu()?.saturating_sub(redis),
            generator: CoreTime::now()?.busy_since(core),
            latency: load.seen.latency.clone(),
        })
    }

    /// Deliveries per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.delivered as f64 / self.wall.as_secs_f64()
    }

    /// Deliveries per second of the server's CPU.
    pub(crate) fn per_cpu(&self) -> f64 {
        self.delivered as f64 / self.cpu.as_secs_f64().max(1e-9)
    }

    /// Deliveries per second of CPU of the server and its Redis.
    pub(crate) fn per_all_cpu(&self) -> f64 {
        self.delivered as f64 / (self.cpu + self.redis).as_secs_f64().max(1e-9)
    }

    /// Share of a core that the server used.
    pub(crate) fn load(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// Microseconds of the server's CPU a delivery, without what the same time costs it when nothing is posted.
    pub(crate) fn cost(&self, idle: f64) -> f64 {
        (self.cpu.as_secs_f64() - idle * self.wall.as_secs_f64()) * 1e6 / self.delivered.max(1) as f64
    }

    /// Milliseconds.
    pub(crate) fn latency(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// False when the load generator's core had no room.
    pub(crate) fn latency_counts(&self) -> bool {
        self.generator < GENERATOR_BUSY
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// p50 / p99 / max in milliseconds over several samples: medians of the first two, the greatest of the last.
pub(crate) fn latencies(samples: &[Sample]) -> String {
    let of = |quantile| median(samples.iter().map(|sample| sample.latency(quantile)));
    let most = samples.iter().map(|sample| sample.latency(1.0)).fold(0.0, f64::max);
    let busy = if samples.iter().all(Sample::latency_counts) { "" } else { " (generator's core full: does not count)" };
    format!("{:.1} / {:.1} / {most:.1}{busy}", of(0.5), of(0.99))
}

/// Median over samples.
pub(crate) fn typical(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(of))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!([median([]), median([3.0, 1.0, 2.0]), median([4.0, 1.0])], [0.0, 2.0, 2.5]);
    }
}
