//! The server API: where other servers reach it, and who may use it.

use kube::{
    KubeSchema,
    core::{Rule, validate},
};
use schemars::Schema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::strings;

/// The API for other servers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// Port of the API, on a Service of its own named `<ChatRoom>-api`.
    #[serde(default = "port")]
    #[schemars(schema_with = "strings::port")]
    pub port: u16,
    /// Secret with the tokens: each key names a token, and its value of 16 to 4,096 bytes is the token. At most 100
    /// tokens. Changes take effect a few seconds after the kubelet has updated the mounted files.
    pub tokens_ref: SecretName,
}

fn port() -> u16 {
    9200
}

/// A Secret in the ChatRoom's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(schema_with = "strings::object_name")]
    pub name: String,
}

/// Adds the rule to the spec that no protocol has the API's port. Derived from the schema of the protocols, so that a new
/// one cannot be forgotten.
pub(super) fn keep_port_apart(schema: &mut Schema) {
    let ports = [("port", "port"), ("httpPort", "httpPort")];
    let protocols = schema.pointer("/properties/protocols/properties").and_then(Value::as_object);
    let has = |protocol: &Value, field| protocol.pointer(&format!("/properties/{field}")).is_some();
    let differs = |name: &str, field: &str| {
        let path = format!("self.protocols.{name}");
        format!("(!has({path}) || !has({path}.{field}) || {path}.{field} != self.api.port)")
    };
    let terms: Vec<String> = protocols
        .into_iter()
        .flat_map(Map::iter)
        .flat_map(|(name, protocol)| {
            ports.iter().filter(|(f, _)| has(protocol, f)).map(|(f, _)| differs(name, f)).collect::<Vec<_>>()
        })
        .collect();
    let rule = Rule::new(format!("!has(self.api) || !has(self.protocols) || ({})", terms.join(" && ")))
        .message("spec.api.port must not be the port of a protocol");
    validate(schema, rule).expect("a rule is plain strings, which always serialize");
}
