//! The cluster that tests speak to: the one that KUBECONFIG names, else the one that `tests/cluster/up` brings up.
//!
//! Decides only what programs of the cluster find in their environment. What is brought up here stays up, for the next
//! run; `tests/run` takes it down.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::LazyLock,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::programs::up;

/// Where the ingress of `tests/cluster/up` listens.
pub const INGRESS: &str = "127.0.0.1:8000";

static ENVIRONMENT: LazyLock<Result<Vec<(String, OsString)>, String>> =
    LazyLock::new(|| environment().map_err(|error| format!("{error:#}")));

/// A command of a program of the cluster, such as kubectl, that knows how to reach it and is ended after `seconds`.
pub(crate) fn command(program: &str, seconds: u32) -> Result<Command> {
    let environment = ENVIRONMENT.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut command = Command::new("timeout");
    command.arg(seconds.to_string()).arg(program).envs(environment.iter().cloned());
    Ok(command)
}

fn environment() -> Result<Vec<(String, OsString)>> {
    if std::env::var_os("KUBECONFIG").is_some() {
        return Ok(Vec::new());
    }
    println!("\n-- KUBECONFIG is not set: tests/cluster/up");
    let mut launcher =
        Command::new(up()).stdout(Stdio::piped()).spawn().with_context(|| format!("start {}", up().display()))?;
    let mut settings = None;
    for line in BufReader::new(launcher.stdout.take().context("the launcher has no output")?).lines() {
        let line = line.context("read what the launcher says")?;
        println!("-- {line}");
        settings = settings.or_else(|| exported(&line));
    }
    let status = launcher.wait().context("wait for the launcher")?;
    ensure!(status.success(), "the cluster did not come up ({status})");
    settings.context("the launcher did not say how to reach the cluster")
}

/// The settings of the launcher's line `export KUBECONFIG=<file> PATH=<directory>:$PATH`.
fn exported(line: &str) -> Option<Vec<(String, OsString)>> {
    let (kubeconfig, programs) = line.strip_prefix("export KUBECONFIG=")?.split_once(" PATH=")?;
    let mut path = OsString::from(programs.strip_suffix("$PATH")?);
    path.push(std::env::var_os("PATH").unwrap_or_default());
    Some(vec![("KUBECONFIG".to_owned(), kubeconfig.into()), ("PATH".to_owned(), path)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchers_line_tells_where_the_cluster_and_its_programs_are() {
        let settings = exported("export KUBECONFIG=/a/b PATH=/c/d:$PATH").unwrap();
        assert_eq!(settings[0], ("KUBECONFIG".to_owned(), "/a/b".into()));
        assert!(settings[1].1.to_str().unwrap().starts_with("/c/d:"));
        assert_eq!(exported("up in 12.3 s"), None);
    }
}
