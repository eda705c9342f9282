//! Joins the page's modules into one script, so that a browser fetches one file instead of thirty.
//!
//! Understands what the page's own modules use and nothing else: imports of one line from a file beside, and exports in
//! front of a function, a class, a constant or a default object. Each module becomes a function of its own, so that names
//! never clash. Called once at start; the tests run it over every module, and the browser tests run its result.

use std::{collections::BTreeMap, fmt::Write};

/// Why modules cannot be joined.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("failed to bundle {0}: there is no such module")]
    Missing(String),
    #[error("failed to bundle {0}: it imports itself, through others")]
    Circular(String),
    #[error("failed to bundle {module}: {from} exports no {name}")]
    Unknown { module: String, from: String, name: String },
    #[error("failed to read this line of {module}: {line}")]
    Line { module: String, line: String },
}

/// The script that runs `entry` after everything that it imports, each module once.
pub(super) fn bundle(entry: &str, modules: &BTreeMap<&str, &str>) -> Result<String, BundleError> {
    let mut bundle = Bundle { modules, done: Vec::new(), under_way: Vec::new(), script: String::new() };
    bundle.add(entry, true)?;
    Ok(bundle.script)
}

/// A module that is in the script, and the names that it hands on.
struct Done {
    name: String,
    exports: Vec<String>,
}

struct Bundle<'a> {
    modules: &'a BTreeMap<&'a str, &'a str>,
    /// Modules in the order in which they run; a module's place is its name in the script.
    done: Vec<Done>,
    under_way: Vec<String>,
    script: String,
}

impl Bundle<'_> {
    /// Adds a module below its imports; the entry stays at the top level, where it may await.
    fn add(&mut self, name: &str, entry: bool) -> Result<usize, BundleError> {
        if let Some(place) = self.done.iter().position(|done| done.name == name) {
            return Ok(place);
        }
        if self.under_way.iter().any(|other| other == name) {
            return Err(BundleError::Circular(name.to_owned()));
        }
        let source = *self.modules.get(name).ok_or_else(|| BundleError::Missing(name.to_owned()))?;
        self.under_way.push(name.to_owned());
        let mut body = String::new();
        let mut exports = Vec::new();
        for line in code_lines(source) {
            if let Some(import) = line.strip_prefix("import ") {
                let (names, from) = read_import(import).ok_or_else(|| unreadable(name, line))?;
                let place = self.add(from, false)?;
                self.check(name, place, &names)?;
                body.push_str(&format!("const {{ {names} }} = $m{place};\n"));
            } else if let Some(exported) = line.strip_prefix("export ") {
                let (export, code) = read_export(exported).ok_or_else(|| unreadable(name, line))?;
                exports.push(export);
                body.push_str(&code);
                body.push('\n');
            } else {
                body.push_str(line);
                body.push('\n');
            }
        }
        self.under_way.pop();
        let place = self.done.len();
        let listed = exports.join(", ");
        self.done.push(Done { name: name.to_owned(), exports });
        let written = if entry {
            write!(self.script, "{body}")
        } else {
            writeln!(self.script, "const $m{place} = (() => {{\n{body}return {{ {listed} }};\n}})();")
        };
        written.map(|()| place).map_err(|_| unreadable(name, "the end"))
    }
}

impl Bundle<'_> {
    /// Refuses names that a module does not export: they would be undefined when they are used.
    fn check(&self, module: &str, place: usize, names: &str) -> Result<(), BundleError> {
        let from = &self.done[place];
        let wanted = names.split(',').map(|name| name.split(':').next().unwrap_or(name).trim());
        let exported = |name: &str| from.exports.iter().any(|export| export.split(':').next() == Some(name));
        match wanted.into_iter().find(|name| !exported(name)) {
            None => Ok(()),
            Some(name) => {
                Err(BundleError::Unknown { module: module.into(), from: from.name.clone(), name: name.into() })
            }
        }
    }
}

