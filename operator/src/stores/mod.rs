//! Copies of what exists for ChatRooms, kept up to date by watches: a pass reads them instead of asking the API server.
//!
//! Only objects with the operator's label are watched; Secrets are not. Nothing is concluded from a store before its first
//! list is complete. A watch that fails is logged, counted and started again.

pub mod index;

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use index::{Current, Entry, Index, Writer};
use k8s_openapi::api::{
    apps::v1::{ReplicaSet, StatefulSet},
    core::v1::Pod,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{ApiResource, DeserializeGuard, DynamicObject},
    runtime::{WatchStreamExt, reflector::ObjectRef, watcher},
};
use parlor_crds::ChatRoom;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch::error::RecvError;

use crate::{
    chat_room_name::ChatRoomName,
    metrics::{Metrics, Watched},
    reconcile::{
        build::meta::{MANAGED_BY, OPERATOR},
        kind::{Kind, ObjectId},
    },
};

/// Changes of anything that belongs to a ChatRoom, as references to it.
pub type Changes = BoxStream<'static, ObjectRef<Guarded>>;
/// A ChatRoom, or the reason why one cannot be read; the others must not suffer from it.
pub type Guarded = DeserializeGuard<ChatRoom>;

/// The stores of one namespace, or of all.
#[derive(Clone)]
pub struct Stores {
    /// Pods of gateways and of Redis.
    pub pods: Index<Pod>,
    /// ReplicaSets of gateways.
    pub replica_sets: Index<ReplicaSet>,
    /// StatefulSets of Redis.
    pub stateful_sets: Index<StatefulSet>,
    /// Objects of which little is read.
    others: BTreeMap<Kind, Index<DynamicObject>>,
}

impl Stores {
    /// Begins to watch `namespace`, or everything. The stores fill only while the changes are polled.
    pub fn watch(client: &Client, namespace: Option<&str>, metrics: &Metrics) -> (Self, Changes) {
        let mut changes = SelectAll::new();
        let mut others = BTreeMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.goes_when_not_asked_for()) {
            let index = watch(scoped(client, namespace, &kind.resource()), kind.name(), metrics, &mut changes);
            others.insert(kind, index);
        }
        let stores = Self {
            pods: watch(typed(client, namespace), "Pod", metrics, &mut changes),
            replica_sets: watch(typed(client, namespace), "ReplicaSet", metrics, &mut changes),
            stateful_sets: watch(typed(client, namespace), "StatefulSet", metrics, &mut changes),
            others,
        };
        (stores, changes.boxed())
    }

    /// An object of a ChatRoom as it is now.
    pub fn current(&self, room: &ChatRoomName, id: &ObjectId) -> Option<Current> {
        match id.kind {
            Kind::ReplicaSet => self.replica_sets.get(room, &id.name).map(|entry| entry.current.clone()),
            Kind::StatefulSet => self.stateful_sets.get(room, &id.name).map(|entry| entry.current.clone()),
            kind => self.others.get(&kind)?.get(room, &id.name).map(|entry| entry.current.clone()),
        }
    }

    /// Objects of a ChatRoom of a kind that goes when it is not asked for.
    pub fn others(&self, room: &ChatRoomName, kind: Kind) -> Vec<Arc<Entry<DynamicObject>>> {
        self.others.get(&kind).map(|index| index.of(room)).unwrap_or_default()
    }

    /// Whether the cluster serves a kind.
    pub fn serves(&self, kind: Kind) -> bool {
        self.others.get(&kind).is_none_or(Index::is_served)
    }

    /// Waits until every store holds its first complete list.
    pub async fn ready(&self) -> Result<(), RecvError> {
        let Self { pods, replica_sets, stateful_sets, others } = self;
        pods.ready().await?;
        replica_sets.ready().await?;
        stateful_sets.ready().await?;
        for index in others.values() {
            index.ready().await?;
        }
        Ok(())
    }
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

fn watch<K>(api: Api<K>, kind: &'static str, metrics: &Metrics, changes: &mut SelectAll<Changes>) -> Index<K>
where
    K: Resource + Serialize + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (mut writer, index) = Writer::new();
    let errors = metrics.watch_errors.get_or_create_owned(&Watched { kind });
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={OPERATOR}"));
    let events = watcher(api, config).default_backoff().modify(|object| object.managed_fields_mut().clear());
    let concerned = events.flat_map(move |event| {
        let rooms = match event {
            Ok(event) => writer.take(event),
            Err(error) if is_not_served(&error) => {
                writer.not_served();
                Default::default()
            }
            Err(error) => {
                errors.inc();
                tracing::warn!(kind, %error, "failed to watch; trying again");
                Default::default()
            }
        };
        stream::iter(rooms.into_iter().map(|room| ObjectRef::new(&room.name).within(&room.namespace)))
    });
    changes.push(concerned.boxed());
    index
}

/// The API server has no such resource. It is asked again from time to time, because it may be installed later.
fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::WatchError(status) => status.code == 404,
        _ => false,
    }
}
