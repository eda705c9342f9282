//! `docs/chart.md` is what `values.schema.json` and `values.yaml` say.

use std::{fmt::Write, fs};

use anyhow::{Context, Result, ensure};
use parlor_tests::programs::repository;
use serde_json::Value;

use crate::chart;

const HEAD: &str = "# Values of the chart

<!-- Generated from charts/parlor/values.schema.json and values.yaml: change those, then run
     UPDATE=1 cargo test -p parlor-tests --test chart values -->

Every value of `charts/parlor`, with its default and bounds. Helm refuses a value that is not listed here, or that is out
of bounds, and names it.

| value | type | default | bounds | meaning |
|---|---|---|---|---|
";

#[test]
fn the_reference_of_values_is_up_to_date() -> Result<()> {
    let path = repository().join("docs/chart.md");
    let wanted = reference()?;
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted)?;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    ensure!(written == wanted, "docs/chart.md is old: run UPDATE=1 cargo test -p parlor-tests --test chart values");
    Ok(())
}

#[test]
fn every_default_is_described_and_every_described_value_has_a_default() -> Result<()> {
    let (schema, defaults) = (schema()?, defaults()?);
    let mut paths = Vec::new();
    fields(&schema, &schema, "", &mut |path, _| paths.push(path.to_owned()));
    for path in &paths {
        let is_there = defaults.pointer(&pointer(path)).is_some();
        // Others than this chart set it; and there is no limit by default.
        let is_optional = path.starts_with("global") || path == "resources.limits" || path.ends_with(".labels");
        ensure!(is_there || is_optional, "values.yaml has no {path}");
    }
    for name in defaults.as_object().context("values.yaml is no mapping")?.keys() {
        ensure!(paths.contains(name), "values.schema.json does not describe {name}");
    }
    Ok(())
}

fn schema() -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json"))?)?)
}

fn defaults() -> Result<Value> {
    Ok(serde_yaml::from_str(&fs::read_to_string(chart().join("values.yaml"))?)?)
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn reference() -> Result<String> {
    let (schema, defaults) = (schema()?, defaults()?);
    let mut out = HEAD.to_owned();
    let mut undescribed = Vec::new();
    fields(&schema, &schema, "", &mut |path, field| {
        let Some(meaning) = field["description"].as_str() else {
            undescribed.push(path.to_owned());
            return;
        };
        let default = match defaults.pointer(&pointer(path)) {
            Some(value) if !value.is_object() || value.as_object().is_some_and(serde_json::Map::is_empty) => {
                format!("`{value}`")
            }
            _ => String::new(),
        };
        writeln!(out, "| `{path}` | {} | {default} | {} | {meaning} |", kind(field), bounds(field))
            .expect("writing to a String does not fail");
    });
    ensure!(undescribed.is_empty(), "values.schema.json says nothing of {undescribed:?}");
    Ok(out)
}

/// Calls `with` for each property below `of`, with its path and with what it refers to filled in.
fn fields(root: &Value, of: &Value, path: &str, with: &mut impl FnMut(&str, &Value)) {
    for (name, field) in of["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let field = resolved(root, field);
        with(&path, &field);
        fields(root, &field, &path, with);
    }
}

/// The field, with what its `$ref` names where it says nothing itself.
fn resolved(root: &Value, field: &Value) -> Value {
    let named = field["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?));
    let mut all = named.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let (Some(all), Some(own)) = (all.as_object_mut(), field.as_object()) {
        all.extend(own.clone());
        all.remove("$ref");
    }
    all
}

fn kind(field: &Value) -> &str {
    match field["type"].as_str() {
        Some("object") if field["additionalProperties"].is_object() => "map",
        Some("array") => "list",
        Some(kind) => kind,
        None => "string",
    }
}

fn bounds(field: &Value) -> String {
    let mut bounds = Vec::new();
    if let Some(values) = field["enum"].as_array() {
        bounds.push(values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "));
    }
    if let (Some(least), Some(most)) = (field["minimum"].as_u64(), field["maximum"].as_u64()) {
        bounds.push(format!("{least} to {most}"));
    }
    if let Some(most) = field["maxLength"].as_u64() {
        bounds.push(format!("at most {most} characters"));
    }
    if let Some(pattern) = field["pattern"].as_str() {
        bounds.push(format!("`{}`", pattern.replace('|', "\\|")));
    }
    bounds.join("; ")
}
