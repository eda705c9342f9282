//! A container must not request more than its limit.
//!
//! The API server refuses such a container only in the pod, where the message names no field of the ChatRoom. It learns of it by
//! rules in the schema. Files are checked here: the rules ask whether an amount is a number or text, and the evaluator that
//! checks files against the other rules cannot tell. Called by `schema` and `manifest`.

use serde_json::{Map, Value, json};

use crate::violation::Violation;

/// Resources whose requests and limits are compared.
const NAMES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Adds the rules wherever the schema has requests and limits.
pub(crate) fn add_rules(schema: &mut Value) {
    visit(schema, "", &mut |found, path| {
        let rules = NAMES.map(|name| json!({ "rule": rule(name), "message": message(path, name) }));
        found.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Some(Value::Array(all)) = found.get_mut("x-kubernetes-validations") {
            all.extend(rules);
        }
    });
}

fn visit(schema: &mut Value, path: &str, with: &mut impl FnMut(&mut Map<String, Value>, &str)) {
    let Value::Object(map) = schema else { return };
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for (name, property) in properties {
            visit(property, &join(path, name), with);
        }
    }
    if has_both(map.get("properties")) {
        with(map, path);
    }
}

/// Requests and limits beside each other, as amounts by name.
fn has_both(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value["requests"].is_object() && value["limits"].is_object())
}

fn rule(name: &str) -> String {
    let has = |of: &str| format!("has(self.{of}) && '{name}' in self.{of}");
    let amount = |of: &str| {
        let it = format!("self.{of}['{name}']");
        format!("(type({it}) == int ? quantity('0').add({it}) : quantity({it}))")
    };
    let (requests, limits) = (has("requests"), has("limits"));
    format!("!({requests} && {limits}) || {}.compareTo({}) <= 0", amount("requests"), amount("limits"))
}

fn message(path: &str, name: &str) -> String {
    format!("{path}.requests.{name} must not be above {path}.limits.{name}")
}

/// What breaks the rules in a document that fits the schema.
pub(crate) fn check(document: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    collect(document, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<Violation>) {
    let Value::Object(map) = value else { return };
    for (name, inner) in map {
        collect(inner, &join(path, name), found);
    }
    if !has_both(Some(value)) {
        return;
    }
    let is_above = |name: &&str| match (amount(&value["requests"][*name]), amount(&value["limits"][*name])) {
        (Some(request), Some(limit)) => request > limit,
        _ => false,
    };
    found.extend(
        NAMES.into_iter().filter(is_above).map(|name| Violation { path: path.into(), message: message(path, name) }),
    );
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A Kubernetes amount as a number. Two texts of one amount give the same number: each is rounded once.
fn amount(value: &Value) -> Option<f64> {
    const TIMES: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    const PARTS: [(&str, f64); 3] = [("m", 1e3), ("u", 1e6), ("n", 1e9)];
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if let Ok(plain) = text.parse() {
        return Some(plain);
    }
    let number = |suffix: &str| text.strip_suffix(suffix)?.parse::<f64>().ok();
    let times = TIMES.iter().find_map(|(suffix, factor)| Some(number(suffix)? * factor));
    times.or_else(|| PARTS.iter().find_map(|(suffix, divisor)| Some(number(suffix)? / divisor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_whatever_their_notation() {
        let broken = |request: Value, limit: Value| {
            let document =
                json!({ "spec": { "resources": { "requests": { "cpu": request }, "limits": { "cpu": limit } } } });
            check(&document).into_iter().map(|found| found.to_string()).collect::<Vec<_>>()
        };
        for (request, limit) in [
            (json!("500m"), json!("0.5")),
            (json!("700m"), json!("0.7")),
            (json!(2), json!("2000m")),
            (json!("1Gi"), json!(1_073_741_824)),
            (json!("1e3"), json!("1k")),
            (json!("2E"), json!("3E")),
        ] {
            assert_eq!(broken(request, limit), Vec::<String>::new());
        }
        let wanted = ["spec.resources: spec.resources.requests.cpu must not be above spec.resources.limits.cpu"];
        for (request, limit) in [(json!(2), json!("1999m")), (json!("1Gi"), json!("1G")), (json!("1"), json!(0))] {
            assert_eq!(broken(request, limit), wanted);
        }
    }
}
