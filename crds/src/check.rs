//! Checks a document against the structural part of a schema, in the way an API server does: nulls dropped, unknown
//! fields refused, defaults filled in, then types, ranges, lengths and patterns. Knows nothing of ChatRooms or CEL.
//!
//! The jsonschema crate would replace the last step alone. It drops no nulls, fills no defaults in, and does not know the
//! `x-kubernetes-` keywords, so the walk over document and schema would stay.

use regex::Regex;
use serde_json::{Map, Value};

use crate::violation::Violation;

/// Brings `value` into the form that an API server would store, and answers what it would refuse. `path` names it.
pub(crate) fn check(schema: &Value, value: &mut Value, path: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    Checker { found: &mut found }.value(schema, value, path);
    found
}

struct Checker<'a> {
    found: &'a mut Vec<Violation>,
}

impl Checker<'_> {
    fn refuse(&mut self, path: &str, message: String) {
        self.found.push(Violation { path: path.to_owned(), message });
    }

    fn value(&mut self, schema: &Value, value: &mut Value, path: &str) {
        if !self.has_type(schema, value, path) {
            return;
        }
        match value {
            Value::Object(map) => self.object(schema, map, path),
            Value::Array(items) => self.list(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or(f64::NAN), path),
            Value::Null | Value::Bool(_) => {}
        }
        let allowed = schema.get("enum").and_then(Value::as_array);
        if allowed.is_some_and(|allowed| !allowed.contains(value)) {
            self.refuse(path, format!("must be one of {}, not {value}", list(allowed.into_iter().flatten())));
        }
    }

    fn has_type(&mut self, schema: &Value, value: &Value, path: &str) -> bool {
        let fits = match schema.get("type").and_then(Value::as_str) {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            _ if is_true(schema, "x-kubernetes-int-or-string") => value.is_i64() || value.is_string(),
            _ => true,
        };
        if !fits {
            let wanted = schema.get("type").and_then(Value::as_str).unwrap_or("number or string");
            self.refuse(path, format!("must be of type {wanted}, not {value}"));
        }
        fits
    }

    fn object(&mut self, schema: &Value, map: &mut Map<String, Value>, path: &str) {
        map.retain(|_, v| !v.is_null());
        let over = schema.get("maxProperties").and_then(Value::as_u64).filter(|max| map.len() as u64 > *max);
        if let Some(max) = over {
            self.refuse(path, format!("must have at most {max} entries, not {}", map.len()));
        }
        if let Some(entries) = schema.get("additionalProperties").filter(|s| s.is_object()) {
            for (key, value) in map.iter_mut() {
                self.value(entries, value, &join(path, key));
            }
            return;
        }
        self.known(schema, map, path);
    }

    fn known(&mut self, schema: &Value, map: &mut Map<String, Value>, path: &str) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        if !is_true(schema, "x-kubernetes-preserve-unknown-fields") {
            let unknown = map.keys().filter(|key| !properties.contains_key(*key) && !is_of_kubernetes(path, key));
            unknown.for_each(|key| self.refuse(&join(path, key), "unknown field".into()));
        }
        for (key, property) in properties {
            if let (false, Some(default)) = (map.contains_key(key), property.get("default")) {
                map.insert(key.clone(), default.clone());
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(key) {
                self.refuse(&join(path, key), "is required".into());
            }
        }
        for (key, value) in map.iter_mut() {
            if let Some(property) = properties.get(key) {
                self.value(property, value, &join(path, key));
            }
        }
    }

    fn list(&mut self, schema: &Value, items: &mut [Value], path: &str) {
        self.length(schema, "Items", items.len(), "items", path);
        let set = schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("set");
        let twice = (1..items.len()).filter(|i| set && items[..*i].contains(&items[*i])).collect::<Vec<_>>();
        twice.iter().for_each(|i| self.refuse(&format!("{path}[{i}]"), format!("is there twice: {}", items[*i])));
        if let Some(item) = schema.get("items") {
            for (i, value) in items.iter_mut().enumerate() {
                self.value(item, value, &format!("{path}[{i}]"));
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, path: &str) {
        self.length(schema, "Length", text.chars().count(), "characters", path);
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => self.refuse(path, format!("must match {pattern}, not {text:?}")),
            Err(error) => self.refuse(path, format!("cannot be checked: {error}")),
        }
    }

    fn number(&mut self, schema: &Value, number: f64, path: &str) {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.refuse(path, format!("must be at least {least}, not {number}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.refuse(path, format!("must be at most {most}, not {number}"));
        }
    }

    fn length(&mut self, schema: &Value, of: &str, length: usize, unit: &str, path: &str) {
        let bound = |name| schema.get(format!("{name}{of}")).and_then(Value::as_u64);
        if let Some(least) = bound("min").filter(|least| (length as u64) < *least) {
            self.refuse(path, format!("must have at least {least} {unit}, not {length}"));
        }
        if let Some(most) = bound("max").filter(|most| (length as u64) > *most) {
            self.refuse(path, format!("must have at most {most} {unit}, not {length}"));
        }
    }
}

/// What every object has, whatever its schema says.
fn is_of_kubernetes(path: &str, key: &str) -> bool {
    path == "metadata" || path.is_empty() && matches!(key, "apiVersion" | "kind" | "metadata")
}

fn is_true(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool) == Some(true)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn list<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.map(Value::to_string).collect::<Vec<_>>().join(", ")
}
