//! What the operator remembers of a ChatRoom between two passes.
//!
//! Only what makes passes cheaper or calmer: losing all of it in a restart delays a scale-down and repeats some writes that
//! change nothing. Bounded by the ChatRooms that exist; entries of deleted ones are dropped.

use crate::reconcile::decide::window::Window;
use crate::redis::journal::Journal;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Namespace and name of a ChatRoom.
pub type RoomKey = (String, String);

/// What is remembered of one ChatRoom.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which ChatRoom of that name it was.
    pub uid: Option<String>,
    /// Loads of the last `scaleDownAfter`.
    pub window: Window,
    /// Since when Redis servers are missing, and what they were told when.
    pub redis: Journal,
    /// Gateways that have lost their Redis, and since when.
    pub away: BTreeMap<String, Timestamp>,
    /// When `status.connections` was written.
    pub published: Option<Timestamp>,
    /// Objects as they were last applied, by `Kind/name`.
    pub applied: BTreeMap<String, Sent>,
    /// The generated Secret, complete, and when it was read.
    pub secret: Option<(Secret, Timestamp)>,
    /// The newest generation that was found valid.
    pub valid_generation: Option<i64>,
    /// Passes that failed in a row.
    pub failures: u32,
}

/// An object as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Hash of what the operator sent.
    pub hash: u64,
    /// Version that came of it.
    pub version: String,
    /// Fingerprint of that version as the store shows it, once it does.
    pub stored: Option<u64>,
}

/// An object as the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its version.
    pub version: String,
    /// Hash of everything but status and bookkeeping.
    pub fingerprint: u64,
}

impl Sent {
    /// Whether applying `hash` again would change nothing, because nobody touched what stands.
    pub fn stands(&mut self, hash: u64, standing: &Option<Standing>) -> bool {
        let Some(standing) = standing else { return false };
        if self.stored.is_none() && standing.version == self.version {
            self.stored = Some(standing.fingerprint);
        }
        self.hash == hash && self.stored == Some(standing.fingerprint)
    }
}

/// The memories of all ChatRooms.
#[derive(Debug, Default)]
pub struct Memories(Mutex<BTreeMap<RoomKey, Memory>>);

impl Memories {
    /// Runs `with` on the memory of one ChatRoom; never across an await.
    pub fn with<T>(&self, room: &RoomKey, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(self.lock().entry(room.clone()).or_default())
    }

    /// Forgets another ChatRoom that had the name of this one: its Secret and its objects went with it.
    pub fn meet(&self, room: &RoomKey, uid: Option<&str>) {
        self.with(room, |memory| {
            if memory.uid.as_deref() != uid {
                *memory = Memory { uid: uid.map(str::to_owned), ..Memory::default() };
            }
        });
    }

    /// Drops the memories of ChatRooms of `namespace` (of all, if absent) that are not in `existing`; answers which.
    pub fn keep(&self, namespace: Option<&str>, existing: &BTreeSet<RoomKey>) -> Vec<RoomKey> {
        let mut memories = self.lock();
        let is_gone = |key: &&RoomKey| !existing.contains(*key) && namespace.is_none_or(|scope| scope == key.0);
        let gone: Vec<RoomKey> = memories.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|key| drop(memories.remove(key)));
        gone
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomKey, Memory>> {
        // A panic ends the process, so nobody meets a poisoned lock; its data would be sound anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chatroom_that_is_made_anew_under_an_old_name_starts_without_memories() {
        let (memories, key) = (Memories::default(), ("default".to_owned(), "lobby".to_owned()));
        let generation = |uid| {
            memories.meet(&key, Some(uid));
            memories.with(&key, |memory| memory.valid_generation.replace(1))
        };
        assert_eq!(generation("first"), None);
        assert_eq!(generation("first"), Some(1));
        assert_eq!(generation("second"), None);
    }
}
