//! How many gateways there are, and what their pods look like.

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{period::Period, strings::StringMap};

/// Scaling by connections.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.min <= self.max").message("spec.scaling.min must not be above spec.scaling.max"))]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Fewest gateways.
    #[serde(default = "min")]
    #[schemars(range(min = 1, max = 1000))]
    pub min: u32,
    /// Most gateways.
    #[serde(default = "max")]
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Connections that a gateway should hold. Absent: two thirds of `limits.connectionsPerGateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_gateway: Option<u32>,
    /// How long fewer gateways must have been enough before one goes; 1s to 24h.
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

/// How many gateways there are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// That many.
    Fixed(u32),
    /// As the load demands.
    Scaled(Scaling),
}

/// What gateway pods look like.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// Image of the gateway. Absent: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Of the gateway's container. No CPU limit by default: throttling ruins latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Nodes that may run it.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: StringMap,
    /// Taints it tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Where it prefers or has to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How gateways spread. Absent: over nodes, as far as there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Secrets for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub pod_annotations: StringMap,
}
