//! Schemas of the strings and lists that several parts of a ChatRoom share, each with its bound.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Labels or annotations.
pub type StringMap = BTreeMap<String, String>;

/// A DNS name in lower case.
const DNS_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A host name.
pub(super) fn host(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": DNS_NAME, "minLength": 1, "maxLength": 253 })
}

/// At most 16 different host names.
pub(super) fn hosts(g: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": host(g), "maxItems": 16, "x-kubernetes-list-type": "set" })
}

/// A network in CIDR notation, of either family.
const NETWORK: &str = "^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/\
    (3[0-2]|[12]?[0-9])|\
    (([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|([0-9a-f]{1,4}:){1,7}:|([0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}|\
    ([0-9a-f]{1,4}:){1,5}(:[0-9a-f]{1,4}){1,2}|([0-9a-f]{1,4}:){1,4}(:[0-9a-f]{1,4}){1,3}|\
    ([0-9a-f]{1,4}:){1,3}(:[0-9a-f]{1,4}){1,4}|([0-9a-f]{1,4}:){1,2}(:[0-9a-f]{1,4}){1,5}|\
    [0-9a-f]{1,4}:(:[0-9a-f]{1,4}){1,6}|:((:[0-9a-f]{1,4}){1,7}|:))/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$";

/// At most 16 different networks.
pub(super) fn networks(_: &mut SchemaGenerator) -> Schema {
    let network = json_schema!({ "type": "string", "pattern": NETWORK, "maxLength": 43 });
    json_schema!({ "type": "array", "items": network, "maxItems": 16, "x-kubernetes-list-type": "set" })
}

/// Name of an object in Kubernetes.
pub(super) fn object_name(g: &mut SchemaGenerator) -> Schema {
    host(g)
}

/// A room's name as in `RoomName` of the gateway: no control characters, at most 128 characters here.
pub(super) fn room(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]+$", "minLength": 1, "maxLength": 128 })
}

/// At most 100 different rooms.
pub(super) fn rooms(g: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": room(g), "maxItems": 100, "x-kubernetes-list-type": "set" })
}

/// 1 to 100 different rooms.
pub(super) fn some_rooms(g: &mut SchemaGenerator) -> Schema {
    let mut schema = rooms(g);
    schema.insert("minItems".into(), 1.into());
    schema
}

/// Path of a protocol on the shared port: no dots (files of the page have one) and no room for tricks.
pub(super) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "pattern": "^(/[A-Za-z0-9_-]+)+$", "minLength": 2, "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": "!(self in ['/livez', '/readyz', '/metrics', '/status', '/drain', '/msg', '/tk', '/avatar']) && \
                     !self.startsWith('/avatar/') && !self.startsWith('/ws/')",
            "message": "path is one that gateways use themselves"
        }]
    })
}

/// A protocol's own port.
pub(super) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer", "format": "int32", "minimum": 1024, "maximum": 65535,
        "x-kubernetes-validations": [{
            "rule": "self != 8080 && self != 9100",
            "message": "port is one that gateways use themselves: 8080 is the shared port, 9100 the admin port"
        }]
    })
}

/// Payload of a whole message in bytes.
pub(super) fn message_bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int32", "minimum": 128, "maximum": 1_048_576 })
}

/// A value that is kept in a Secret of the ChatRoom's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// The Secret and its key.
    pub secret_ref: SecretKey,
}

/// One key of a Secret in the ChatRoom's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// One key of a ConfigMap in the ChatRoom's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

impl ConfigMapKey {
    /// Where gateways find the value, relative to their secrets directory.
    pub fn path(&self) -> String {
        format!("{}/{}", self.name, self.key)
    }
}

impl SecretKey {
    /// Where gateways find the value, relative to their secrets directory.
    pub fn path(&self) -> String {
        format!("{}/{}", self.name, self.key)
    }
}
