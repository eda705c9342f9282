//! `chatroom.yaml` is what the types say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use parlor_crds::schema::crd_yaml;
use serde_json::Value;

fn definition() -> Value {
    serde_json::to_value(parlor_crds::crd()).unwrap()
}

#[test]
fn chatroom_yaml_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("chatroom.yaml");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, crd_yaml()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == crd_yaml(), "crds/chatroom.yaml is old: run UPDATE=1 cargo test -p parlor-crds");
}

#[test]
fn the_schema_has_no_unsigned_formats_and_no_nulls() {
    let text = definition().to_string();
    for unwanted in ["\"uint", "\"nullable\"", "\"default\":null"] {
        assert!(!text.contains(unwanted), "{unwanted}");
    }
}

#[test]
fn every_string_and_list_of_ours_is_bounded() {
    let definition = definition();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut unbounded = Vec::new();
    walk(spec, "spec", &mut unbounded);
    assert_eq!(unbounded, Vec::<String>::new());
}

/// Types of Kubernetes are its own business.
const FOREIGN: [&str; 7] =
    ["affinity", "env", "imagePullSecrets", "resources", "securityContext", "tolerations", "topologySpreadConstraints"];

fn walk(schema: &Value, path: &str, unbounded: &mut Vec<String>) {
    let bounded = match schema["type"].as_str() {
        Some("string") => schema.get("maxLength").is_some() || schema.get("enum").is_some(),
        Some("array") => schema.get("maxItems").is_some(),
        Some("object") if schema.get("additionalProperties").is_some() => schema.get("maxProperties").is_some(),
        _ => true,
    };
    if !bounded {
        unbounded.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !FOREIGN.contains(&name.as_str()) {
            walk(property, &format!("{path}.{name}"), unbounded);
        }
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), unbounded);
    }
}

#[test]
fn kubectl_shows_readiness_gateways_and_connections_and_can_scale() {
    let definition = definition();
    let version = &definition["spec"]["versions"][0];
    let columns: Vec<&str> =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Ready", "Gateways", "Connections", "Redis", "Route", "Reason", "Age"]);
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
    assert_eq!(version["subresources"]["scale"]["statusReplicasPath"], ".status.replicas");
    assert_eq!(version["subresources"]["scale"]["labelSelectorPath"], ".status.selector");
    let names = &definition["spec"]["names"];
    assert_eq!((&names["shortNames"][0], &names["categories"][0]), (&"croom".into(), &"chat".into()));
}
