//! The template of the pods of a managed Redis.

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, Toleration, TopologySpreadConstraint,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::strings::{self, StringMap};

/// Template of Redis pods. A change restarts the servers one at a time.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisTemplate {
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
    /// How the pods spread over the cluster. Default: over zones and nodes, where possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Secrets for pulling the image, in the ChatRoom's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('parlor.chat/'))")
        .message("spec.redis.managed.template.podAnnotations must not have keys of parlor.chat/: the operator sets those"))]
    pub pod_annotations: StringMap,
    /// Labels of the pods, beside those that the operator sets.
    #[serde(default, skip_serializing_if = "StringMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('parlor.chat/'))")
        .message("spec.redis.managed.template.podLabels must not have keys of app.kubernetes.io/ or parlor.chat/: the operator sets those"))]
    pub pod_labels: StringMap,
    /// PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub priority_class_name: Option<String>,
    /// Environment variables of the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(e, e.name != 'POD_NAME' && e.name != 'POD_IP')")
        .message("spec.redis.managed.template.env must not set POD_NAME or POD_IP: the operator sets them"))]
    pub env: Vec<EnvVar>,
    /// Security context of the pods. What it leaves out is the operator's: no root, the user of the official image, the seccomp
    /// profile of the runtime. The container has no privileges and no capabilities, and its root file system is read only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("(!has(self.runAsNonRoot) || self.runAsNonRoot) && (!has(self.runAsUser) || self.runAsUser != 0)")
        .message("spec.redis.managed.template.securityContext must not ask for root"))]
    pub security_context: Option<PodSecurityContext>,
}
