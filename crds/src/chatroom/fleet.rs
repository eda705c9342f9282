//! The number of gateways, and the template of their pods.

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, ResourceRequirements, Toleration,
    TopologySpreadConstraint,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    period::Period,
    strings::{self, StringMap},
};

/// Scaling by connections per gateway.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.min <= self.max").message("spec.scaling.min must not be above spec.scaling.max"))]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Minimum number of gateways.
    #[serde(default = "min")]
    #[schemars(range(min = 1, max = 1000))]
    pub min: u32,
    /// Maximum number of gateways.
    #[serde(default = "max")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Target number of connections per gateway. Default: two thirds of `limits.connectionsPerGateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_gateway: Option<u32>,
    /// How long fewer gateways must be enough before some are removed; 1s to 24h.
    #[serde(default = "scale_down_after")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("spec.scaling.scaleDownAfter must be 1s to 24h"))]
    pub scale_down_after: Period,
}

fn min() -> u32 {
    2
}

fn max() -> u32 {
    10
}

fn scale_down_after() -> Period {
    Period::from_secs(300)
}

impl Default for Scaling {
    fn default() -> Self {
        Self { min: min(), max: max(), connections_per_gateway: None, scale_down_after: scale_down_after() }
    }
}

/// The wanted number of gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// A fixed number.
    Fixed(u32),
    /// Chosen by load.
    Scaled(Scaling),
}

/// Template of gateway pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Image of the gateway. Default: the operator's `--gateway-image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Resources of the gateway's container. Avoid a CPU limit: throttling ruins latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of nodes that may run the pods.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: StringMap,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Scheduling preferences and requirements of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread over the cluster. Default: over nodes, where possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Secrets for pulling the image, in the ChatRoom's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Annotations of the pods. A change replaces them all, one after another.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_annotations: StringMap,
    /// Labels of the pods, beside those that the operator sets.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('parlor.chat/'))")
        .message("spec.template.podLabels must not have keys of app.kubernetes.io/ or parlor.chat/: the operator sets those"))]
    pub pod_labels: StringMap,
    /// PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub priority_class_name: Option<String>,
    /// Environment variables of the gateway's container, such as PARLOR_LOG.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(e, e.name != 'PARLOR_POD')")
        .message("spec.template.env must not set PARLOR_POD: the operator sets it"))]
    pub env: Vec<EnvVar>,
    /// Security context of the pods. Absent: the restricted one of the operator, with a fixed user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
}
