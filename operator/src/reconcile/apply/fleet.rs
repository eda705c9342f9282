//! The fleet: sizes of ReplicaSets, and what single gateways are told.

use super::{ApplyError, Run};
use crate::reconcile::build::meta;
use crate::reconcile::decide::fleet::{self, Fleet, Order};
use crate::reconcile::observed::Observed;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// Field manager of the sizes of ReplicaSets.
const SIZES: &str = "parlor-operator-size";
/// Field manager of the drain marks on pods.
const DRAINS: &str = "parlor-operator-drain";

impl Run<'_> {
    pub(super) async fn sizes(&mut self, fleet: &Fleet, observed: &Observed) {
        let api = Api::<ReplicaSet>::namespaced(self.ctx.client.clone(), &self.key.0);
        for (name, size) in &fleet.sizes {
            let seen = observed.replica_sets.iter().find(|set| set.name_any() == *name);
            let seen = seen.and_then(|set| set.spec.replicas);
            if seen == i32::try_from(*size).ok() {
                continue;
            }
            let value = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": { "name": name }, "spec": { "replicas": size },
            });
            let patched = api.patch(name, &PatchParams::apply(SIZES).force(), &Patch::Apply(&value)).await;
            if self.tried(patched.map(drop).map_err(|error| ApplyError::Size(name.clone(), error))) {
                let from = seen.map_or("none".to_owned(), |seen| seen.to_string());
                self.did("Resized", format!("ReplicaSet {name} from {from} to {size} gateways"));
            }
        }
        for name in &fleet.spent {
            self.delete::<ReplicaSet>(name).await;
        }
    }

    pub(super) async fn order(&mut self, order: &Order, token: Option<&str>) {
        match order {
            Order::Drain { pod, ip, since } => {
                let marks =
                    [(meta::DRAINING_SINCE, since.to_string()), (meta::DELETION_COST, fleet::DRAINING_COST.into())];
                if self.mark(pod, json!(marks.into_iter().collect::<std::collections::BTreeMap<_, _>>())).await {
                    self.tell(pod, ip.as_deref(), token, true).await;
                }
            }
            Order::PutBack { pod, ip } => {
                // Told first: a gateway that refuses stays marked, and goes on being emptied.
                if self.tell(pod, ip.as_deref(), token, false).await {
                    self.mark(pod, json!({})).await;
                }
            }
            Order::Release { pod, since } => {
                let cost = fleet::RELEASED_COST;
                self.mark(pod, json!({ meta::DRAINING_SINCE: since.to_string(), meta::DELETION_COST: cost })).await;
            }
        }
    }

    async fn mark(&mut self, pod: &str, annotations: Value) -> bool {
        let api = Api::<Pod>::namespaced(self.ctx.client.clone(), &self.key.0);
        let value = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod, "annotations": annotations },
        });
        let patched = api.patch(pod, &PatchParams::apply(DRAINS).force(), &Patch::Apply(&value)).await;
        self.tried(patched.map(drop).map_err(|error| ApplyError::Mark(pod.to_owned(), error)))
    }

    /// A pod without an address has nobody to empty.
    async fn tell(&mut self, pod: &str, ip: Option<&str>, token: Option<&str>, drain: bool) -> bool {
        let (Some(ip), Some(token)) = (ip, token) else { return true };
        let told = self.ctx.gateways.drain(ip, token, drain).await;
        let done = self.asked(told);
        if done {
            let (reason, note) = if drain { ("Draining", "empties itself") } else { ("PutBack", "serves again") };
            self.did(reason, format!("gateway {pod} {note}"));
        }
        done
    }
}
