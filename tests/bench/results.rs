//! The table, the targets, and RESULTS.md.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use parlor_tests::programs::repository;

use crate::machine::describe;

/// Above this share of its core the load generator measures itself: the row's latency does not count.
const GENERATOR_BUSY: f64 = 0.9;

/// One rate.
pub(crate) struct Row {
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) delivered: u64,
    pub(crate) wall: Duration,
    /// Of the gateway, and what of it the same time without messages costs.
    pub(crate) cpu: Duration,
    pub(crate) idle: Duration,
    /// Share of its core that the load generator used.
    pub(crate) generator: f64,
    pub(crate) lost: u64,
    /// Microseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU of one bare send() of such a message.
    pub(crate) send: Duration,
}

impl Row {
    /// CPU of a delivery in microseconds, without what idling costs.
    fn cost(&self) -> f64 {
        self.cpu.saturating_sub(self.idle).as_secs_f64() * 1e6 / self.delivered.max(1) as f64
    }

    /// Deliveries per second of the gateway's CPU.
    fn per_cpu(&self) -> f64 {
        self.delivered as f64 / self.cpu.as_secs_f64().max(1e-9)
    }

    /// CPU of a delivery as a share of a bare send().
    fn against_send(&self) -> f64 {
        self.cost() / (self.send.as_secs_f64() * 1e6)
    }

    fn milliseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn latency_counts(&self) -> bool {
        self.generator < GENERATOR_BUSY
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.delivered as f64 / self.wall.as_secs_f64();
        write!(
            f,
            "| {:.0} | {:.0} | {:.0} % | {:.2} M | {:.2} us | {:.2} | {:.1} / {:.1} / {:.1}{} | {} | {:.0} % |",
            self.rate,
            per_second,
            self.cpu.as_secs_f64() / self.wall.as_secs_f64() * 100.0,
            self.per_cpu() / 1e6,
            self.cost(),
            self.against_send(),
            self.milliseconds(0.5),
            self.milliseconds(0.99),
            self.milliseconds(1.0),
            if self.latency_counts() { "" } else { " (generator saturated)" },
            self.lost,
            self.generator * 100.0,
        )
    }
}

/// Connections that say nothing.
pub(crate) struct Idle {
    pub(crate) connections: usize,
    /// Resident memory of the gateway per connection.
    pub(crate) bytes: f64,
    /// CPU of the gateway per connection and second.
    pub(crate) cpu: Duration,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, bytes, cpu } = self;
        let micros = cpu.as_secs_f64() * 1e6;
        write!(f, "{connections} idle members: {bytes:.0} bytes of memory and {micros:.2} us of CPU a second each")
    }
}

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) idle: Idle,
}

impl Results {
    /// Members missed no message at any rate; unlike speed, this holds on any machine.
    pub(crate) fn nothing_lost(&self) -> bool {
        self.rows.iter().all(|row| row.lost == 0)
    }

    /// What was to be reached, and whether it was on this machine.
    pub(crate) fn targets(&self) -> Vec<(String, bool)> {
        let most = self.rows.iter().map(Row::per_cpu).fold(0.0, f64::max);
        let mut targets = vec![
            ("nothing is lost at any rate".to_owned(), self.nothing_lost()),
            (format!("1,000,000 deliveries per second of CPU ({most:.0})"), most >= 1e6),
            (format!("under 2 KB of memory for an idle connection ({:.0})", self.idle.bytes), self.idle.bytes < 2048.0),
        ];
        for row in self.rows.iter().filter(|row| row.rate == 50.0) {
            let ratio = row.against_send();
            targets.push((format!("at 50 messages/s a delivery under 2 bare send() ({ratio:.2})"), ratio < 2.0));
        }
        // Where there is room on both cores.
        let p99 = self.rows.iter().filter(|row| row.rate <= 1000.0 && row.latency_counts());
        let p99 = p99.map(|row| row.milliseconds(0.99)).fold(0.0, f64::max);
        targets.push((format!("p99 under 50 ms up to 1,000 messages/s ({p99:.1} ms)"), p99 < 50.0));
        targets
    }

    /// Writes RESULTS.md beside the benchmark.
    pub(crate) fn write(&self) -> Result<()> {
        let path = repository().join("tests/bench/RESULTS.md");
        let targets: String = self
            .targets()
            .iter()
            .map(|(what, met)| format!("* {}: {what}\n", if *met { "reached" } else { "**not reached**" }))
            .collect();
        let text = format!(
            "# Benchmark\n\n`tests/run bench` on {}. Gateway on one core; load generator and a Redis Cluster of \
             3 x (1 + 1) on the other.\n\n{self}\n{targets}",
            describe()
        );
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "One room of 1,000 native members, 100 bytes a message, history on:\n")?;
        writeln!(
            f,
            "| messages/s | deliveries/s | gateway CPU | deliveries per CPU second | CPU per delivery | \
             of a bare send() | latency p50 / p99 / max ms | lost | generator CPU |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        writeln!(f, "\n{}", self.idle)
    }
}
