//! Whether an object says already all that would be applied to it.
//!
//! Decides only by the fields that would be sent: what others or the API server's defaults added does not count. It
//! cannot see that a field should go, so it is for objects whose name changes with their content.

use serde_json::Value;

/// True if applying `wanted` over `live` would change no value.
pub(super) fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| covers(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_other_peoples_fields_change_nothing() {
        let live = json!({"a": 1, "list": [{"name": "x", "default": true}], "status": {"n": 2}});
        assert!(covers(&live, &json!({"a": 1, "list": [{"name": "x"}]})));
        assert!(covers(&live, &json!({"status": {}})));
    }

    #[test]
    fn a_value_that_differs_or_is_missing_or_one_too_many_is_seen() {
        let live = json!({"a": 1, "list": [{"name": "x"}]});
        for wanted in [json!({"a": 2}), json!({"b": 1}), json!({"list": []}), json!({"list": [{"name": "y"}]})] {
            assert!(!covers(&live, &wanted), "{wanted}");
        }
    }
}
