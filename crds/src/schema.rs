//! The CustomResourceDefinition: what `chatroom.yaml` holds, and what files are checked against.
//!
//! Decides the form in which the types' schema is published. Called by the operator's `crd` command and by `manifest`.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::{chatroom::ChatRoom, requests};

/// Where a definition holds the schema.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// The definition of ChatRoom.
pub fn crd() -> CustomResourceDefinition {
    let mut value = definition();
    if let Some(schema) = value.pointer_mut(SCHEMA) {
        requests::add_rules(schema);
        // Tools that wait for the status must not take one that nobody has written for the last word.
        schema["properties"]["status"]["default"] = json!({ "observedGeneration": -1 });
    }
    serde_json::from_value(value).expect("a definition stays one when formats and rules change")
}

/// The definition without the rules that `requests` checks for files.
fn definition() -> Value {
    let mut value = serde_json::to_value(ChatRoom::crd()).expect("a definition is plain data, which always serializes");
    if let Some(schema) = value.pointer_mut(SCHEMA) {
        tidy(schema);
    }
    value
}

/// The definition as the text of `chatroom.yaml`.
pub fn crd_yaml() -> String {
    let yaml = serde_yaml::to_string(&crd()).expect("a definition is plain data, which always serializes");
    format!("# Generated from the types in crds/src; change those, then run UPDATE=1 cargo test -p parlor-crds\n{yaml}")
}

/// The schema that files are checked against.
pub(crate) fn schema() -> &'static Value {
    static OF_FILES: LazyLock<Value> = LazyLock::new(|| definition().pointer(SCHEMA).cloned().unwrap_or_default());
    &OF_FILES
}

/// What Kubernetes takes as an amount.
const QUANTITY: &str = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

fn is_quantity(schema: &serde_json::Map<String, Value>) -> bool {
    schema.get("description").and_then(Value::as_str).is_some_and(|text| text.starts_with("Quantity is"))
}

/// API servers warn of unsigned formats, and null should mean absent everywhere, as it does in YAML.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A property may have one of these names too; then its value is a schema, an object.
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            let signed = match map.get("format").and_then(Value::as_str) {
                Some("uint8" | "uint16" | "uint32") => Some("int32"),
                Some("uint64" | "uint") => Some("int64"),
                _ => None,
            };
            if let Some(format) = signed {
                map.insert("format".into(), format.into());
            }
            // The API server would refuse an amount like 512mb only in the pod, without naming the field.
            if map.get("x-kubernetes-int-or-string").is_some_and(|is_so| is_so == true) && is_quantity(map) {
                map.insert("description".into(), "An amount, such as 500m, 2 or 1.5Gi.".into());
                map.insert("pattern".into(), QUANTITY.into());
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
