//! How clients reach a ChatRoom from outside the cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::strings::{self, StringMap};

/// How clients reach the shared port from outside the cluster: one rule from `/` to it.
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
    /// Host names under which clients reach the ChatRoom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::hosts")]
    pub hosts: Vec<String>,
    /// Creates an HTTPRoute of this Gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayRef>,
    /// Creates an Ingress of this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub ingress_class_name: Option<String>,
    /// Secret with the certificate of the Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub tls_secret_name: Option<String>,
    /// Annotations of the Ingress or HTTPRoute, as cert-manager, external-dns and ingress controllers read them.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: StringMap,
    /// Labels of the Ingress or HTTPRoute, beside those that the operator sets.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('parlor.chat/'))")
        .message("spec.route.labels must not have keys of app.kubernetes.io/ or parlor.chat/: the operator sets those"))]
    pub labels: StringMap,
    /// URL that people type; links to avatars begin with it. Default: the Host of the request if the ChatRoom names that
    /// host, otherwise links are relative.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "publicURL")]
    #[schemars(length(max = 300), regex(pattern = "^https?://[^/?#\\s]+$"))]
    pub public_url: Option<String>,
}

/// A Gateway of the Gateway API.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Name of the Gateway.
    #[schemars(schema_with = "strings::object_name")]
    pub name: String,
    /// Namespace of the Gateway. Default: the ChatRoom's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub namespace: Option<String>,
}

/// The Services of the protocols' own ports, and the one of the shared port.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("spec.service.loadBalancerClass needs spec.service.type LoadBalancer"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("spec.service.externalTrafficPolicy needs spec.service.type NodePort or LoadBalancer")
)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Type of these Services.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of these Services, for example for a load balancer.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: StringMap,
    /// Which load balancer serves them. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Whether connections may pass through nodes without a gateway. `Local` keeps the clients' addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// The Service of the shared port. Absent: a ClusterIP for routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedService>,
}

/// The Service of the shared port.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("spec.service.shared.loadBalancerClass needs spec.service.shared.type LoadBalancer"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("spec.service.shared.externalTrafficPolicy needs spec.service.shared.type NodePort or LoadBalancer")
)]
#[serde(rename_all = "camelCase")]
pub struct SharedService {
    /// Type of this Service.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of this Service.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: StringMap,
    /// Which load balancer serves it. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Whether connections may pass through nodes without a gateway. `Local` keeps the clients' addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
}

/// Which nodes take connections from outside.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

/// Type of a Service.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}
