//! What passes over a ChatRoom keep for the next ones.
//!
//! Only what makes passes cheaper or calmer: losing all of it in a restart delays a scale-down and repeats some writes that
//! change nothing. Bounded by the ChatRooms that exist; entries of deleted ones are dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use parking_lot::Mutex;

use super::{
    build::{certificates::Certificates, keys},
    decide::{moves::Moves, window::Window},
    kind::ObjectId,
};
use crate::{chat_room_name::ChatRoomName, deadlines, redis::journal::Journal, stores::index::Current};

/// What is kept for one ChatRoom.
#[derive(Debug, Default)]
pub struct PassCache {
    /// Which ChatRoom of that name it was.
    uid: Option<String>,
    /// Loads of the last `scaleDownAfter`.
    pub window: Window,
    /// What each gateway reported last, for those that are silent now.
    pub last_connections: BTreeMap<String, u32>,
    /// Connections that each gateway has refused since it started.
    pub refusals: BTreeMap<String, u64>,
    /// What moving connections between gateways has achieved.
    pub moves: Moves,
    /// Since when Redis servers are missing, and which orders they received when.
    pub redis: Journal,
    /// Since when the managed Redis has had another password, while the former one is still let in.
    pub password_switched: Option<Timestamp>,
    /// Gateways that cannot reach their Redis, and since when.
    pub unavailable_since: BTreeMap<String, Timestamp>,
    /// When `status.connections` was written.
    pub published: Option<Timestamp>,
    /// Objects as they were last applied.
    pub applied: BTreeMap<ObjectId, Applied>,
    /// Objects that could not be applied.
    pub refused: BTreeMap<ObjectId, Refused>,
    /// The generated Secret, complete, and when it was read.
    pub secret: Option<(Secret, Timestamp)>,
    /// The generated Secret as it was complete last: what it is made of again if somebody deletes it.
    pub last_secret: Option<Secret>,
    /// Digests of the Secrets that the ChatRoom names, and when they were read.
    pub named_keys: Option<(keys::Digests, Timestamp)>,
    /// Certificates of the Secret that the ChatRoom names for Redis, complete, and when they were read.
    pub redis_certificates: Option<(Certificates, Timestamp)>,
    /// The newest generation that was found valid.
    pub valid_generation: Option<i64>,
    /// Passes that failed in a row.
    pub failures: u32,
}

/// An object as it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Hash of what the operator sent.
    pub hash: u64,
    /// Version that came of it.
    pub version: String,
    /// Fingerprint of that version as the store shows it, once it does.
    pub stored: Option<u64>,
}

impl Applied {
    /// Whether applying `hash` again would change nothing, because nobody has changed the object since.
    pub fn is_current(&mut self, hash: u64, current: &Current) -> bool {
        if self.stored.is_none() && current.version == self.version {
            self.stored = Some(current.fingerprint);
        }
        self.hash == hash && self.stored == Some(current.fingerprint)
    }
}

/// An object that could not be applied: it is tried again less and less often, so that it slows nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Hash of what was sent. Another content is tried at once.
    pub hash: u64,
    /// Failures in a row.
    pub failures: u32,
    /// When it is tried again.
    pub again: Timestamp,
    /// What the API server said.
    pub error: String,
    /// Someone else has the name.
    pub name_taken: bool,
}

impl Refused {
    /// One more failure after `former`.
    pub fn after(former: Option<&Self>, hash: u64, now: Timestamp, error: String, name_taken: bool) -> Self {
        let failures = former.map_or(0, |former| former.failures).saturating_add(1);
        Self { hash, failures, again: now + backoff(failures), error, name_taken }
    }
}

/// Doubles from a second to the longest pause.
pub fn backoff(failures: u32) -> Duration {
    let pause = Duration::from_secs(1) * 2_u32.pow(failures.clamp(1, 7) - 1);
    pause.min(deadlines::LONGEST_PAUSE)
}

/// The caches of all ChatRooms.
#[derive(Debug, Default)]
pub struct PassCaches(Mutex<BTreeMap<ChatRoomName, PassCache>>);

impl PassCaches {
    /// Runs `with` on the cache of one ChatRoom; never across an await.
    pub fn with<T>(&self, room: &ChatRoomName, with: impl FnOnce(&mut PassCache) -> T) -> T {
        with(self.0.lock().entry(room.clone()).or_default())
    }

    /// Forgets another ChatRoom that had the name of this one: its Secret and its objects went with it.
    pub fn reset_if_recreated(&self, room: &ChatRoomName, uid: Option<&str>) {
        self.with(room, |cache| {
            if cache.uid.as_deref() != uid {
                *cache = PassCache { uid: uid.map(str::to_owned), ..PassCache::default() };
            }
        });
    }

    /// Drops the caches of ChatRooms of `namespace` (of all, if absent) that are not in `existing`; answers which.
    pub fn keep(&self, namespace: Option<&str>, existing: &BTreeSet<ChatRoomName>) -> Vec<ChatRoomName> {
        let mut caches = self.0.lock();
        let is_gone =
            |name: &&ChatRoomName| !existing.contains(*name) && namespace.is_none_or(|scope| scope == name.namespace);
        let gone: Vec<ChatRoomName> = caches.keys().filter(is_gone).cloned().collect();
        gone.iter().for_each(|name| drop(caches.remove(name)));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chatroom_created_again_under_an_old_name_starts_with_an_empty_cache() {
        let (caches, name) = (PassCaches::default(), "default/lobby".parse().unwrap());
        let generation = |uid| {
            caches.reset_if_recreated(&name, Some(uid));
            caches.with(&name, |cache| cache.valid_generation.replace(1))
        };
        assert_eq!(generation("first"), None);
        assert_eq!(generation("first"), Some(1));
        assert_eq!(generation("second"), None);
    }

    #[test]
    fn a_refused_object_is_tried_again_after_a_second_and_at_last_once_per_minute() {
        let seconds = |failures| backoff(failures).as_secs();
        assert_eq!([1, 2, 3, 7, 50].map(seconds), [1, 2, 4, 60, 60]);
    }
}
