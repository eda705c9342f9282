//! Whether what came is what was expected.

use std::collections::HashMap;

use serde_json::Value;

/// Stands for anything in what must else be the same byte for byte.
const ANYTHING: &str = "${*}";

/// What `$names` were the first time.
#[derive(Clone, Debug, Default)]
pub struct Variables(HashMap<String, Value>);

impl Variables {
    /// Writes the bare text of known values for `${name}`.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| {
            let bare = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.replace(&format!("${{{name}}}"), &bare)
        })
    }

    /// Writes known values as JSON for `"$name"`.
    pub(super) fn values(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("\"${name}\""), &value.to_string()))
    }

    /// Whether `value` holds what `pattern` says; names that it has first are known from then on, whatever the result.
    pub fn matches(&mut self, pattern: &Value, value: &Value) -> bool {
        match (pattern, value) {
            (Value::String(text), _) if text == "*" => true,
            (Value::String(text), _) if text.starts_with('$') => self.named(&text[1..], value),
            (Value::Object(wanted), Value::Object(found)) => {
                wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| self.matches(wanted, found)))
            }
            (Value::Array(wanted), Value::Array(found)) => {
                wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| self.matches(w, f))
            }
            _ => pattern == value,
        }
    }

    fn named(&mut self, name: &str, value: &Value) -> bool {
        let Some((name, less)) = name.split_once('>') else {
            return self.0.entry(name.to_owned()).or_insert_with(|| value.clone()) == value;
        };
        let greater = self.0.get(less).is_some_and(|less| match (value, less) {
            (Value::Number(value), Value::Number(less)) => value.as_u64() > less.as_u64(),
            (Value::String(value), Value::String(less)) => value > less,
            _ => false,
        });
        self.0.insert(name.to_owned(), value.clone());
        greater
    }
}

/// Whether `text` is `wanted`, in which [`ANYTHING`] stands for any text.
pub(super) fn same(wanted: &str, text: &str) -> bool {
    let Some((start, rest)) = wanted.split_once(ANYTHING) else { return wanted == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut pieces: Vec<_> = rest.split(ANYTHING).collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.split_once(piece) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(wanted: &Value, found: &Value) -> bool {
        Variables::default().matches(wanted, found)
    }

    #[test]
    fn objects_may_hold_more_and_arrays_may_not() {
        assert!(fits(&json!({"a": 1}), &json!({"b": 2, "a": 1})));
        assert!(!fits(&json!({"a": 1, "b": 2}), &json!({"a": 1})));
        assert!(!fits(&json!([1]), &json!([1, 2])));
    }

    #[test]
    fn a_variable_is_the_same_everywhere() {
        assert!(fits(&json!(["$x", "$x", "$y"]), &json!([1, 1, 2])));
        assert!(!fits(&json!(["$x", "$x"]), &json!([1, 2])));
        assert!(fits(&json!("*"), &Value::Null));
    }

    #[test]
    fn what_must_grow_is_greater_in_its_own_order() {
        assert!(fits(&json!(["$a", "$b>a", "$c>b"]), &json!([1, 2, 10])));
        assert!(!fits(&json!(["$a", "$b>a"]), &json!([2, 2])));
        assert!(fits(&json!(["$a", "$b>a"]), &json!(["09", "10"])));
        assert!(!fits(&json!(["$a", "$b>a"]), &json!([1, "2"])));
    }

    #[test]
    fn values_are_written_bare_or_as_json() {
        let mut variables = Variables::default();
        assert!(variables.matches(&json!(["$n", "$t"]), &json!([7, "x"])));
        assert_eq!(variables.values(r#"{"a":"$n","b":"$t"}"#), r#"{"a":7,"b":"x"}"#);
        assert_eq!(variables.fill(r#"{"a":"${n}"} ${t}"#), r#"{"a":"7"} x"#);
    }

    #[test]
    fn verbatim_text_may_have_holes() {
        assert!(same(r#"{"a":1}"#, r#"{"a":1}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1.0}"#));
        assert!(same("a${*}c${*}e", "a-b-c-d-e"));
        assert!(!same("a${*}c${*}e", "a-b-d-e"));
        assert!(!same("a${*}e", "a-e-f"));
    }
}
