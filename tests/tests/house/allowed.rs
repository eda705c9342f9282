//! Findings that are known and not cleared yet: `allowed/NAME.txt`, one per line. A list may only shrink: a finding that
//! is not listed fails, and so does a line whose finding is gone.

use std::{collections::BTreeSet, fs};

use super::source::root;

/// Compares `found` with the list `name`. With UPDATE=1 lines that no longer hold are removed; new ones never get in.
pub(crate) fn check(name: &str, found: &[String]) {
    let path = root().join("tests/tests/house/allowed").join(format!("{name}.txt"));
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let listed: BTreeSet<&str> = listed.lines().filter(|line| !line.is_empty()).collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let new: Vec<&str> = found.difference(&listed).copied().collect();
    assert!(new.is_empty(), "new findings ({name}):\n{}", new.join("\n"));
    let gone: Vec<&str> = listed.difference(&found).copied().collect();
    if gone.is_empty() {
        return;
    }
    let left: Vec<&str> = listed.intersection(&found).copied().collect();
    if std::env::var_os("UPDATE").is_some() {
        if left.is_empty() {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, left.join("\n") + "\n").unwrap();
        }
        return;
    }
    panic!(
        "cleared, so take them off {}: UPDATE=1 cargo test -p parlor-tests --test house\n{}",
        path.display(),
        gone.join("\n")
    );
}
