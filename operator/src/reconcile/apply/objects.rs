//! Objects: applied when they differ, deleted when nobody asks for them, left alone when they belong to someone else.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::DynamicObject,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    covers::covers,
    run::{ApplyError, Run},
};
use crate::{
    api_error::ApiError,
    reconcile::{
        build::{Objects, RedisObjects, secret},
        decide::fleet::Fleet,
        kind::{Kind, ObjectId},
        observed::Observed,
        pass_cache::{Applied, PassCache, Refused},
    },
    stores::index::Owner,
};

/// Field manager of objects.
const OBJECTS: &str = "parlor-operator";

impl Run<'_> {
    /// Applies every object; answers the drain token. Pods are made only once what they mount and run as is there.
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
        let has_account = self.object(Kind::ServiceAccount, &service_account).await;
        let token = self.secret(secret, observed).await;
        let has_manifest = self.object(Kind::ConfigMap, &manifest).await;
        for service in &services {
            self.object(Kind::Service, service).await;
        }
        self.object(Kind::PodDisruptionBudget, &disruption_budget).await;
        self.object(Kind::NetworkPolicy, &network_policy).await;
        if let Some(ingress) = &ingress {
            self.object(Kind::Ingress, ingress).await;
        }
        if let Some(route) = http_route.filter(|_| observed.gateway_api) {
            self.value(Kind::HttpRoute, route).await;
        }
        if let Some(redis) = redis {
            self.redis_objects(redis, has_account, observed).await;
        }
        let is_wanted = fleet.sizes.iter().any(|(name, _)| Some(name) == replica_set.metadata.name.as_ref());
        if is_wanted && has_account && has_manifest && token.is_some() {
            self.replica_set(&replica_set, observed).await;
        }
        token
    }

    async fn redis_objects(&mut self, objects: RedisObjects, has_account: bool, observed: &Observed) {
        let RedisObjects { config_map, service, stateful_set, disruption_budget, network_policy } = objects;
        let has_config = self.object(Kind::ConfigMap, &config_map).await;
        let has_names = self.object(Kind::Service, &service).await;
        self.object(Kind::PodDisruptionBudget, &disruption_budget).await;
        self.object(Kind::NetworkPolicy, &network_policy).await;
        if has_account && has_config && has_names && self.volumes_fit(&stateful_set, observed).await {
            self.object(Kind::StatefulSet, &stateful_set).await;
        }
    }

    async fn replica_set(&mut self, set: &ReplicaSet, observed: &Observed) {
        let name = set.name_any();
        let live = observed.replica_sets.iter().find(|other| other.name_any() == name);
        // Its sizes have a manager of their own. Applying it again, all the same, can make the API server reorder the two
        // managers by time and count that as a change.
        if live.is_some_and(|live| is_covered(live, set)) {
            return;
        }
        let is_new = live.is_none();
        if self.object(Kind::ReplicaSet, set).await && is_new {
            let old = observed.replica_sets.len();
            let what =
                if old == 0 { "the first gateways" } else { "gateways of a new template; the old ones serve on" };
            self.changed("TemplateCreated", format!("ReplicaSet {name} for {what}"));
        }
    }

    /// The generated Secret: created when absent, completed when a key is missing, otherwise left alone.
    async fn secret(&mut self, mut wanted: Secret, observed: &Observed) -> Option<String> {
        let found = observed.secret.as_ref();
        let api = Api::<Secret>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        let id = ObjectId::new(Kind::Secret, wanted.name_any());
        let is_current = found.is_some_and(|found| secret::holds(found, &wanted));
        // A rotation continues from where it was seen to be, or not at all.
        wanted.metadata.resource_version = found.and_then(ResourceExt::resource_version);
        let result = match found {
            Some(found) if is_current => Ok(found.clone()),
            Some(_) => api.patch(&id.name, &PatchParams::apply(OBJECTS).force(), &Patch::Apply(&wanted)).await,
            // Not applied: what is found here is no Secret of this ChatRoom, and must not be changed.
            None => {
                api.create(&PostParams { field_manager: Some(OBJECTS.into()), ..PostParams::default() }, &wanted).await
            }
        };
        if !is_current {
            self.ctx.caches.with(self.name, |cache| cache.secret = None);
        }
        match result.map_err(ApiError::from) {
            Ok(secret) => {
                if observed.lost_secret.is_some() {
                    self.changed("SecretRestored", format!("{id} was deleted and is there again as it was"));
                }
                let token = secret.data.as_ref()?.get(secret::DRAIN_TOKEN)?;
                String::from_utf8(token.0.clone()).ok()
            }
            Err(error) if error.code() == Some(409) => {
                let error = self.taken_by(&id).await.unwrap_or(ApplyError::Object(id, error));
                self.failed(error);
                None
            }
            Err(error) => {
                self.failed(ApplyError::Object(id, error));
                None
            }
        }
    }

    /// Applies one object; whether it is there as wanted.
    pub(super) async fn object(&mut self, kind: Kind, object: &(impl ResourceExt + Serialize)) -> bool {
        match serde_json::to_value(object) {
            Ok(value) => self.value(kind, value).await,
            Err(error) => {
                self.failed(ApplyError::Json(ObjectId::new(kind, object.name_any()), error));
                false
            }
        }
    }

    /// Applies one object, unless the same was applied before and is still current.
    async fn value(&mut self, kind: Kind, mut value: Value) -> bool {
        let id = ObjectId::new(kind, value["metadata"]["name"].as_str().unwrap_or_default());
        let sent = hash(&value);
        let current = self.ctx.stores.current(self.name, &id);
        let is_current = |cache: &mut PassCache| {
            current
                .as_ref()
                .is_some_and(|now| cache.applied.get_mut(&id).is_some_and(|known| known.is_current(sent, now)))
        };
        if self.ctx.caches.with(self.name, is_current) {
            return true;
        }
        if let Some(refused) = self.refused_before(&id, sent) {
            self.failed(refused);
            return false;
        }
        let taken = match &current {
            Some(current) if current.owners.iter().any(|owner| owner.uid == self.uid) => {
                // An object that was replaced in the meantime is someone else's: the API server compares the uid.
                value["metadata"]["uid"] = json!(current.uid);
                None
            }
            Some(current) => Some(name_taken(&id, &current.owners)),
            None => self.taken_by(&id).await,
        };
        let result = match taken {
            Some(taken) => Err(taken),
            None => self.patch(&id, &value).await,
        };
        let is_template = matches!(kind, Kind::ReplicaSet | Kind::StatefulSet);
        let version = current.map(|current| current.version);
        self.changed_templates |= is_template && result.as_ref().is_ok_and(|now| now.resource_version() != version);
        self.note(id, sent, result)
    }

    async fn patch(&self, id: &ObjectId, value: &Value) -> Result<DynamicObject, ApplyError> {
        let patched =
            self.api(id.kind).patch(&id.name, &PatchParams::apply(OBJECTS).force(), &Patch::Apply(value)).await;
        patched.map_err(|error| ApplyError::Object(id.clone(), error.into()))
    }

    pub(super) fn note(&mut self, id: ObjectId, hash: u64, result: Result<DynamicObject, ApplyError>) -> bool {
        let now = self.now;
        match result {
            Ok(stored) => {
                if id.kind == Kind::ReplicaSet {
                    self.made.insert(id.name.clone(), stored.uid().unwrap_or_default());
                }
                let applied = Applied { hash, version: stored.resource_version().unwrap_or_default(), stored: None };
                self.ctx.caches.with(self.name, |cache| {
                    cache.refused.remove(&id);
                    cache.applied.insert(id, applied);
                });
                true
            }
            Err(error) => {
                let (text, name_taken) = (error.to_string(), matches!(error, ApplyError::NameTaken(_)));
                self.ctx.caches.with(self.name, |cache| {
                    let refused = Refused::after(cache.refused.get(&id), hash, now, text, name_taken);
                    cache.refused.insert(id, refused);
                });
                self.failed(error);
                false
            }
        }
    }

    /// The former refusal of the same content, while it is not yet time to try again.
    pub(super) fn refused_before(&self, id: &ObjectId, hash: u64) -> Option<ApplyError> {
        let refused = self.ctx.caches.with(self.name, |cache| cache.refused.get(id).cloned())?;
        if refused.hash != hash || self.now >= refused.again {
            return None;
        }
        let error = refused.error;
        Some(if refused.name_taken { ApplyError::NameTaken(error) } else { ApplyError::StillRefused(error) })
    }

    /// Asks the API server whether somebody else has the name. What has no label of ours is in no store.
    async fn taken_by(&self, id: &ObjectId) -> Option<ApplyError> {
        match self.api(id.kind).get_metadata_opt(&id.name).await {
            Ok(None) => None,
            Ok(Some(found)) => {
                let owners = Owner::all_of(&found);
                (!owners.iter().any(|owner| owner.uid == self.uid)).then(|| name_taken(id, &owners))
            }
            Err(error) => Some(ApplyError::Object(id.clone(), error.into())),
        }
    }

    /// Deletes an object of the ChatRoom; whether it is gone.
    pub(super) async fn delete(&mut self, id: &ObjectId) -> bool {
        let uid = self.ctx.stores.current(self.name, id).map(|current| current.uid);
        let how = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api(id.kind).delete(&id.name, &how).await.map_err(ApiError::from) {
            Ok(_) => true,
            Err(error) if error.is_outdated() => true,
            Err(error) => self.tried(Err(ApplyError::Delete(id.to_string(), error))),
        }
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.ctx.client.clone(), &self.name.namespace, &kind.resource())
    }
}

fn name_taken(id: &ObjectId, owners: &[Owner]) -> ApplyError {
    let owner = owners
        .first()
        .map_or("was not made for this ChatRoom".to_owned(), |owner| format!("belongs to {}", owner.name));
    ApplyError::NameTaken(format!(
        "{id} exists and {owner}; it is left alone: remove it, or give the ChatRoom another name"
    ))
}

/// What the watch holds has no `apiVersion` and `kind` in every case, so the parts that are ours are compared.
fn is_covered(live: &ReplicaSet, wanted: &ReplicaSet) -> bool {
    let part = |set: &ReplicaSet| {
        let ReplicaSet { metadata, spec, status: _ } = set;
        Some((serde_json::to_value(metadata).ok()?, serde_json::to_value(spec).ok()?))
    };
    match (part(live), part(wanted)) {
        (Some(live), Some(wanted)) => covers(&live.0, &wanted.0) && covers(&live.1, &wanted.1),
        _ => false,
    }
}

pub(super) fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
