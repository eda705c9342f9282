//! Carries a plan out (client required).
//!
//! Server-side apply with one field manager per concern: objects, sizes, drains. Nothing is sent that was sent before and
//! stands unchanged. A failure is noted and the rest still done; the next pass sees what is missing. Decides nothing.

use super::build::{Objects, RedisObjects, http_route, meta, secret};
use super::decide::fleet::{self, Fleet, Order};
use super::decide::{Plan, RedisPlan};
use super::observed::Observed;
use crate::context::Context;
use crate::memory::{Memory, RoomKey, Sent};
use crate::redis::client;
use crate::redis::plan::Step;
use crate::redis::upgrade::Upgrade;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Field manager of objects.
const OBJECTS: &str = "parlor-operator";
/// Field manager of the sizes of ReplicaSets.
const SIZES: &str = "parlor-operator-size";
/// Field manager of the drain marks on pods.
const DRAINS: &str = "parlor-operator-drain";

/// What is to be done, and what it was decided on.
#[derive(Debug)]
pub struct Prepared {
    /// Everything that is to exist.
    pub objects: Objects,
    /// What to do.
    pub plan: Plan,
    /// What was seen.
    pub observed: Observed,
}

/// What was done. A status can be made of nothing else.
#[derive(Debug)]
pub struct Applied {
    /// What was decided.
    pub plan: Plan,
    /// What was seen before.
    pub observed: Observed,
    /// Changes worth an Event.
    pub deeds: Vec<Deed>,
    /// What the API server did not do.
    pub failures: Vec<ApplyError>,
    /// What a gateway or a Redis server did not do: most likely it is starting or ending, and the next pass tries again.
    pub setbacks: Vec<ApplyError>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Reason of the Event, in CamelCase.
    pub reason: &'static str,
    /// One sentence.
    pub note: String,
}

/// The reason why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object.
    #[error("apply {0}: {1}")]
    Object(String, kube::Error),
    /// An object as JSON.
    #[error("write {0}: {1}")]
    Json(String, serde_json::Error),
    /// The number of gateways.
    #[error("size {0}: {1}")]
    Size(String, kube::Error),
    /// Something that is asked for no more.
    #[error("delete {0}: {1}")]
    Delete(String, kube::Error),
    /// A pod's drain marks.
    #[error("mark pod {0}: {1}")]
    Mark(String, kube::Error),
    /// A gateway.
    #[error(transparent)]
    Gateway(#[from] crate::gateways::GatewayError),
    /// A Redis server.
    #[error(transparent)]
    Redis(#[from] client::ClientError),
}

/// Carries everything out.
pub async fn apply(ctx: &Context, key: &RoomKey, prepared: Prepared) -> Applied {
    let Prepared { objects, plan, observed } = prepared;
    let mut run = Run { ctx, key, now: observed.now, deeds: Vec::new(), failures: Vec::new(), setbacks: Vec::new() };
    let token = run.objects(objects, &plan.fleet, &observed).await;
    run.sizes(&plan.fleet, &observed).await;
    for order in &plan.fleet.orders {
        run.order(order, token.as_deref()).await;
    }
    if let Some(redis) = &plan.redis {
        run.redis(redis).await;
    }
    for orphan in &plan.orphans {
        run.delete_orphan(orphan).await;
    }
    let Run { deeds, failures, setbacks, .. } = run;
    Applied { plan, observed, deeds, failures, setbacks }
}

struct Run<'a> {
    ctx: &'a Context,
    key: &'a RoomKey,
    now: Timestamp,
    deeds: Vec<Deed>,
    failures: Vec<ApplyError>,
    setbacks: Vec<ApplyError>,
}

