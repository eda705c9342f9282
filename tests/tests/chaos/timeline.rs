//! What was done when, and where in it the first violation lies: enough to repeat a run that failed.

use std::{
    fmt::{self, Write as _},
    time::{Duration, Instant},
};

use parlor_tests::audit::{Plan, Report};

/// Messages that were due after an event are said to be late from here on.
const LATE: Duration = Duration::from_secs(2);

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
        let next = self.lines.iter().map(|(at, _)| *at).skip(1).chain([Duration::MAX]);
        for ((at, line), next) in self.lines.iter().zip(next) {
            let slowest = report.slowest(at.saturating_sub(posting), next.saturating_sub(posting));
            let late =
                if slowest >= LATE { format!(" (up to {:.1} s late)", slowest.as_secs_f64()) } else { String::new() };
            writeln!(text, "{:7.2} s  {line}{late}", at.as_secs_f64()).expect("strings can be written to");
        }
        text
    }
}
