//! Objects of one kind, kept up to date by a watch and found by the ChatRoom that they were made for.
//!
//! A pass reads the few objects of its own ChatRoom and never goes over those of the whole cluster. Decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{chat_room_name::ChatRoomName, reconcile::build::meta::INSTANCE};

/// An object with what is compared about it.
#[derive(Debug)]
pub struct Entry<K> {
    /// The object.
    pub object: K,
    /// Its state for comparisons.
    pub current: Current,
}

/// What is compared about an object as the watch shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its `resourceVersion`.
    pub version: String,
    /// Hash of everything but status and bookkeeping.
    pub fingerprint: u64,
    /// `metadata.uid` of the object.
    pub uid: String,
    /// Who owns it.
    pub owners: Vec<Owner>,
}

/// An owner of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `Kind/name`.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
}

impl Owner {
    /// The owners that an object names.
    pub fn all_of(object: &impl ResourceExt) -> Vec<Self> {
        let owners = object.owner_references().iter();
        owners.map(|owner| Self { name: format!("{}/{}", owner.kind, owner.name), uid: owner.uid.clone() }).collect()
    }
}

type Objects<K> = HashMap<ChatRoomName, BTreeMap<String, Arc<Entry<K>>>>;

/// Whether an index can be concluded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// The first list is not complete.
    Pending,
    /// What is not in the index does not exist.
    Complete,
    /// The cluster does not serve this kind.
    NotServed,
}

/// The reading side; clones share it.
pub struct Index<K> {
    objects: Arc<RwLock<Objects<K>>>,
    sync: watch::Receiver<Sync>,
}

impl<K> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), sync: self.sync.clone() }
    }
}

impl<K> Index<K> {
    /// The objects made for a ChatRoom, by name.
    pub fn of(&self, room: &ChatRoomName) -> Vec<Arc<Entry<K>>> {
        self.objects.read().get(room).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// One object made for a ChatRoom.
    pub fn get(&self, room: &ChatRoomName, name: &str) -> Option<Arc<Entry<K>>> {
        self.objects.read().get(room)?.get(name).cloned()
    }

    /// Whether the cluster serves the kind.
    pub fn is_served(&self) -> bool {
        *self.sync.borrow() != Sync::NotServed
    }

    /// Waits until the first list is complete, or the kind is known not to be served. Any number of passes may wait.
    pub async fn ready(&self) -> Result<(), watch::error::RecvError> {
        self.sync.clone().wait_for(|sync| *sync != Sync::Pending).await.map(drop)
    }
}

/// The writing side, fed by one watch.
pub struct Writer<K> {
    objects: Arc<RwLock<Objects<K>>>,
    sync: watch::Sender<Sync>,
    /// Collects a new list until it is complete.
    listing: Objects<K>,
}

impl<K: Resource + Serialize> Writer<K> {
    /// An empty index and its reader.
    pub fn new() -> (Self, Index<K>) {
        let objects = Arc::new(RwLock::new(Objects::new()));
        let (sync, receiver) = watch::channel(Sync::Pending);
        let index = Index { objects: objects.clone(), sync: receiver };
        (Self { objects, sync, listing: Objects::new() }, index)
    }

    /// Takes an event in; answers the ChatRooms that it concerns.
    pub fn take(&mut self, event: Event<K>) -> BTreeSet<ChatRoomName> {
        match event {
            Event::Init => {
                self.listing = Objects::new();
                BTreeSet::new()
            }
            Event::InitApply(object) => {
                insert(&mut self.listing, object);
                BTreeSet::new()
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let mut concerned: BTreeSet<ChatRoomName> = listed.keys().cloned().collect();
                let former = std::mem::replace(&mut *self.objects.write(), listed);
                concerned.extend(former.into_keys());
                self.sync.send_replace(Sync::Complete);
                concerned
            }
            Event::Apply(object) => insert(&mut self.objects.write(), object).into_iter().collect(),
            Event::Delete(object) => {
                let room = room_of(&object);
                if let Some(room) = &room {
                    remove(&mut self.objects.write(), room, &object.name_any());
                }
                room.into_iter().collect()
            }
        }
    }

    /// The API server does not know the kind.
    pub fn not_served(&mut self) {
        self.objects.write().clear();
        self.sync.send_replace(Sync::NotServed);
    }
}

fn insert<K: Resource + Serialize>(objects: &mut Objects<K>, object: K) -> Option<ChatRoomName> {
    let room = room_of(&object)?;
    let current = Current {
        version: object.resource_version().unwrap_or_default(),
        fingerprint: fingerprint(&object),
        uid: object.uid().unwrap_or_default(),
        owners: Owner::all_of(&object),
    };
    let name = object.name_any();
    objects.entry(room.clone()).or_default().insert(name, Arc::new(Entry { object, current }));
    Some(room)
}

fn remove<K>(objects: &mut Objects<K>, room: &ChatRoomName, name: &str) {
    let Some(of_room) = objects.get_mut(room) else { return };
    of_room.remove(name);
    if of_room.is_empty() {
        objects.remove(room);
    }
}

fn room_of<K: Resource>(object: &K) -> Option<ChatRoomName> {
    Some(ChatRoomName { namespace: object.namespace()?, name: object.labels().get(INSTANCE)?.clone() })
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn object(name: &str, room: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.namespace = Some("chat".into());
        object.metadata.labels = Some([(INSTANCE.to_owned(), room.to_owned())].into());
        object
    }

    fn room(name: &str) -> ChatRoomName {
        ChatRoomName { namespace: "chat".into(), name: name.into() }
    }

    #[test]
    fn objects_are_found_by_their_chatroom_and_a_new_list_replaces_the_old_one() {
        let (mut writer, index) = Writer::new();
        for event in [Event::Init, Event::InitApply(object("a", "one")), Event::InitApply(object("b", "two"))] {
            assert!(writer.take(event).is_empty());
        }
        assert!(index.of(&room("one")).is_empty(), "an incomplete list shows nothing");
        writer.take(Event::InitDone);
        assert_eq!(index.of(&room("one")).len(), 1);
        writer.take(Event::Delete(object("a", "one")));
        assert!(index.get(&room("one"), "a").is_none());
        writer.take(Event::Init);
        let concerned = writer.take(Event::InitDone);
        assert!(concerned.contains(&room("two")), "its object vanished while the watch was away");
    }

    #[tokio::test]
    async fn every_pass_that_waits_for_the_first_list_is_woken() {
        let (mut writer, index) = Writer::<ConfigMap>::new();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let index = index.clone();
                tokio::spawn(async move { index.ready().await })
            })
            .collect();
        tokio::task::yield_now().await;
        writer.take(Event::Init);
        writer.take(Event::InitDone);
        for waiter in waiting {
            assert!(waiter.await.unwrap().is_ok());
        }
    }
}
