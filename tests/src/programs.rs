//! The programs that tests start: those that `tests/cluster/up` builds, such as kubectl and helm, and our own. Decides only
//! where they are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, ensure};

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
static CHECKS: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the programs; builds them first if this machine has none, which takes ten minutes.
pub fn directory() -> Result<PathBuf> {
    if let Some(directory) = DIRECTORY.get() {
        return Ok(directory.clone());
    }
    let built = build("programs")?;
    Ok(DIRECTORY.get_or_init(|| built).clone())
}

/// The directory of `registry`, `checkrules`, `actionlint`, `metrics-server` and what KEDA says of itself; builds them first if this machine has none.
pub fn checks() -> Result<PathBuf> {
    if let Some(directory) = CHECKS.get() {
        return Ok(directory.clone());
    }
    let built = build("checks")?;
    Ok(CHECKS.get_or_init(|| built).clone())
}

fn build(what: &str) -> Result<PathBuf> {
    let output =
        Command::new(up()).args(["--only", what]).output().with_context(|| format!("run {}", up().display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(exported_path).with_context(|| format!("no PATH in what the build said:\n{said}"))
}

/// The launcher of clusters.
pub fn up() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/up")
}

/// The operator: `PARLOR_OPERATOR`, else the workspace's, built first so that no test runs an old one.
pub fn operator() -> Result<PathBuf> {
    match std::env::var_os("PARLOR_OPERATOR") {
        Some(path) => Ok(path.into()),
        None => build_own("parlor-operator", "parlor-operator", &[]),
    }
}

/// Builds a binary of this workspace in the profile of the running test.
pub(crate) fn build_own(package: &str, binary: &str, arguments: &[&str]) -> Result<PathBuf> {
    let test = std::env::current_exe().context("find the running test")?;
    let profile = test.ancestors().nth(2).context("a test outside a target directory")?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", package, "--bin", binary]).args(arguments).current_dir(repository());
    // The test's own package must not look like the gateway's: build scripts run again when these change.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    let output = build.output().context("run cargo")?;
    ensure!(output.status.success(), "{binary} does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(profile.join(binary))
}

/// The root of the repository that these tests were built from.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first directory of PATH in the launcher's line `export … PATH=<directory>:$PATH`.
pub(crate) fn exported_path(line: &str) -> Option<PathBuf> {
    let (_, path) = line.strip_prefix("export ")?.split_once("PATH=")?;
    Some(path.split(':').next()?.into())
}
