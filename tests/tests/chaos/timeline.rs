//! What was done when, and where in it the first violation lies: enough to repeat a run that failed.

use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

use parlor_tests::audit::{Plan, Report};

/// Grows while a schedule runs. Each line is printed as well, for those who watch.
#[derive(Debug)]
pub(crate) struct Timeline {
    seed: u64,
    began: Instant,
    lines: Vec<(Duration, String)>,
}

impl Timeline {
    pub(crate) fn start(seed: u64) -> Self {
        println!("| seed {seed}");
        Self { seed, began: Instant::now(), lines: Vec::new() }
    }

    pub(crate) fn note(&mut self, what: impl fmt::Display) {
        let at = self.began.elapsed();
        println!("| {:7.2} s  {what}", at.as_secs_f64());
        self.lines.push((at, what.to_string()));
    }

    /// The report, and behind it the seed and the timeline with the first violation in its place.
    pub(crate) fn with(mut self, plan: &Plan, report: &Report) -> String {
        let posting = report.posting.saturating_duration_since(self.began);
        let when = |fault: &&parlor_tests::audit::verdict::Fault| plan.due(fault.key).map(|due| posting + due);
        let first = report.verdict.faults.iter().filter_map(|fault| Some((when(&fault)?, fault))).min_by_key(|f| f.0);
        if let Some((due, fault)) = first {
            self.lines.push((due, format!("FIRST VIOLATION: this message was due: {fault}")));
            self.lines.sort_by_key(|line| line.0);
        }
        let mut text = format!("{report}seed {} (CHAOS_SEED)\n", self.seed);
        for (at, line) in &self.lines {
            writeln!(text, "{:7.2} s  {line}", at.as_secs_f64()).expect("strings can be written to");
        }
        text
    }
}