impl Run<'_> {
    fn did(&mut self, reason: &'static str, note: String) {
        tracing::info!(namespace = %self.key.0, room = %self.key.1, reason, "{note}");
        self.deeds.push(Deed { reason, note });
    }

    fn tried(&mut self, result: Result<(), ApplyError>) -> bool {
        let done = result.is_ok();
        self.failures.extend(result.err());
        done
    }

    /// Like `tried`, for those who may be starting or ending.
    fn asked(&mut self, result: Result<(), impl Into<ApplyError>>) -> bool {
        let Err(error) = result.map_err(Into::into) else { return true };
        tracing::warn!(namespace = %self.key.0, room = %self.key.1, %error, "not done yet");
        self.setbacks.push(error);
        false
    }

    /// Applies every object; answers the drain token.
    async fn objects(&mut self, objects: Objects, fleet: &Fleet, observed: &Observed) -> Option<String> {
        let Objects {
            service_account,
            secret,
            manifest,
            replica_set,
            services,
            disruption_budget,
            network_policy,
            ingress,
            http_route,
            redis,
        } = objects;
        self.object(&service_account).await;
        let token = self.secret(secret, observed.secret.as_ref()).await;
        self.object(&manifest).await;
        for service in &services {
            self.object(service).await;
        }
        self.object(&disruption_budget).await;
        self.object(&network_policy).await;
        if let Some(ingress) = &ingress {
            self.object(ingress).await;
        }
        if let Some(route) = http_route {
            self.value(http_route::resource(), route).await;
        }
        if let Some(redis) = redis {
            self.redis_objects(redis).await;
        }
        if fleet.sizes.iter().any(|(name, _)| Some(name) == replica_set.metadata.name.as_ref()) {
            self.replica_set(&replica_set, observed).await;
        }
        token
    }

    async fn redis_objects(&mut self, objects: RedisObjects) {
        let RedisObjects { config_map, service, stateful_set, disruption_budget, network_policy } = objects;
        self.object(&config_map).await;
        self.object(&service).await;
        self.object(&disruption_budget).await;
        self.object(&network_policy).await;
        self.object(&stateful_set).await;
    }

    async fn replica_set(&mut self, set: &ReplicaSet, observed: &Observed) {
        let name = set.name_any();
        let is_new = !observed.replica_sets.iter().any(|other| other.name_any() == name);
        let failed = self.failures.len();
        self.object(set).await;
        if is_new && self.failures.len() == failed {
            let old = observed.replica_sets.len();
            let what =
                if old == 0 { "the first gateways" } else { "gateways of a new template, the old ones serve on" };
            self.did("TemplateCreated", format!("ReplicaSet {name} for {what}"));
        }
    }

    /// The generated Secret: created when absent, completed when a key is missing, otherwise left alone.
    async fn secret(&mut self, wanted: Secret, found: Option<&Secret>) -> Option<String> {
        let api = Api::<Secret>::namespaced(self.ctx.client.clone(), &self.key.0);
        let name = wanted.name_any();
        let result = match found {
            Some(found) if secret::is_complete(found) => Ok(found.clone()),
            Some(_) => api.patch(&name, &PatchParams::apply(OBJECTS).force(), &Patch::Apply(&wanted)).await,
            None => {
                api.create(&PostParams { field_manager: Some(OBJECTS.into()), ..PostParams::default() }, &wanted).await
            }
        };
        match result {
            Ok(secret) => String::from_utf8(secret.data?.get(secret::DRAIN_TOKEN)?.0.clone()).ok(),
            Err(error) => {
                self.failures.push(ApplyError::Object(format!("Secret/{name}"), error));
                None
            }
        }
    }

    async fn object<K>(&mut self, object: &K)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        match serde_json::to_value(object) {
            Ok(value) => self.value(ApiResource::erase::<K>(&()), value).await,
            Err(error) => self.failures.push(ApplyError::Json(object.name_any(), error)),
        }
    }

    /// Applies one object, unless the same was applied before and stands.
    async fn value(&mut self, resource: ApiResource, value: Value) {
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let id = format!("{}/{name}", resource.kind);
        let sent = hash(&value);
        let stands = self.ctx.stores.standing(&id, &self.key.0);
        let unchanged =
            |memory: &mut Memory| memory.applied.get_mut(&id).is_some_and(|known| known.stands(sent, &stands));
        if self.ctx.memories.with(self.key, unchanged) {
            return;
        }
        let api = Api::<DynamicObject>::namespaced_with(self.ctx.client.clone(), &self.key.0, &resource);
        match api.patch(&name, &PatchParams::apply(OBJECTS).force(), &Patch::Apply(&value)).await {
            Ok(stored) => {
                let sent = Sent { hash: sent, version: stored.resource_version().unwrap_or_default(), stored: None };
                self.ctx.memories.with(self.key, |memory| memory.applied.insert(id, sent));
            }
            Err(error) => self.failures.push(ApplyError::Object(id, error)),
        }
    }

    async fn sizes(&mut self, fleet: &Fleet, observed: &Observed) {
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

    async fn order(&mut self, order: &Order, token: Option<&str>) {
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

    async fn redis(&mut self, redis: &RedisPlan) {
        match &redis.step {
            Step::Wait(what) => self.wait_for(Some(what)),
            Step::Settled => self.wait_for(None),
            Step::Run { why, orders } => {
                self.wait_for(None);
                let mut done = true;
                for order in orders {
                    let result = client::carry_out(order).await;
                    done &= self.asked(result);
                }
                if done {
                    self.did("RedisStep", format!("Redis Cluster: {why}"));
                }
            }
        }
        if let Some(upgrade) = &redis.upgrade {
            self.upgrade(upgrade).await;
        }
    }

    /// Notes since when the plan has been waiting for the same thing.
    fn wait_for(&mut self, what: Option<&str>) {
        let now = self.now;
        self.ctx.memories.with(self.key, |memory| match what {
            None => memory.redis_wait = None,
            Some(what) if memory.redis_wait.as_ref().is_some_and(|(known, _)| known == what) => {}
            Some(what) => memory.redis_wait = Some((what.to_owned(), now)),
        });
    }

    async fn upgrade(&mut self, upgrade: &Upgrade) {
        match upgrade {
            Upgrade::Restart(pod) => {
                if self.delete::<Pod>(pod).await {
                    self.did("RedisRestarted", format!("Redis server {pod} restarts with the new template"));
                }
            }
            Upgrade::HandOver(order) => {
                let result = client::carry_out(order).await;
                if self.asked(result) {
                    self.did(
                        "RedisHandOver",
                        format!("Redis server {} takes over from its outdated primary", order.pod),
                    );
                }
            }
        }
    }

    async fn delete_orphan(&mut self, orphan: &str) {
        let Some((kind, name)) = orphan.split_once('/') else { return };
        match kind {
            "Service" => self.delete::<Service>(name).await,
            "ConfigMap" => self.delete::<ConfigMap>(name).await,
            "PodDisruptionBudget" => self.delete::<PodDisruptionBudget>(name).await,
            "NetworkPolicy" => self.delete::<NetworkPolicy>(name).await,
            "ServiceAccount" => self.delete::<ServiceAccount>(name).await,
            "Ingress" => self.delete::<Ingress>(name).await,
            _ => self.delete_resource(http_route::resource(), name).await,
        };
    }

    async fn delete<K>(&mut self, name: &str) -> bool
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete_resource(ApiResource::erase::<K>(&()), name).await
    }

    async fn delete_resource(&mut self, resource: ApiResource, name: &str) -> bool {
        let api = Api::<DynamicObject>::namespaced_with(self.ctx.client.clone(), &self.key.0, &resource);
        let how = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        match api.delete(name, &how).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 404 => true,
            Err(error) => self.tried(Err(ApplyError::Delete(format!("{}/{name}", resource.kind), error))),
        }
    }
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
