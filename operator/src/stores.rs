//! Copies of what exists for ChatRooms, kept up to date by watches: a pass reads them instead of asking the API server.
//!
//! Only objects with the operator's label are watched. Nothing is concluded from a store before its first list is complete.

use crate::memory::Standing;
use crate::reconcile::build::http_route;
use crate::reconcile::build::meta::{INSTANCE, MANAGED_BY, OPERATOR};
use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::{ApiResource, DeserializeGuard, DynamicObject};
use kube::runtime::reflector::store::{Store, WriterDropped};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use parlor_crds::ChatRoom;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

/// Changes of anything that belongs to a ChatRoom, as references to it.
pub type Changes = BoxStream<'static, ObjectRef<Guarded>>;
/// A ChatRoom, or the reason why one cannot be read; the others must not suffer from it.
pub type Guarded = DeserializeGuard<ChatRoom>;

/// The stores of one namespace, or of all.
#[derive(Clone)]
pub struct Stores {
    /// Pods of gateways and of Redis.
    pub pods: Store<Pod>,
    /// ReplicaSets of gateways.
    pub replica_sets: Store<ReplicaSet>,
    /// StatefulSets of Redis.
    pub stateful_sets: Store<StatefulSet>,
    /// Services.
    pub services: Store<Service>,
    /// ConfigMaps.
    pub config_maps: Store<ConfigMap>,
    /// PodDisruptionBudgets.
    pub disruption_budgets: Store<PodDisruptionBudget>,
    /// NetworkPolicies.
    pub network_policies: Store<NetworkPolicy>,
    /// ServiceAccounts.
    pub service_accounts: Store<ServiceAccount>,
    /// Ingresses.
    pub ingresses: Store<Ingress>,
    /// HTTPRoutes, where the cluster serves them.
    pub http_routes: Option<Store<DynamicObject>>,
}

impl Stores {
    /// Begins to watch `namespace`, or everything. The stores fill only while the changes are polled.
    pub async fn watch(client: &Client, namespace: Option<&str>) -> Result<(Self, Changes), kube::Error> {
        let routes = http_route::resource();
        let routes_served = serves(scoped(client, namespace, &routes)).await?;
        let mut changes = futures::stream::SelectAll::new();
        let http_routes =
            routes_served.then(|| watch(scoped(client, namespace, &routes), routes.clone(), &mut changes));
        let stores = Self {
            pods: watch(typed(client, namespace), (), &mut changes),
            replica_sets: watch(typed(client, namespace), (), &mut changes),
            stateful_sets: watch(typed(client, namespace), (), &mut changes),
            services: watch(typed(client, namespace), (), &mut changes),
            config_maps: watch(typed(client, namespace), (), &mut changes),
            disruption_budgets: watch(typed(client, namespace), (), &mut changes),
            network_policies: watch(typed(client, namespace), (), &mut changes),
            service_accounts: watch(typed(client, namespace), (), &mut changes),
            ingresses: watch(typed(client, namespace), (), &mut changes),
            http_routes,
        };
        Ok((stores, changes.boxed()))
    }

    /// The object that `id` (`Kind/name`) names, as it stands.
    pub fn standing(&self, id: &str, namespace: &str) -> Option<Standing> {
        let (kind, name) = id.split_once('/')?;
        match kind {
            "ReplicaSet" => standing(&self.replica_sets, (), name, namespace),
            "StatefulSet" => standing(&self.stateful_sets, (), name, namespace),
            "Service" => standing(&self.services, (), name, namespace),
            "ConfigMap" => standing(&self.config_maps, (), name, namespace),
            "PodDisruptionBudget" => standing(&self.disruption_budgets, (), name, namespace),
            "NetworkPolicy" => standing(&self.network_policies, (), name, namespace),
            "ServiceAccount" => standing(&self.service_accounts, (), name, namespace),
            "Ingress" => standing(&self.ingresses, (), name, namespace),
            _ => standing(self.http_routes.as_ref()?, http_route::resource(), name, namespace),
        }
    }

    /// Waits until every store holds its first complete list.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        let Self {
            pods,
            replica_sets,
            stateful_sets,
            services,
            config_maps,
            disruption_budgets,
            network_policies,
            service_accounts,
            ingresses,
            http_routes,
        } = self;
        pods.wait_until_ready().await?;
        replica_sets.wait_until_ready().await?;
        stateful_sets.wait_until_ready().await?;
        services.wait_until_ready().await?;
        config_maps.wait_until_ready().await?;
        disruption_budgets.wait_until_ready().await?;
        network_policies.wait_until_ready().await?;
        service_accounts.wait_until_ready().await?;
        ingresses.wait_until_ready().await?;
        match http_routes {
            Some(routes) => routes.wait_until_ready().await,
            None => Ok(()),
        }
    }
}

fn standing<K>(store: &Store<K>, dyntype: K::DynamicType, name: &str, namespace: &str) -> Option<Standing>
where
    K: Resource + Clone + Serialize,
    K::DynamicType: Eq + Hash + Clone,
{
    let object = store.get(&ObjectRef::new_with(name, dyntype).within(namespace))?;
    Some(Standing { version: object.resource_version()?, fingerprint: fingerprint(object.as_ref()) })
}

/// Hash of an object without what others write or what says nothing of it: status, versions, managers.
fn fingerprint<K: Serialize>(object: &K) -> u64 {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        ["resourceVersion", "managedFields", "generation"].iter().for_each(|key| drop(metadata.remove(*key)));
    }
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

fn typed<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

fn scoped(client: &Client, namespace: Option<&str>, resource: &ApiResource) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Whether the cluster knows the resource at all.
async fn serves(api: Api<DynamicObject>) -> Result<bool, kube::Error> {
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

fn watch<K>(api: Api<K>, dyntype: K::DynamicType, changes: &mut futures::stream::SelectAll<Changes>) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
{
    let writer = reflector::store::Writer::new(dyntype);
    let store = writer.as_reader();
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={OPERATOR}"));
    let stream = watcher(api, config)
        .default_backoff()
        .modify(|object| {
            object.managed_fields_mut().clear();
        })
        .reflect(writer)
        .touched_objects()
        .filter_map(|object| async move {
            match object {
                Ok(object) => Some(room_of(&object)?),
                Err(error) => {
                    tracing::warn!(%error, "a watch broke and begins anew");
                    None
                }
            }
        });
    changes.push(stream.boxed());
    store
}

fn room_of<K: Resource>(object: &K) -> Option<ObjectRef<Guarded>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}
