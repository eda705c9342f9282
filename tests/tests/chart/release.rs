//! What a release is made of: workflows that GitHub can read, and one version everywhere.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use parlor_tests::programs::{self, repository};
use serde_json::Value;

use crate::{chart, text};

#[test]
fn every_workflow_is_one_that_github_can_run() -> Result<()> {
    let checked = Command::new(programs::checks()?.join("actionlint"))
        // shellcheck has a step of its own in the unit tests, and pyflakes has nothing to read.
        .args(["-no-color", "-shellcheck=", "-pyflakes="])
        .args([".github/workflows/test.yaml", ".github/workflows/release.yaml"])
        .current_dir(repository())
        .output()
        .context("run actionlint")?;
    ensure!(checked.status.success(), "{}", text(&checked));
    Ok(())
}

#[test]
fn chart_and_programs_have_one_version() -> Result<()> {
    let chart: Value = serde_yaml::from_str(&fs::read_to_string(chart().join("Chart.yaml"))?)?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(chart["version"] == version && chart["appVersion"] == version, "{chart} is not of {version}");
    let workflows = fs::read_to_string(repository().join(".github/workflows/release.yaml"))?;
    ensure!(workflows.contains("linux/amd64,linux/arm64") && workflows.contains("cosign sign"));
    Ok(())
}
