//! `simulate`: the autoscaler over a recorded load.
//!
//! Reads the load and the ChatRoom, runs the simulation, and writes one line per change of size. Decides nothing itself.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::reconcile::decide::{simulation::Simulation, size};

/// The reason why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file could not be read.
    #[error("failed to read {path}: {1}", path = .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The ChatRoom is none.
    #[error("{path}: {1}", path = .0.display())]
    Manifest(PathBuf, #[source] Box<parlor_crds::ManifestError>),
    /// A line of the load is wrong.
    #[error("{file}, line {line}: {what}", file = .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What would be right.
        what: &'static str,
    },
    /// Text could not be put together.
    #[error("failed to write the answer: {0}")]
    Write(#[from] std::fmt::Error),
}

/// Runs the autoscaler of `chatroom` over `load`.
pub fn simulate(load: &Path, chatroom: &Path) -> Result<String, SimulateError> {
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|error| SimulateError::Unreadable(path.to_owned(), error));
    let room = parlor_crds::load(&read(chatroom)?)
        .map_err(|error| SimulateError::Manifest(chatroom.to_owned(), Box::new(error)))?;
    let samples =
        parse(&read(load)?).map_err(|(line, what)| SimulateError::Load { path: load.to_owned(), line, what })?;
    let mut simulation = Simulation::new(&room.spec);
    let mut out = format!("0 s: {} gateways to begin with\n", simulation.gateways);
    let (mut up, mut down) = (0, 0);
    for (second, offered) in samples {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(second));
        let before = simulation.gateways;
        let decision = simulation.step(now, offered);
        if decision.wanted != before {
            up += u32::from(decision.wanted > before);
            down += u32::from(decision.wanted < before);
            writeln!(out, "{second} s: {}", size::explain(&room.spec, &decision))?;
        }
    }
    writeln!(out, "{up} times up, {down} times down, {} gateways in the end", simulation.gateways)?;
    Ok(out)
}

/// Samples in ascending order, or the line that is wrong and what would be right.
fn parse(text: &str) -> Result<Vec<(u32, u64)>, (usize, &'static str)> {
    let mut samples: Vec<(u32, u64)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_heading = at == 0 && line.starts_with(|first: char| first.is_alphabetic());
        if line.is_empty() || line.starts_with('#') || is_heading {
            continue;
        }
        let wrong = |what| (at + 1, what);
        let (second, connections) = line.split_once(',').ok_or(wrong("write SECONDS,CONNECTIONS"))?;
        let second = second.trim().parse().map_err(|_| wrong("SECONDS must be a whole number below 4294967296"))?;
        let connections = connections.trim().parse().map_err(|_| wrong("CONNECTIONS must be a whole number"))?;
        if samples.last().is_some_and(|(last, _)| *last >= second) {
            return Err(wrong("SECONDS must ascend"));
        }
        samples.push((second, connections));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_read_with_or_without_a_heading_and_wrong_lines_are_named() {
        assert_eq!(parse("seconds,connections\n0,10\n5, 20\n"), Ok(vec![(0, 10), (5, 20)]));
        assert_eq!(parse("0,10\n0,20"), Err((2, "SECONDS must ascend")));
        assert_eq!(parse("0;10"), Err((1, "write SECONDS,CONNECTIONS")));
    }
}
