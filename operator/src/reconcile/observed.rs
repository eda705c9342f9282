//! What was seen of a ChatRoom's world in one pass, as plain data.
//!
//! Filled by `observe`; read by `decide`, `build` and `status`. In tests it is read from YAML.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, StatefulSet},
        core::v1::{ContainerStatus, Pod, Secret},
        networking::v1::IngressStatus,
    },
    jiff::Timestamp,
};
use kube::ResourceExt;
use parlor_crds::contract::GatewayStatus;
use serde::Deserialize;

use super::{
    build::{keys, meta, secret},
    decide::moves::Moves,
    kind::ObjectId,
};
use crate::redis::{access::Access, journal::Journal, plan::Member};

/// Everything that one pass knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Observed {
    /// The clock of the pass.
    pub now: Timestamp,
    /// Pods of gateways.
    pub gateways: Vec<Pod>,
    /// ReplicaSets of gateways.
    pub replica_sets: Vec<ReplicaSet>,
    /// What gateways said at `/status`, by pod.
    pub reports: BTreeMap<String, GatewayStatus>,
    /// Gateways that cannot reach their Redis, and since when.
    pub unavailable_since: BTreeMap<String, Timestamp>,
    /// What every gateway that exists reported last, for those that are silent now.
    pub last_connections: BTreeMap<String, u32>,
    /// Gateways that refused connections since they were asked last.
    pub refusing: BTreeSet<String>,
    /// What moving connections has achieved for the fleet as it is.
    #[serde(skip)]
    pub moves: Moves,
    /// Most connections in the last `scaleDownAfter`; absent until watched that long.
    pub peak: Option<u64>,
    /// The latest warning about pods that do not start and about sets that lack pods, by name.
    pub warnings: BTreeMap<String, String>,
    /// The generated Secret.
    pub secret: Option<Secret>,
    /// The generated Secret as it was, if somebody has deleted it.
    pub lost_secret: Option<Secret>,
    /// Digests of the Secrets that the ChatRoom names and gateways read once.
    pub named_keys: keys::Digests,
    /// Random keys and certificates for what the Secret lacks.
    pub fresh: secret::Fresh,
    /// The Redis StatefulSet.
    pub redis_set: Option<StatefulSet>,
    /// Pods of Redis.
    pub redis_pods: Vec<Pod>,
    /// Pods of Redis whose node is silent.
    pub unreachable: BTreeSet<String>,
    /// What the Redis servers say.
    #[serde(skip)]
    pub redis: Vec<Member>,
    /// How the Redis servers are spoken to; absent while that is not known.
    #[serde(skip)]
    pub redis_access: Option<Access>,
    /// What is wrong with the certificates of Redis.
    pub redis_trouble: Option<String>,
    /// Since when Redis servers are missing, and which orders they received when.
    #[serde(skip)]
    pub redis_journal: Journal,
    /// Since when the managed Redis has had another password, while the former one is still let in.
    pub password_switched: Option<Timestamp>,
    /// Objects of other kinds that exist for the ChatRoom, as `Kind/name`.
    pub others: BTreeSet<ObjectId>,
    /// `status` of the Ingress.
    pub ingress: Option<IngressStatus>,
    /// `status.parents` of the HTTPRoute.
    pub http_route: Option<serde_json::Value>,
    /// Whether the cluster serves HTTPRoutes.
    pub gateway_api: bool,
}

impl Observed {
    /// What the generated Secret holds, or held before somebody deleted it.
    pub fn kept_secret(&self) -> Option<&Secret> {
        self.secret.as_ref().or(self.lost_secret.as_ref())
    }

    /// Gateways that count: neither gone nor going.
    pub fn living(&self) -> impl Iterator<Item = &Pod> {
        self.gateways.iter().filter(|pod| !is_gone(pod))
    }

    /// Why a pod that is not ready is not. A warning about it says more than that it is waiting.
    pub fn trouble(&self, pod: &Pod) -> Option<String> {
        self.warnings.get(&pod.name_any()).cloned().or_else(|| trouble_in_status(pod))
    }

    /// Open connections of all gateways, or `None` while one that serves has not said.
    pub fn connections(&self) -> Option<u64> {
        let silent = |pod: &Pod| is_ready(pod) && !self.reports.contains_key(&pod.name_any());
        if self.living().any(silent) || self.reports.is_empty() {
            return None;
        }
        Some(self.reports.values().map(|report| u64::from(report.connections)).sum())
    }
}

/// Whether the pod ended, or was asked to end: it serves nobody.
pub fn is_gone(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || has_ended(pod)
}

/// Whether the pod's containers have ended for good.
pub fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Failed" | "Succeeded"))
}

/// Whether the pod's Ready condition is true.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether one of the pod's containers runs.
pub fn is_running(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let container_runs = |c: &ContainerStatus| c.state.as_ref().is_some_and(|state| state.running.is_some());
    status.phase.as_deref() == Some("Running") && (containers.is_empty() || containers.iter().any(container_runs))
}

/// When the pod was asked to drain.
pub fn draining_since(pod: &Pod) -> Option<Timestamp> {
    pod.annotations().get(meta::DRAINING_SINCE)?.parse().ok()
}

/// Why a pod that is not ready is not, as the kubelet or the scheduler says in its status.
fn trouble_in_status(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        Some((reason, last_end(container).or(waiting.message.clone())))
    });
    let unscheduled = || {
        let conditions = status.conditions.iter().flatten();
        let refused = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some((refused.reason.clone()?, refused.message.clone()))
    };
    let (reason, message) = waiting.or_else(unscheduled)?;
    Some(shortened(&reason, &message.unwrap_or_default()))
}

/// How a container that is restarted ended: `OOMKilled` says more than the pause before its next start.
fn last_end(container: &ContainerStatus) -> Option<String> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("it ended");
    Some(format!("{reason}, exit code {}, {} restarts", ended.exit_code, container.restart_count))
}

/// A reason and the beginning of its message.
pub fn shortened(reason: &str, message: &str) -> String {
    let message: String = message.chars().take(200).collect();
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}
