//! The programs that `tests/cluster/up` builds: kubectl, helm, the parts of Kubernetes. Decides only where they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// The directory of the programs; builds them first if this machine has none, which takes ten minutes.
pub fn directory() -> Result<PathBuf> {
    if let Some(directory) = DIRECTORY.get() {
        return Ok(directory.clone());
    }
    let built = build()?;
    Ok(DIRECTORY.get_or_init(|| built).clone())
}

fn build() -> Result<PathBuf> {
    let output =
        Command::new(up()).args(["--only", "programs"]).output().with_context(|| format!("run {}", up().display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().find_map(exported_path).with_context(|| format!("no PATH in what the build said:\n{said}"))
}

/// The launcher of clusters.
pub fn up() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/up")
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
