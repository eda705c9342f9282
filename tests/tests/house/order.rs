//! The order of imports. ARCHITECTURE.md gives the reasons; this is the table that holds it.

use std::{collections::BTreeSet, fs};

use quote::ToTokens;

use super::{
    dependencies,
    imports::Arrow,
    source::{Crate, root},
};

/// Each crate, and which crates of the workspace it may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("crds/redis", &[]),
    ("crds", &["parlor-redis"]),
    ("gateway", &["parlor-crds", "parlor-redis"]),
    ("operator", &["parlor-crds", "parlor-redis"]),
    ("tests", &["parlor-crds", "parlor-redis", "parlor-gateway", "parlor-operator"]),
    ("tests/fuzz", &["parlor-crds", "parlor-redis", "parlor-gateway", "parlor-operator"]),
];

/// Folders of the gateway from the top down. A file imports from its own folder and from lower ranks; folders
/// that share a rank do not know each other.
const RANKS: [&[&str]; 8] = [
    &["main", "args", "run", "probe", "echo"],
    &["http"],
    &["protocols"],
    &["fanout"],
    &["bus", "directory", "moderation", "tokens"],
    &["redis"],
    &["rooms"],
    // What every folder may use: it decides nothing.
    &["clock", "deadlines", "authorities"],
];

/// Parts that carry every protocol and name none.
const NEUTRAL: [&str; 6] = ["fanout", "bus", "redis", "directory", "moderation", "tokens"];

/// Dependencies between crates that go another way than the table's.
pub(crate) fn between_crates() -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let ours = dependencies::declared(&manifest).into_iter().filter(|name| name.starts_with("parlor-"));
        wrong.extend(ours.filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{folder} -> {name}")));
    }
    wrong
}

/// Arrows that do not go down.
pub(crate) fn within_gateway(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    arrows
        .iter()
        .filter(|Arrow { from, to }| !goes_down(from, to))
        .map(|Arrow { from, to }| format!("{from} -> {to}"))
        .collect()
}

fn goes_down(from: &str, to: &str) -> bool {
    let (from, to) = (folder(from), folder(to));
    // The top assembles the parts, and is one part itself.
    from == to || rank(from) < rank(to) || (rank(from), rank(to)) == (0, 0)
}

/// `gateway/src/rooms/log.rs` is in `rooms`, `gateway/src/args.rs` is `args`.
fn folder(file: &str) -> &str {
    let inside = file.strip_prefix("gateway/src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn rank(folder: &str) -> usize {
    RANKS
        .iter()
        .position(|rank| rank.contains(&folder))
        .unwrap_or_else(|| panic!("gateway/src/{folder} has no rank: give it one in RANKS and in ARCHITECTURE.md"))
}

/// Places in neutral parts that name a variant of `ProtocolId`.
pub(crate) fn named_protocols(gateway: &Crate) -> Vec<String> {
    let mut named = BTreeSet::new();
    for file in gateway.modules.values().filter(|file| NEUTRAL.contains(&folder(&file.path))) {
        for item in &file.items {
            let text = item.to_token_stream().to_string();
            for (at, _) in text.match_indices("ProtocolId :: ") {
                let name: String = text[at + 14..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let variant = name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
                if variant {
                    named.insert(format!("{}: {name}", file.path));
                }
            }
        }
    }
    named.into_iter().collect()
}

#[test]
fn an_import_upwards_or_sideways_is_found() {
    assert!(goes_down("gateway/src/http/admin.rs", "gateway/src/bus/mod.rs"));
    assert!(goes_down("gateway/src/bus/memory/log.rs", "gateway/src/bus/mod.rs"));
    assert!(!goes_down("gateway/src/bus/mod.rs", "gateway/src/directory/mod.rs"));
    assert!(!goes_down("gateway/src/rooms/mod.rs", "gateway/src/bus/mod.rs"));
}
