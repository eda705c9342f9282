//! What a run found: tables, targets, and RESULTS.md.

use std::fmt;

use anyhow::{Context, Result};
use parlor_tests::programs::repository;

use crate::{generator::Faults, machine::describe};

/// What a row of the benchmark measured.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What was done, for someone who wants to do it again.
    pub(crate) about: String,
    pub(crate) header: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) targets: Vec<Target>,
    /// What Parlor lost, repeated, mixed up or damaged.
    pub(crate) faults: Faults,
}

/// Something to reach, and what was.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) found: String,
    pub(crate) reached: bool,
}

impl Target {
    /// At most `bound`.
    pub(crate) fn most(what: impl Into<String>, bound: f64, found: f64, unit: &str) -> Self {
        let (wanted, found_text) = (format!("<= {}{unit}", short(bound)), format!("{}{unit}", short(found)));
        Self { what: what.into(), wanted, found: found_text, reached: found <= bound }
    }

    /// At least `bound`.
    pub(crate) fn least(what: impl Into<String>, bound: f64, found: f64, unit: &str) -> Self {
        let (wanted, found_text) = (format!(">= {}{unit}", short(bound)), format!("{}{unit}", short(found)));
        Self { what: what.into(), wanted, found: found_text, reached: found >= bound }
    }
}

/// A number with three digits or so.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 1e6 => format!("{:.2} M", number / 1e6),
        n if n >= 10_000.0 => format!("{:.0} k", number / 1e3),
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 0.1 || n == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.about)?;
        line(f, self.header)?;
        line(f, &vec!["---"; self.header.len()])?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

fn line(f: &mut fmt::Formatter<'_>, cells: &[impl fmt::Display]) -> fmt::Result {
    cells.iter().try_for_each(|cell| write!(f, "| {cell} "))?;
    writeln!(f, "|")
}

/// Everything that was measured.
pub(crate) struct Results {
    pub(crate) sections: Vec<Section>,
    /// Share of the machine's time that it did not have.
    pub(crate) stolen: f64,
}

impl Results {
    /// Everyone was shown everything, once, whole and in order; unlike speed, this holds on any machine.
    pub(crate) fn kept(&self) -> bool {
        self.sections.iter().all(|section| section.faults.none())
    }

    /// Writes RESULTS.md beside the benchmark.
    pub(crate) fn write(&self, command: &str) -> Result<()> {
        let path = repository().join("tests/bench/RESULTS.md");
        let text = format!(
            "# Benchmark\n\n`{command}` on {}. The server that is measured has one core; the load generator and Redis \
             share the other. Latency is from when a message was due. Numbers are medians of rounds in which Parlor, \
             the bare system call and the other servers took turns. The hypervisor kept {:.1} % of the cores' time for \
             others, some milliseconds at once; those are in the latencies.\n\n{self}",
            describe(),
            self.stolen * 100.0
        );
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &["target", "wanted", "found", ""])?;
        line(f, &["---"; 4])?;
        for Target { what, wanted, found, reached } in self.sections.iter().flat_map(|section| &section.targets) {
            line(f, &[what.as_str(), wanted, found, if *reached { "reached" } else { "**not reached**" }])?;
        }
        let faults = self.sections.iter().fold(Faults::default(), |all, section| all.and(section.faults));
        let Faults { lost, surplus, disordered, damaged, refused } = faults;
        writeln!(
            f,
            "\nOf all that Parlor's members should have received in this run, {lost} messages were lost, {surplus} came twice, \
             {disordered} out of order and {damaged} damaged; {refused} posts were refused.\n"
        )?;
        self.sections.iter().try_for_each(|section| writeln!(f, "{section}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_what_was_wanted_and_found() {
        let target = Target::most("p99", 25.0, 30.25, " ms");
        assert_eq!((target.wanted.as_str(), target.found.as_str(), target.reached), ("<= 25.0 ms", "30.2 ms", false));
        assert!(Target::least("deliveries", 2.5e6, 2.5e6, "").reached);
    }

    #[test]
    fn a_section_is_a_table() {
        let rows = vec![vec!["1".to_owned(), "2".to_owned()]];
        let section = Section { title: "T", about: "A".to_owned(), header: &["a", "b"], rows, ..Section::default() };
        assert_eq!(section.to_string(), "## T\n\nA\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
