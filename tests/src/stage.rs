//! A namespace of a real API server with an operator and a node of its own, and a ChatRoom `lobby` in it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    apps::v1::{ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use parlor_crds::ChatRoom;
use parlor_operator::{
    args::OperatorSettings,
    reconcile::observed::is_ready,
    run::{self, RunError},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{control_plane::ControlPlane, kubelet::Kubelet};

/// How long anything may take that the operator is to bring about.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An operator for one namespace, stopped when dropped.
pub struct Operator {
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Operator {
    /// Starts it; it must win the namespace's lease before it does anything.
    pub fn start(client: Client, namespace: &str) -> Self {
        Self::watching(vec![namespace.to_owned()], client, namespace)
    }

    /// The same for every namespace of the cluster, from this one.
    pub fn start_for_all(client: Client, namespace: &str) -> Self {
        Self::watching(Vec::new(), client, namespace)
    }

    fn watching(watch_namespaces: Vec<String>, client: Client, namespace: &str) -> Self {
        let settings = OperatorSettings {
            watch_namespaces,
            gateway_image: "parlor-gateway:test".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lease_namespace: namespace.to_owned(),
            log: None,
            no_fixed_users: false,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(run::operate(client, settings, stop.clone()));
        Self { stop, task }
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> Result<(), RunError> {
        (&mut self.task).await.unwrap_or(Err(RunError::ControllerEnded))
    }

    /// Stops it, and gives up the lease.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        (&mut self.task).await.context("join the operator")?.context("stop the operator")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A namespace with an operator and a node of its own.
pub struct Stage {
    pub client: Client,
    pub namespace: String,
    pub kubelet: Kubelet,
    pub operator: Operator,
}

impl Stage {
    /// Makes the namespace `name`; its node gives out addresses of `network`, which no other stage has.
    pub async fn set(name: &str, network: u8) -> Result<Self> {
        Self::set_on(ControlPlane::shared().await?, name, network).await
    }

    /// The same on a control plane of the test's own.
    pub async fn set_on(plane: &ControlPlane, name: &str, network: u8) -> Result<Self> {
        plane.install_crd().await?;
        let namespace = plane.namespace(name).await?;
        let client = plane.client().await?;
        let kubelet = Kubelet::start(client.clone(), &namespace, network).await?;
        let operator = Operator::start(client.clone(), &namespace);
        Ok(Self { client, namespace, kubelet, operator })
    }

    /// Objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates the ChatRoom.
    pub async fn create(&self, spec: Value) -> Result<()> {
        let room = json!({
            "apiVersion": "parlor.chat/v1alpha1", "kind": "ChatRoom", "metadata": { "name": "lobby" }, "spec": spec,
        });
        let room: ChatRoom = serde_json::from_value(room)?;
        self.api::<ChatRoom>().create(&PostParams::default(), &room).await.context("create the ChatRoom")?;
        Ok(())
    }

    /// Merges `patch` into the ChatRoom's spec.
    pub async fn change(&self, patch: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": patch }));
        self.api::<ChatRoom>().patch("lobby", &PatchParams::default(), &patch).await.context("change the ChatRoom")?;
        Ok(())
    }

    /// The ChatRoom as it is now.
    pub async fn room(&self) -> Result<ChatRoom> {
        self.api::<ChatRoom>().get("lobby").await.context("read the ChatRoom")
    }

    /// Waits until `is_so` says nothing is missing; otherwise fails with what is.
    pub async fn until(&self, is_so: impl AsyncFnMut(&Self) -> Result<Option<String>>) -> Result<()> {
        self.until_within(PATIENCE, is_so).await
    }

    /// As [`Self::until`], for what takes many steps.
    pub async fn until_within(
        &self,
        patience: Duration,
        mut is_so: impl AsyncFnMut(&Self) -> Result<Option<String>>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let Some(missing) = is_so(self).await? else { return Ok(()) };
            if start.elapsed() > patience {
                let status = serde_json::to_string_pretty(&self.room().await?.status)?;
                anyhow::bail!("not within {patience:?}: {missing}\n{status}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the ChatRoom is ready as it is written now, and nothing is under way.
    pub async fn until_ready(&self) -> Result<()> {
        self.until(async |stage| {
            let room = stage.room().await?;
            Ok(missing(&room, "Ready", "True").or_else(|| missing(&room, "Progressing", "False")))
        })
        .await
    }

    /// Waits until a condition has this reason.
    pub async fn until_reason(&self, condition: &str, reason: &str) -> Result<()> {
        self.until(async |stage| {
            let room = stage.room().await?;
            let found = conditions_of(&room).remove(condition).map(|(_, reason)| reason).unwrap_or_default();
            Ok((found != reason).then(|| format!("{condition} is {found}, not {reason}")))
        })
        .await
    }

    /// Gateways that are neither draining nor gone.
    pub async fn gateways(&self) -> Result<Vec<Pod>> {
        let found =
            self.api::<Pod>().list(&ListParams::default().labels("app.kubernetes.io/component=gateway")).await?;
        let serves = |pod: &Pod| {
            pod.metadata.deletion_timestamp.is_none() && !pod.annotations().contains_key("parlor.chat/draining-since")
        };
        Ok(found.items.into_iter().filter(serves).collect())
    }

    /// Waits until there are so many gateways, all serve, and the operator knows it: it empties first who is not ready.
    pub async fn until_gateways(&self, wanted: usize) -> Result<()> {
        self.until(async |stage| {
            let (found, all) = (stage.gateways().await?, stage.pods("gateway").await?.len());
            let found = found.iter().filter(|pod| is_ready(pod)).count();
            let known = stage.room().await?.status.and_then(|status| status.ready_replicas).unwrap_or_default();
            let wrong = found != wanted || all != wanted || usize::try_from(known) != Ok(wanted);
            Ok(wrong.then(|| format!("{found} of {all} gateways serve, {known} in the status, wanted {wanted}")))
        })
        .await
    }

    /// Pods of a component: `gateway` or `redis`.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        let labels = format!("app.kubernetes.io/component={component}");
        Ok(self.api::<Pod>().list(&ListParams::default().labels(&labels)).await?.items)
    }

    /// Version of everything that the operator owns, and of the ChatRoom.
    pub async fn versions(&self) -> Result<BTreeMap<String, String>> {
        let mut versions = BTreeMap::new();
        self.add_versions::<Service>(&mut versions).await?;
        self.add_versions::<ConfigMap>(&mut versions).await?;
        self.add_versions::<ServiceAccount>(&mut versions).await?;
        self.add_versions::<PodDisruptionBudget>(&mut versions).await?;
        self.add_versions::<NetworkPolicy>(&mut versions).await?;
        self.add_versions::<Ingress>(&mut versions).await?;
        self.add_versions::<ReplicaSet>(&mut versions).await?;
        self.add_versions::<StatefulSet>(&mut versions).await?;
        self.add_versions::<Pod>(&mut versions).await?;
        let secret = self.api::<Secret>().get("lobby-keys").await?;
        versions.insert("Secret/lobby-keys".into(), secret.resource_version().unwrap_or_default());
        versions.insert("ChatRoom/lobby".into(), self.room().await?.resource_version().unwrap_or_default());
        Ok(versions)
    }

    async fn add_versions<K>(&self, versions: &mut BTreeMap<String, String>) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let labels = ListParams::default().labels("app.kubernetes.io/managed-by=parlor-operator");
        for object in self.api::<K>().list(&labels).await?.items {
            let id = format!("{}/{}", K::kind(&()), object.name_any());
            versions.insert(id, object.resource_version().unwrap_or_default());
        }
        Ok(())
    }
}

fn conditions_of(room: &ChatRoom) -> BTreeMap<String, (String, String)> {
    let all = room.status.iter().flat_map(|status| &status.conditions);
    all.map(|one| (one.type_.clone(), (one.status.clone(), one.reason.clone()))).collect()
}

/// What a condition of the ChatRoom is instead of `status`, or that it is of an older spec.
pub fn missing(room: &ChatRoom, condition: &str, status: &str) -> Option<String> {
    let found = conditions_of(room).remove(condition);
    let seen = room.status.as_ref().and_then(|status| status.observed_generation) == room.metadata.generation;
    let is_so = seen && found.as_ref().is_some_and(|(found, _)| found == status);
    (!is_so).then(|| format!("{condition} is {found:?}, seen {seen}"))
}

/// What a condition of the ChatRoom says; empty where there is none.
pub fn message(room: &ChatRoom, condition: &str) -> String {
    let mut all = room.status.iter().flat_map(|status| &status.conditions);
    all.find(|one| one.type_ == condition).map(|one| one.message.clone()).unwrap_or_default()
}

/// A spec with these fields that needs no Redis of ours.
pub fn external(more: Value) -> Value {
    let mut spec = json!({ "redis": { "external": { "seeds": ["redis.example:6379"] } } });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}
