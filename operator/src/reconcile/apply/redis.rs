//! The managed Redis Cluster: one step, one restart, and the readiness of its pods.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use super::run::{ApplyError, Run};
use crate::{
    api_error::ApiError,
    reconcile::{
        build::{secret::Turn, stateful_set},
        decide::redis::{Gate, RedisPlan},
        observed::Observed,
    },
    redis::{
        access::Access,
        client,
        plan::{Order, Step},
        upgrade::Upgrade,
    },
};

impl Run<'_> {
    pub(super) async fn redis(&mut self, redis: &RedisPlan, observed: &Observed) {
        let access = observed.redis_access.as_ref();
        for gate in &redis.gates {
            self.gate(gate).await;
        }
        for pod in &redis.abandoned {
            self.abandon(pod, observed).await;
        }
        if let Step::Run { why, orders } = &redis.step {
            let mut done = true;
            for order in orders {
                done &= self.order_redis(order, access).await;
            }
            if done {
                self.changed("RedisStep", format!("Redis Cluster: {why}"));
            }
        }
        if let Some(turn) = redis.rotation.turn() {
            let note = match turn {
                Turn::Switch => "every Redis server lets the new password in; gateways are given it",
                Turn::Retire => "every gateway has the new password of Redis; the former one is let in no more",
            };
            self.changed("RedisPassword", note.into());
        }
        match &redis.upgrade {
            Some(Upgrade::Restart(pod)) => self.restart(pod, observed).await,
            Some(Upgrade::HandOver(order)) => {
                if self.order_redis(order, access).await {
                    self.changed(
                        "RedisHandOver",
                        format!("Redis server {} takes over from its outdated primary", order.pod),
                    );
                }
            }
            Some(Upgrade::Hold(_)) | None => {}
        }
    }

    /// Given or refused, an order is noted: one that takes its time must not be repeated meanwhile.
    async fn order_redis(&mut self, order: &Order, access: Option<&Access>) -> bool {
        let Some(access) = access else { return false };
        self.ctx.caches.with(self.name, |cache| cache.redis.ordered(order));
        let result = client::carry_out(order, access).await;
        self.asked(result)
    }

    /// Sets the readiness gate of the pod that was seen. Another pod of the same name, or none, needs nothing.
    async fn gate(&mut self, gate: &Gate) {
        let Gate { pod, uid, in_sync } = gate;
        let (status, reason) = if *in_sync { ("True", "InSync") } else { ("False", "NotInSync") };
        let condition = json!({
            "type": stateful_set::IN_SYNC, "status": status, "reason": reason,
            "lastTransitionTime": self.now.to_string(),
        });
        let patch = json!({ "metadata": { "uid": uid }, "status": { "conditions": [condition] } });
        let api = Api::<Pod>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        match api.patch_status(pod, &PatchParams::default(), &Patch::Strategic(patch)).await.map_err(ApiError::from) {
            Ok(_) => {}
            Err(error) if error.is_outdated() => {}
            Err(error) => self.failed(ApplyError::Mark(pod.clone(), error)),
        }
    }

    async fn restart(&mut self, name: &str, observed: &Observed) {
        let note = format!("Redis server {name} restarts with the new template");
        self.delete_redis_pod(name, observed, DeleteParams::default(), ("RedisRestarted", note)).await;
    }

    /// Gives up a pod that a silent node will never report as ended.
    async fn abandon(&mut self, name: &str, observed: &Observed) {
        let note = format!("Redis server {name} is replaced: its node has not answered since it was told to end");
        self.delete_redis_pod(name, observed, DeleteParams::default().grace_period(0), ("RedisAbandoned", note)).await;
    }

    /// Deletes the pod that was seen, never its successor.
    async fn delete_redis_pod(
        &mut self,
        name: &str,
        observed: &Observed,
        how: DeleteParams,
        event: (&'static str, String),
    ) {
        let Some(pod) = observed.redis_pods.iter().find(|pod| pod.name_any() == name) else { return };
        let how = DeleteParams { preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }), ..how };
        let api = Api::<Pod>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        match api.delete(name, &how).await.map_err(ApiError::from) {
            Ok(_) => self.changed(event.0, event.1),
            Err(error) if error.is_outdated() => {}
            Err(error) => self.failed(ApplyError::Delete(format!("Pod/{name}"), error)),
        }
    }
}
