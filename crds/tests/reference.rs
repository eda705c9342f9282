//! `docs/chatroom.md` is what the types say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;

const HEAD: &str = "# The ChatRoom

<!-- Generated from the types in crds/src: change those, then run UPDATE=1 cargo test -p parlor-crds --test reference -->

Every field of a ChatRoom, with its default and bounds. `kubectl explain chatroom.spec` shows the same text, and
[crds/examples](../crds/examples) has manifests that run as they are. `parlor-gateway FILE` checks a file by the same
rules as the API server, and refuses it with the same words.

A field without a default is optional unless it is marked as required. Durations are written like `30s`, `5m` or
`1h30m`.
";

/// What a change of each part of the spec does to a running ChatRoom. A part without a line here fails the test.
const CHANGES: [(&str, &str); 15] = [
    ("protocols", GATEWAYS),
    ("history", GATEWAYS),
    ("limits", GATEWAYS),
    ("auth", GATEWAYS),
    ("moderation", GATEWAYS),
    ("page", GATEWAYS),
    ("replicas", "Gateways are added or drained. No other gateway is touched."),
    ("scaling", "Gateways are added or drained if the new numbers ask for it. No other gateway is touched."),
    ("drain", "Takes effect with the next drain. No gateway is replaced."),
    (
        "redis",
        "Redis servers restart one at a time where needed, and volumes grow in place. The kind cannot be changed.",
    ),
    ("route", "The HTTPRoute or Ingress follows in place. Only `publicURL` replaces gateways."),
    ("service", "The Services follow in place."),
    ("template", GATEWAYS),
    ("suspend", "Gateways are drained to zero, or started again. Redis stays."),
    ("api", GATEWAYS),
];

const GATEWAYS: &str = "Gateways are replaced one after another: new ones first, then the old ones are drained.";

/// Types of Kubernetes: their own documentation describes them.
const FOREIGN: [&str; 9] = [
    "affinity",
    "resources",
    "tolerations",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "conditions",
    "env",
    "securityContext",
    "podSecurityContext",
];

#[test]
fn the_reference_of_the_chatroom_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/chatroom.md");
    let wanted = reference();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == wanted, "docs/chatroom.md is old: run UPDATE=1 cargo test -p parlor-crds --test reference");
}

fn reference() -> String {
    let definition = serde_json::to_value(parlor_crds::crd()).unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut out = HEAD.to_owned();
    rules(&schema["properties"]["spec"], &mut out);
    for (name, part) in schema["properties"]["spec"]["properties"].as_object().unwrap() {
        let change = CHANGES.iter().find(|(part, _)| part == name);
        let (_, change) = change.unwrap_or_else(|| panic!("say in CHANGES what a change of spec.{name} does"));
        writeln!(out, "\n## spec.{name}\n\n{}\n\nWhen it changes: {change}", text(part)).unwrap();
        rules(part, &mut out);
        table(&format!("spec.{name}"), part, &mut out);
    }
    writeln!(out, "\n## status\n\n{}", text(&schema["properties"]["status"])).unwrap();
    table("status", &schema["properties"]["status"], &mut out);
    out
}

fn rules(schema: &Value, out: &mut String) {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let mut messages: Vec<&str> = rules.filter_map(|rule| rule["message"].as_str()).collect();
    let all = messages.len();
    // Written out for each pair of protocols, so that the API server can bound their cost.
    messages.retain(|message| !message.ends_with("must differ") && !message.ends_with("must not share a host"));
    if messages.len() < all {
        messages.push("the paths, ports and hosts of two protocols must differ");
    }
    if !messages.is_empty() {
        writeln!(out, "\nRules:\n").unwrap();
        messages.iter().for_each(|message| writeln!(out, "* {message}").unwrap());
    }
}

fn table(path: &str, schema: &Value, out: &mut String) {
    let mut rows = Vec::new();
    if schema["properties"].is_object() {
        fields(path, schema, &mut rows);
    } else {
        rows.push(row(path, schema, false));
    }
    writeln!(out, "\n| field | type | default | bounds | meaning |\n|---|---|---|---|---|").unwrap();
    rows.iter().for_each(|row| writeln!(out, "{row}").unwrap());
}

fn fields(path: &str, schema: &Value, rows: &mut Vec<String>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        rows.push(row(&path, field, required.contains(&name.as_str())));
        if !FOREIGN.contains(&name.as_str()) {
            fields(&path, field, rows);
            fields(&format!("{path}[]"), &field["items"], rows);
        }
    }
}

fn row(path: &str, field: &Value, required: bool) -> String {
    let default = match &field["default"] {
        Value::Null if required => "required".to_owned(),
        Value::Null if field["type"] == "boolean" => "`false`".to_owned(),
        Value::Null | Value::Object(_) => String::new(),
        value => format!("`{}`", value.to_string().trim_matches('"')),
    };
    let rules = field["x-kubernetes-validations"].as_array().into_iter().flatten();
    // Rules of a whole part are listed above its table.
    let own = rules.filter(|_| !field["properties"].is_object() && path.matches('.').count() > 1);
    let messages = own.filter_map(|rule| rule["message"].as_str()).map(|message| format!("Rule: {message}."));
    let meaning: Vec<String> = std::iter::once(text(field)).chain(messages).filter(|text| !text.is_empty()).collect();
    let (kind, bounds) = (kind(field), bounds(field));
    format!("| `{path}` | {kind} | {default} | {bounds} | {} |", meaning.join(" ").replace('|', "\\|"))
}

fn kind(field: &Value) -> String {
    match (field["type"].as_str(), field["items"]["type"].as_str()) {
        (Some("array"), Some(of)) => format!("list of {of}"),
        (Some("object"), _) if field["additionalProperties"].is_object() => "map".to_owned(),
        (Some("string"), _) if is_duration(field) => "duration".to_owned(),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

fn is_duration(field: &Value) -> bool {
    field["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^([0-9]{1,5}h)?"))
}

fn bounds(field: &Value) -> String {
    // Its rule says more than its form.
    if is_duration(field) {
        return String::new();
    }
    let mut bounds = Vec::new();
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        bounds.push(values.join(", "));
    }
    for (least, most, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " keys"),
    ] {
        bounds.extend(match (number(&field[least]), number(&field[most])) {
            (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
            (Some(least), None) => Some(format!("at least {least}{unit}")),
            (None, Some(most)) => Some(format!("at most {most}{unit}")),
            (None, None) => None,
        });
    }
    if let Some(pattern) = field["pattern"].as_str() {
        bounds.push(format!("`{}`", pattern.replace('|', "\\|")));
    }
    bounds.join("; ")
}

fn number(value: &Value) -> Option<String> {
    let digits = format!("{:.0}", value.as_f64()?);
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    Some(out)
}

fn text(field: &Value) -> String {
    field["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
