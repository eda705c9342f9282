//! Objects: applied when they differ, deleted when nobody asks for them.

use super::{ApplyError, Run, covers::covers};
use crate::memory::{Memory, Sent};
use crate::reconcile::build::{Objects, RedisObjects, http_route, secret};
use crate::reconcile::decide::fleet::Fleet;
use crate::reconcile::observed::Observed;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Field manager of objects.
const OBJECTS: &str = "parlor-operator";

impl Run<'_> {
    /// Applies every object; answers the drain token.
    pub(super) async fn objects(&mut self, objects: Objects, fleet: &Fleet, observed: &Observed) -> Option<String> {
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
        let live = observed.replica_sets.iter().find(|other| other.name_any() == name);
        // Its sizes have a manager of their own. Applying it again, all the same, can make the API server reorder the two
        // managers by time and count that as a change.
        if live.is_some_and(|live| stands(live, set)) {
            return;
        }
        let is_new = live.is_none();
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
            Some(found) if secret::holds(found, &wanted) => Ok(found.clone()),
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

    pub(super) async fn delete_orphan(&mut self, orphan: &str) {
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

    pub(super) async fn delete<K>(&mut self, name: &str) -> bool
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

/// What the watch holds has no `apiVersion` and `kind` in every case, so the parts that are ours are compared.
fn stands(live: &ReplicaSet, wanted: &ReplicaSet) -> bool {
    let part = |set: &ReplicaSet| {
        let ReplicaSet { metadata, spec, status: _ } = set;
        Some((serde_json::to_value(metadata).ok()?, serde_json::to_value(spec).ok()?))
    };
    match (part(live), part(wanted)) {
        (Some(live), Some(wanted)) => covers(&live.0, &wanted.0) && covers(&live.1, &wanted.1),
        _ => false,
    }
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
