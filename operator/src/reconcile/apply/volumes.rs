//! Volumes of Redis pods grow: first every claim, then the StatefulSet that makes new ones.
//!
//! A StatefulSet cannot change its claims, so it is deleted and made again around its pods, which run on. It goes only once the
//! API server has accepted the new size of every claim. Each part can be done twice. Called by `objects`.

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use serde_json::json;

use super::run::{ApplyError, Run};
use crate::{
    api_error::ApiError,
    reconcile::{
        build::{resources::bytes, stateful_set},
        kind::{Kind, ObjectId},
        observed::Observed,
    },
};

impl Run<'_> {
    /// Whether the StatefulSet can be applied: its claims are as wanted, and it is not about to go.
    pub(super) async fn volumes_fit(&mut self, wanted: &StatefulSet, observed: &Observed) -> bool {
        let Some(live) = &observed.redis_set else { return true };
        if live.metadata.deletion_timestamp.is_some() {
            return false;
        }
        let (Some(size), Some(former)) = (stateful_set::volume_size(wanted), stateful_set::volume_size(live)) else {
            return true;
        };
        if bytes(size) == bytes(former) {
            return true;
        }
        let (id, attempt) = (ObjectId::new(Kind::StatefulSet, wanted.name_any()), super::objects::hash(&json!(size)));
        if let Some(refused) = self.refused_before(&id, attempt) {
            self.failed(refused);
            return false;
        }
        if let Err(error) = self.grow_claims(wanted, size).await {
            self.note(id, attempt, Err(error));
            return false;
        }
        if self.orphan(live).await {
            let note = format!("volumes of Redis grow from {former} to {size}; StatefulSet {} is made again", id.name);
            self.changed("RedisVolumesGrow", note);
        }
        false
    }

    async fn grow_claims(&self, wanted: &StatefulSet, size: &str) -> Result<(), ApplyError> {
        let api = Api::<PersistentVolumeClaim>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        let labels = wanted.spec.selector.match_labels.iter().flatten();
        let labels = labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let failed = |claim: &str, class: Option<&str>, error: kube::Error| ApplyError::Volume {
            claim: claim.to_owned(),
            class: class.unwrap_or("the default one").to_owned(),
            size: size.to_owned(),
            source: error.into(),
        };
        let listed = api.list(&ListParams::default().labels(&labels)).await;
        let claims = listed.map_err(|error| failed("of all Redis pods", None, error))?;
        for claim in claims.items.iter().filter(|claim| requested(claim) < bytes(size)) {
            let patch = Patch::Merge(json!({ "spec": { "resources": { "requests": { "storage": size } } } }));
            let patched = api.patch(&claim.name_any(), &PatchParams::default(), &patch).await;
            let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
            patched.map_err(|error| failed(&claim.name_any(), class, error))?;
        }
        Ok(())
    }

    /// Deletes the StatefulSet that was seen and leaves its pods; whether it goes.
    async fn orphan(&mut self, live: &StatefulSet) -> bool {
        let how = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        let name = live.name_any();
        let api = Api::<StatefulSet>::namespaced(self.ctx.client.clone(), &self.name.namespace);
        match api.delete(&name, &how).await.map_err(ApiError::from) {
            Ok(_) => true,
            Err(error) if error.is_outdated() => true,
            Err(error) => self.tried(Err(ApplyError::Delete(format!("StatefulSet/{name}"), error))),
        }
    }
}

fn requested(claim: &PersistentVolumeClaim) -> Option<u64> {
    bytes(&claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0)
}
