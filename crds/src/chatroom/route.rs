//! How clients reach a ChatRoom from outside the cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strings::{self, StringMap};

/// How browsers get in: one rule, `/` to the shared port; gateways route inside.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.gateway) && has(self.ingressClassName))")
        .message("spec.route.gateway and spec.route.ingressClassName exclude each other: remove one"),
    validation = Rule::new("(has(self.gateway) || has(self.ingressClassName)) == (has(self.hosts) && self.hosts.size() > 0)")
        .message("spec.route.hosts needs one of spec.route.gateway and spec.route.ingressClassName, and they need it"),
    validation = Rule::new("!has(self.tlsSecretName) || has(self.ingressClassName)")
        .message("spec.route.tlsSecretName needs spec.route.ingressClassName; a Gateway has certificates of its own")
)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Host names of the ChatRoom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Makes an HTTPRoute of this Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRef>,
    /// Makes an Ingress of this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub ingress_class_name: Option<String>,
    /// Secret with the Ingress's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub tls_secret_name: Option<String>,
    /// What people type, for links to avatars. Absent: from each request's Host.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "publicURL")]
    #[schemars(length(max = 300), regex(pattern = "^https?://[^/?#\\s]+$"))]
    pub public_url: Option<String>,
}

/// A Gateway of the Gateway API.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Its name.
    #[schemars(schema_with = "strings::object_name")]
    pub name: String,
    /// Its namespace. Absent: the ChatRoom's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub namespace: Option<String>,
}

/// The Services of the protocols' own ports.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Their type.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Their annotations, as load balancers need them.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: StringMap,
}

/// Type of a Service.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}
