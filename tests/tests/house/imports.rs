//! Who imports whom. An arrow goes from the file that names something to the file that defines it, also where a module
//! passes it on with `pub use`.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree, Visibility};

use super::source::{Crate, Module};

/// From one file to another, both relative to the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A name that a module brings in: `use path as name`, or everything of `path`.
struct Import {
    path: Vec<String>,
    name: Option<String>,
    passed_on: bool,
}

/// How many `pub use` an item is followed through: more would be a circle of them.
const DEPTH: usize = 8;

/// Every arrow of `crate_`, without those from a file to itself.
pub(crate) fn of(crate_: &Crate) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (module, file) in &crate_.modules {
        for path in paths(&file.items) {
            let Some(target) = resolve(crate_, module, &path, DEPTH) else { continue };
            let to = &crate_.modules[&target].path;
            if *to != file.path {
                arrows.insert(Arrow { from: file.path.clone(), to: to.clone() });
            }
        }
    }
    arrows
}

/// Every path that the items of a module name, imports that are only passed on excepted.
fn paths(items: &[Item]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for item in items {
        match item {
            Item::Use(_) => {
                let imports = imports(std::slice::from_ref(item));
                found.extend(imports.into_iter().filter(|import| !import.passed_on).map(|import| import.path));
            }
            Item::Mod(inline) if inline.content.is_none() => {}
            item => scan(item.to_token_stream(), &mut found),
        }
    }
    found
}

/// Paths of two or more names in any code, the arguments of macros included.
fn scan(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut end = |path: &mut Vec<String>| {
        if path.len() > 1 {
            found.push(path.clone());
        }
        path.clear();
    };
    let mut inner = Vec::new();
    let mut visibility = false;
    for token in tokens {
        // The path in pub(in path) says who may look, not what is used.
        let after_pub = std::mem::replace(&mut visibility, matches!(&token, TokenTree::Ident(word) if word == "pub"));
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    end(&mut path);
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && colons < 2 => colons += 1,
            other => {
                end(&mut path);
                colons = 0;
                if let TokenTree::Group(group) = other
                    && !after_pub
                {
                    inner.push(group.stream());
                }
            }
        }
    }
    end(&mut path);
    for tokens in inner {
        scan(tokens, found);
    }
}

fn imports(items: &[Item]) -> Vec<Import> {
    let mut found = Vec::new();
    for item in items {
        if let Item::Use(item) = item {
            let passed_on = !matches!(item.vis, Visibility::Inherited);
            flatten(&item.tree, &mut Vec::new(), passed_on, &mut found);
        }
    }
    found
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, passed_on: bool, found: &mut Vec<Import>) {
    let whole = |prefix: &[String], last: Option<String>| prefix.iter().cloned().chain(last).collect();
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, passed_on, found);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push(Import { path: prefix.clone(), name: prefix.last().cloned(), passed_on });
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push(Import { path: whole(prefix, Some(name.clone())), name: Some(name), passed_on });
        }
        UseTree::Rename(rename) => {
            let path = whole(prefix, Some(rename.ident.to_string()));
            found.push(Import { path, name: Some(rename.rename.to_string()), passed_on });
        }
        UseTree::Glob(_) => found.push(Import { path: prefix.clone(), name: None, passed_on }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, passed_on, found)),
    }
}

/// The module that defines what `path` means inside `module`; None for what is not of this crate.
fn resolve(crate_: &Crate, module: &Module, path: &[String], depth: usize) -> Option<Module> {
    let (first, mut rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" => vec![],
        name if name == crate_.name => vec![],
        "self" => module.clone(),
        "super" => parent(module)?,
        name => child(crate_, module, name)?,
    };
    while let Some((name, further)) = rest.split_first() {
        if name == "super" {
            at = parent(&at)?;
        } else if let Some(inner) = child(crate_, &at, name) {
            at = inner;
        } else {
            break;
        }
        rest = further;
    }
    match rest.first() {
        Some(name) if depth > 0 => Some(definer(crate_, &at, name, depth).unwrap_or(at)),
        _ => Some(at),
    }
}

/// Where `name` comes from, if `module` has it from another module of the crate.
fn definer(crate_: &Crate, module: &Module, name: &str, depth: usize) -> Option<Module> {
    let imports = imports(&crate_.modules.get(module)?.items);
    let import = imports.iter().find(|import| import.name.as_deref() == Some(name))?;
    resolve(crate_, module, &import.path, depth - 1)
}

fn parent(module: &Module) -> Option<Module> {
    module.split_last().map(|(_, outer)| outer.to_vec())
}

fn child(crate_: &Crate, module: &Module, name: &str) -> Option<Module> {
    let inner: Module = module.iter().cloned().chain([name.to_owned()]).collect();
    crate_.modules.contains_key(&inner).then_some(inner)
}
