//! What the operator has observed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator has observed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatRoomStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Gateways that are not being drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Gateways that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Label selector of the gateway pods, for `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Open connections of all gateways. Written when it changed by 5 %, at most every 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
    /// The last decision about the number of gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// `Ready`, `Progressing`, `GatewaysAvailable`, `RedisReady`, `RouteReady`, `ScalingActive`, and `Paused` while
    /// paused; Unknown for what cannot be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The last decision about the number of gateways.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Gateways wanted.
    pub wanted: i32,
    /// The kind of reason, for programs. `reason` says the same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<ScalingGrounds>,
    /// Gateways that a suspended ChatRoom comes back with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<i32>,
    /// Why, in one sentence with numbers.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// Why there are as many gateways as there are.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingGrounds {
    /// `spec.suspend` is true.
    Suspended,
    /// `spec.replicas` names the number.
    Fixed,
    /// Gateways do not report their connections, so the number stays.
    Blind,
    /// As many as the connections need.
    Steady,
    /// Fewer would do, but not for `scaleDownAfter` yet.
    ScaleDownPending,
    /// The connections need more.
    ScaleUp,
    /// Fewer have been enough for `scaleDownAfter`.
    ScaleDown,
}
