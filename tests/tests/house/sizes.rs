//! Files that hold more than one concept by now. A file that grows beyond the bound wants to be split, and each part to
//! have a name of its own.

use std::fs;

use super::source::{files, relative, root};

/// Lines of a Rust file, its tests included.
const LINES: usize = 400;

/// Lines of ARCHITECTURE.md, which somebody reads on their first day.
const PAGE: usize = 150;

/// `file: N lines` for each file beyond its bound.
pub(crate) fn findings() -> Vec<String> {
    let rust = files(&root(), &["rs"]).into_iter().map(|file| (file, LINES));
    let bounded = rust.chain([(root().join("ARCHITECTURE.md"), PAGE)]);
    let measured =
        bounded.map(|(file, bound)| (relative(&file), fs::read_to_string(file).unwrap().lines().count(), bound));
    measured
        .filter(|(_, lines, bound)| lines > bound)
        .map(|(file, lines, _)| format!("{file}: {lines} lines"))
        .collect()
}
