//! What an audit found, for people and for tests.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::verdict::{Kind, Verdict};

/// Faults that are written out; their number is given in any case.
const WRITTEN: usize = 20;

/// What an audit found.
#[derive(Clone, Debug)]
pub struct Report {
    pub verdict: Verdict,
    /// Microseconds from when a message was due to when a member was shown it.
    pub latency: Histogram<u64>,
    /// The longest latency of the messages that were due in each second since posting began.
    pub slowest: BTreeMap<u64, Duration>,
    pub reconnects: u64,
    /// When posting began.
    pub posting: Instant,
    pub elapsed: Duration,
}

impl Report {
    /// The longest latency of the messages that were due between these times, in whole seconds since posting began.
    pub fn slowest(&self, from: Duration, to: Duration) -> Duration {
        self.slowest
            .range(from.as_secs()..to.as_secs().max(from.as_secs() + 1))
            .map(|(_, late)| *late)
            .max()
            .unwrap_or_default()
    }

    /// That quantile of the latency, in milliseconds.
    pub fn milliseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, reconnects, elapsed, posting: _, latency: _, slowest: _ } = self;
        let Verdict { faults, shown, acknowledged, unconfirmed, gaps, excused, connections } = verdict;
        writeln!(f, "acknowledged {acknowledged}, unconfirmed {unconfirmed}, shown {shown}, in {elapsed:.1?}")?;
        writeln!(f, "connections {connections}, reconnects {reconnects}")?;
        for kind in
            [Kind::Lost, Kind::Doubled, Kind::OutOfOrder, Kind::Misplaced, Kind::Clash, Kind::Invented, Kind::Revealed]
        {
            writeln!(f, "{:<13} {}", format!("{kind:?}"), verdict.count(kind))?;
        }
        writeln!(f, "gaps          {gaps}, excusing {excused} messages")?;
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
        let quantiles = quantiles.map(|(name, q)| format!("{name} {:.1}", self.milliseconds(q)));
        writeln!(f, "latency in ms {}", quantiles.join(", "))?;
        let mut members: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        faults.iter().for_each(|fault| *members.entry((&fault.room, &fault.member)).or_default() += 1);
        for fault in faults.iter().take(WRITTEN) {
            writeln!(f, "  {fault}")?;
        }
        if faults.len() > WRITTEN {
            writeln!(f, "  and {} more, of {} members", faults.len() - WRITTEN, members.len())?;
        }
        Ok(())
    }
}
