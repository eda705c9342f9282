//! Reads a crate into modules. Decides what belongs to the product: code under `#[cfg(test)]` and files named after
//! tests do not.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item};

/// The path of a module, from the crate's root: empty for `lib.rs`.
pub(crate) type Module = Vec<String>;

/// A crate's product code, by module.
pub(crate) struct Crate {
    /// The crate's name in paths.
    pub(crate) name: &'static str,
    /// Every module, with the file that holds it.
    pub(crate) modules: BTreeMap<Module, File>,
}

/// A module's file and items.
pub(crate) struct File {
    /// Relative to the repository.
    pub(crate) path: String,
    /// Items of the product.
    pub(crate) items: Vec<Item>,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files below `folder` with one of `extensions`, sorted; nothing that was built or downloaded.
pub(crate) fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    const FOREIGN: [&str; 4] = ["target", "node_modules", "corpus", "golden"];
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !FOREIGN.contains(&name.as_str()) && (!name.starts_with('.') || name == ".github") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// `path` relative to the repository.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

impl Crate {
    /// The crate in `folder`. Panics if a file is not Rust.
    pub(crate) fn read(folder: &str, name: &'static str) -> Self {
        let source = root().join(folder).join("src");
        let mut crate_ = Self { name, modules: BTreeMap::new() };
        for top in ["lib.rs", "main.rs"] {
            if source.join(top).exists() {
                let module = if top == "lib.rs" { vec![] } else { vec!["main".to_owned()] };
                crate_.add(module, &source.join(top), &source);
            }
        }
        crate_
    }

    fn add(&mut self, module: Module, file: &Path, folder: &Path) {
        let parsed = syn::parse_file(&fs::read_to_string(file).unwrap());
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let items: Vec<Item> = parsed.items.into_iter().filter(|item| !is_test(item)).collect();
        for item in &items {
            let Item::Mod(child) = item else { continue };
            if child.content.is_some() {
                continue;
            }
            let name = child.ident.to_string();
            let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
            let path = module.iter().filter(|part| *part != "main").cloned().chain([name.clone()]).collect();
            let at = if flat.exists() { flat } else { nested };
            self.add(path, &at, &folder.join(&name));
        }
        self.modules.insert(module, File { path: relative(file), items });
    }
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string().contains("test"),
        _ => false,
    })
}
