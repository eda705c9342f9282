//! Documents point at what exists: links at files and headings, and the table of doors in SECURITY.md at tests.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use regex::Regex;

use super::source::{files, relative, root};

/// `document: target` for each link that leads nowhere.
pub(crate) fn broken_links() -> Vec<String> {
    static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s\[\]*]+)\)").unwrap());
    let mut broken = Vec::new();
    for document in files(&root(), &["md"]) {
        let text = fs::read_to_string(&document).unwrap();
        for link in LINK.captures_iter(&text) {
            let target = &link[1];
            let foreign = target.contains("://") || target.starts_with("mailto:");
            if !foreign && !leads_somewhere(&document, target) {
                broken.push(format!("{}: {target}", relative(&document)));
            }
        }
    }
    broken
}

fn leads_somewhere(document: &Path, target: &str) -> bool {
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let file = if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    match heading {
        None => file.exists(),
        Some(heading) => fs::read_to_string(file).is_ok_and(|text| headings(&text).contains(heading)),
    }
}

/// Headings as links name them: lower case, words joined by '-', other signs left out.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    titles.map(slug).collect()
}

/// `document: command` for each `cargo run` of a package with several binaries that names none of them. Cargo runs it only
/// if the package says which is meant.
pub(crate) fn ambiguous_commands() -> Vec<String> {
    static RUN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"cargo run [^\n`|]*-p parlor-([a-z]+)[^\n`|]*").unwrap());
    let mut found = Vec::new();
    for document in files(&root(), &["md"]) {
        let text = fs::read_to_string(&document).unwrap();
        for run in RUN.captures_iter(&text).filter(|run| !run[0].contains("--bin ")) {
            let manifest = fs::read_to_string(root().join(&run[1]).join("Cargo.toml")).unwrap();
            let binaries = manifest.lines().filter(|line| *line == "[[bin]]").count();
            if binaries > 1 && !manifest.contains("\ndefault-run = ") {
                found.push(format!("{}: {}", relative(&document), &run[0]));
            }
        }
    }
    found
}

/// Tests that SECURITY.md names and nobody wrote.
pub(crate) fn missing_tests() -> Vec<String> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap());
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named: BTreeSet<String> = NAME.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    assert!(named.len() > 10, "SECURITY.md names its tests");
    let code: String = files(&root(), &["rs"]).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect()
}

#[test]
fn a_heading_is_found_by_its_slug() {
    assert!(headings("# One two\n## `three`, four").contains("three-four"));
    assert!(headings("# One two").contains("one-two"));
}