/// The lines that are no documentation.
fn code_lines(source: &str) -> impl Iterator<Item = &str> {
    let mut in_comment = false;
    source.lines().filter(move |line| {
        let trimmed = line.trim_start();
        let starts = trimmed.starts_with("/**");
        let comment = in_comment || starts && (!trimmed.contains("*/") || trimmed.ends_with("*/"));
        in_comment = comment && !trimmed.contains("*/");
        !comment && !trimmed.is_empty() && !trimmed.starts_with("//")
    })
}

/// `{ a, b as c } from "./x.js";` or `a from "./x.js";`: the names to take, and the file.
fn read_import(import: &str) -> Option<(String, &str)> {
    let (names, from) = import.split_once(" from ")?;
    let from = from.trim().strip_prefix("\"./")?.strip_suffix("\";")?;
    let names = match names.trim().strip_prefix('{') {
        Some(list) => list.strip_suffix('}')?.trim().replace(" as ", ": "),
        None => format!("default: {}", names.trim()),
    };
    Some((names, from))
}

/// `function a(…`, `class A …`, `const a = …` or `default {…`: what to hand on, and the line without the export.
fn read_export(exported: &str) -> Option<(String, String)> {
    if let Some(value) = exported.strip_prefix("default ") {
        return Some(("default: $default".into(), format!("const $default = {value}")));
    }
    let declared = exported.strip_prefix("async ").unwrap_or(exported);
    let (kind, rest) = declared.split_once(' ')?;
    let name: String = rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
    let known = matches!(kind, "function" | "function*" | "class" | "const") && !name.is_empty();
    known.then(|| (name, exported.to_owned()))
}

fn unreadable(module: &str, line: &str) -> BundleError {
    BundleError::Line { module: module.to_owned(), line: line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(modules: &[(&'static str, &'static str)]) -> Result<String, BundleError> {
        bundle("main.js", &modules.iter().copied().collect())
    }

    #[test]
    fn a_module_runs_once_and_before_those_that_import_it() {
        let script = join(&[
            ("main.js", "import { a as b } from \"./a.js\";\nimport c from \"./c.js\";\nawait b(c);\n"),
            ("a.js", "import c from \"./c.js\";\n/** Says it. */\nexport function a(x) {\n  return x;\n}\n"),
            ("c.js", "export default {\n  one: 1,\n};\n"),
        ]);
        let expected = "const $m0 = (() => {\nconst $default = {\n  one: 1,\n};\nreturn { default: $default };\n})();\n\
             const $m1 = (() => {\nconst { default: c } = $m0;\nfunction a(x) {\n  return x;\n}\nreturn { a };\n})();\n\
             const { a: b } = $m1;\nconst { default: c } = $m0;\nawait b(c);\n";
        assert_eq!(script, Ok(expected.to_owned()));
    }

    #[test]
    fn modules_that_import_each_other_are_refused() {
        let circle = [("main.js", "import { a } from \"./a.js\";\n"), ("a.js", "import { b } from \"./main.js\";\n")];
        assert_eq!(join(&circle), Err(BundleError::Circular("main.js".into())));
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        assert_eq!(join(&[("main.js", "import { a } from \"./a.js\";\n")]), Err(BundleError::Missing("a.js".into())));
    }

    #[test]
    fn a_name_that_is_not_exported_is_named() {
        let error = join(&[("main.js", "import { a, b } from \"./a.js\";\n"), ("a.js", "export const a = 1;\n")]);
        let expected = BundleError::Unknown { module: "main.js".into(), from: "a.js".into(), name: "b".into() };
        assert_eq!(error, Err(expected));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for line in ["export let a = 1;", "import \"./a.js\";", "export * from \"./a.js\";"] {
            let error = bundle("main.js", &BTreeMap::from([("main.js", line)]));
            assert_eq!(error, Err(BundleError::Line { module: "main.js".into(), line: line.into() }));
        }
    }

    #[test]
    fn documentation_is_left_out_and_code_is_not() {
        let lines: Vec<_> =
            code_lines("/** a */\n/**\n * b\n */\nx /** c */ = 1;\n/** @type {T} */ y = 2;\n// d\nz();").collect();
        assert_eq!(lines, ["x /** c */ = 1;", "/** @type {T} */ y = 2;", "z();"]);
    }
}
