//! Puts other people's servers where they run, into `target/bench`: from npm and as Go modules, in the versions that
//! package-lock.json and go.sum name.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use parlor_tests::programs::repository;

/// What `npm ci` reads.
const LOCK: &str = "package-lock.json";

/// The program over the Centrifuge library, within `target/bench`.
pub(super) const CENTRIFUGE: &str = "centrifuge-peer";

/// `target/bench`.
pub(super) fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("bench")
}

/// Copies our servers' files and installs what they import, unless that was done before.
pub(crate) fn install() -> Result<()> {
    let (from, to) = (repository().join("tests/bench/peers"), directory());
    std::fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
    let same = std::fs::read(from.join(LOCK)).ok() == std::fs::read(to.join(LOCK)).ok();
    let installed = same && to.join("node_modules/.package-lock.json").exists();
    for entry in std::fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
        let path = entry.context("read the servers' files")?.path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().context("a file without a name")?;
        std::fs::copy(&path, to.join(name)).with_context(|| format!("copy {}", path.display()))?;
    }
    if !installed {
        println!("installing the servers to compare with, from npm");
        let mut npm = Command::new("npm");
        // Nobody's install scripts run: Bun's program comes as a package of its own.
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&to).stdin(Stdio::null());
        let done = npm.status().context("start npm (apt: npm)")?;
        ensure!(done.success(), "npm could not install the servers to compare with: {done}");
    }
    // Go itself knows whether anything is to be done.
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(to.join(CENTRIFUGE))
        .arg(".")
        .current_dir(from.join("centrifuge"))
        .stdin(Stdio::null());
    let done = go.status().context("start go (apt: golang-go)")?;
    ensure!(done.success(), "go could not build the server over Centrifuge: {done}");
    ensure!(
        Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok(),
        "node is missing (apt: nodejs)"
    );
    Ok(())
}
