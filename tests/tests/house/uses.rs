//! How a file begins: one `use` for each crate, first those of std, then other crates', then our own.

use std::fs;

use syn::{Item, ItemUse, UseTree, Visibility};

use super::source::{files, relative, root};

/// The `use` items that name a crate a second time, or that follow those of a later group.
pub(crate) fn findings() -> Vec<String> {
    let rust = files(&root(), &["rs"]).into_iter();
    let read = rust.map(|file| (relative(&file), syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap()));
    read.flat_map(|(path, file)| in_items(&file.items).into_iter().map(move |name| format!("{path}: {name}"))).collect()
}

fn in_items(items: &[Item]) -> Vec<String> {
    let plain = |item: &&ItemUse| item.attrs.is_empty() && matches!(item.vis, Visibility::Inherited);
    let uses = items.iter().filter_map(|item| if let Item::Use(item) = item { Some(item) } else { None });
    let roots: Vec<String> = uses.filter(plain).filter_map(|item| first(&item.tree)).collect();
    let wrong =
        |at: usize| roots[..at].contains(&roots[at]) || roots[..at].iter().any(|one| group(one) > group(&roots[at]));
    (0..roots.len()).filter(|at| wrong(*at)).map(|at| roots[at].clone()).collect()
}

fn first(tree: &UseTree) -> Option<String> {
    match tree {
        UseTree::Path(path) => Some(path.ident.to_string()),
        UseTree::Name(name) => Some(name.ident.to_string()),
        UseTree::Rename(rename) => Some(rename.ident.to_string()),
        UseTree::Glob(_) | UseTree::Group(_) => None,
    }
}

fn group(root: &str) -> u8 {
    match root {
        "std" | "core" | "alloc" => 0,
        "crate" | "super" | "self" => 2,
        _ => 1,
    }
}

#[test]
fn a_crate_named_twice_and_one_after_our_own_are_found() {
    let found = |text: &str| in_items(&syn::parse_file(text).unwrap().items);
    assert_eq!(found("use std::fs;\nuse serde::Serialize;\nuse crate::a;\nuse super::b;"), Vec::<String>::new());
    assert_eq!(found("use serde::Serialize;\nuse serde::Deserialize;"), ["serde"]);
    assert_eq!(found("use crate::a;\nuse serde::Serialize;"), ["serde"]);
}
