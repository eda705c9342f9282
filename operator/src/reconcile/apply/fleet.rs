//! The fleet: sizes of ReplicaSets, and the orders to single gateways.

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

use super::run::{ApplyError, Run};
use crate::{
    api_error::ApiError,
    reconcile::{
        build::meta,
        decide::{
            balance,
            fleet::{self, Fleet, Order},
        },
        kind::{Kind, ObjectId},
        observed::Observed,
    },
};

/// Field manager of the sizes of ReplicaSets.
const SIZES: &str = "parlor-operator-size";
/// Field manager of the drain annotations on pods.
const DRAINS: &str = "parlor-operator-drain";

impl Run<'_> {
    pub(super) async fn sizes(&mut self, fleet: &Fleet, observed: &Observed) {
        let api = Api::<ReplicaSet>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        for (name, size) in &fleet.sizes {
            let seen = observed.replica_sets.iter().find(|set| set.name_any() == *name);
            let replicas = seen.and_then(|set| set.spec.replicas);
            if replicas == i32::try_from(*size).ok() {
                continue;
            }
            // Without a uid, applying a size to a set that is not there would try to create one.
            let Some(uid) = seen.and_then(ResourceExt::uid).or_else(|| self.made.get(name).cloned()) else { continue };
            let value = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": { "name": name, "uid": uid }, "spec": { "replicas": size },
            });
            let patched = api.patch(name, &PatchParams::apply(SIZES).force(), &Patch::Apply(&value)).await;
            if self.tried(patched.map(drop).map_err(|error| ApplyError::Size(name.clone(), error.into()))) {
                let from = replicas.map_or("none".to_owned(), |replicas| replicas.to_string());
                self.changed("Resized", format!("ReplicaSet {name} from {from} to {size} gateways"));
            }
        }
        for name in &fleet.spent {
            self.delete(&ObjectId::new(Kind::ReplicaSet, name)).await;
        }
    }

    pub(super) async fn order(&mut self, order: &Order, token: Option<&str>, observed: &Observed) {
        match order {
            Order::Drain { pod, ip, since } => {
                let marks = json!({
                    meta::DRAINING_SINCE: since.to_string(), meta::DELETION_COST: fleet::DRAINING_COST,
                });
                if self.mark(pod, marks, observed).await {
                    self.tell(pod, ip.as_deref(), token, true).await;
                }
            }
            Order::GiveAway { pod, ip, connections, rate } => {
                let (connections, rate) = (*connections, *rate);
                self.give_away(pod, ip, token, connections, rate).await;
                // Noted whether it was heard or not: a gateway of an older version refuses it every time.
                let spread = balance::spread(observed);
                self.ctx.caches.with(self.name, |cache| cache.moves.note_move(spread, connections, rate, observed.now));
            }
            Order::PutBack { pod, ip } => {
                // The order comes first: a gateway that was not reached stays marked, and its drain continues.
                if self.tell(pod, ip.as_deref(), token, false).await {
                    self.mark(pod, json!({}), observed).await;
                }
            }
            Order::Release { pod, since } => {
                let cost = fleet::RELEASED_COST;
                let marks = json!({ meta::DRAINING_SINCE: since.to_string(), meta::DELETION_COST: cost });
                self.mark(pod, marks, observed).await;
            }
            Order::End { pod, uid } => self.end(pod, uid).await,
        }
    }

    async fn give_away(&mut self, pod: &str, ip: &str, token: Option<&str>, connections: u32, rate: u32) {
        let Some(token) = token else { return };
        let told = self.ctx.gateways.give_away(ip, token, connections, rate).await;
        if self.asked(told) {
            self.changed("Rebalancing", format!("gateway {pod} asks {connections} clients to reconnect"));
        }
    }

    /// Sets the drain annotations of a pod. One that is gone needs none.
    async fn mark(&mut self, pod: &str, annotations: Value, observed: &Observed) -> bool {
        let seen = observed.gateways.iter().find(|one| one.name_any() == pod);
        let api = Api::<Pod>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        let value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": pod, "uid": seen.and_then(ResourceExt::uid), "annotations": annotations },
        });
        let patched = api.patch(pod, &PatchParams::apply(DRAINS).force(), &Patch::Apply(&value)).await;
        match patched.map_err(ApiError::from) {
            Ok(_) => true,
            Err(error) if error.is_outdated() => false,
            Err(error) => self.tried(Err(ApplyError::Mark(pod.to_owned(), error))),
        }
    }

    /// Tells a gateway to drain or to serve; whether it has the order. A pod without an address serves nobody and needs no telling
    /// to drain, but is not known to serve again either.
    async fn tell(&mut self, pod: &str, ip: Option<&str>, token: Option<&str>, drain: bool) -> bool {
        let (Some(ip), Some(token)) = (ip, token) else { return drain };
        let told = self.ctx.gateways.drain(ip, token, drain).await;
        let done = self.asked(told);
        if done {
            let (reason, note) = if drain { ("Draining", "drains") } else { ("PutBack", "serves again") };
            self.changed(reason, format!("gateway {pod} {note}"));
        }
        done
    }

    /// Ends a terminating pod that will not end by itself, with the shortest grace that still runs its container's end.
    async fn end(&mut self, pod: &str, uid: &str) {
        let api = Api::<Pod>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        let how = DeleteParams {
            grace_period_seconds: Some(1),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        match api.delete(pod, &how).await.map_err(ApiError::from) {
            Ok(_) => self.changed("Ended", format!("gateway {pod} did not end when it was told to, and is ended now")),
            Err(error) if error.is_outdated() => {}
            Err(error) => self.failed(ApplyError::Delete(format!("Pod/{pod}"), error)),
        }
    }
}
