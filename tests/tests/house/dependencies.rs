//! Dependencies that a Cargo.toml declares and no code of its crate names.

use std::{collections::BTreeSet, fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};

use super::source::{files, relative, root};

/// Needed although no code names them, with the reason.
const UNNAMED: [(&str, &str); 0] = [];

/// `Cargo.toml: dependency` for each unused one.
pub(crate) fn unused() -> Vec<String> {
    let manifests = files(&root(), &["toml"]).into_iter().filter(|path| path.ends_with("Cargo.toml"));
    manifests.flat_map(|manifest| of_crate(&manifest)).collect()
}

fn of_crate(manifest: &Path) -> Vec<String> {
    let declared = declared(&fs::read_to_string(manifest).unwrap());
    let named = named(manifest.parent().unwrap());
    let path = relative(manifest);
    let unused = declared
        .into_iter()
        .filter(|name| !named.contains(&name.replace('-', "_")) && !UNNAMED.contains(&(path.as_str(), name.as_str())));
    unused.map(|name| format!("{path}: {name}")).collect()
}

/// Names in the sections `[dependencies]`, `[dev-dependencies]` and `[build-dependencies]`.
pub(crate) fn declared(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies") && !section.starts_with("workspace");
        } else if inside && line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            names.extend(line.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    names
}

fn named(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let nested: Vec<_> =
        files(folder, &["toml"]).into_iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    for file in files(folder, &["rs"]) {
        // A crate in a folder of this one speaks for itself.
        if nested.iter().any(|other| other != folder && file.starts_with(other)) {
            continue;
        }
        let tokens: TokenStream = fs::read_to_string(&file).unwrap().parse().unwrap();
        collect(tokens, &mut names);
    }
    names
}

fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => drop(names.insert(ident.to_string())),
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(text) => {
                // Attributes name functions in strings: #[serde(with = "path::of::it")].
                names.extend(text.to_string().split("::").map(|part| part.trim_matches('"').to_owned()));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

#[test]
fn declared_names_are_those_of_dependency_sections() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde.workspace = true\nkube = { version = \"5\" }\n\
                    [dev-dependencies]\ninsta = \"1\"\n[lints]\nworkspace = true\n";
    assert_eq!(declared(manifest), ["serde", "kube", "insta"]);
}
