//! The generated Secret: keys that gateways share and nobody chose.
//!
//! A key that is there is never made again: a new signing key would turn every known person into a stranger. Only the password
//! of the managed Redis changes, in the turns of [`Turn`]; the keys below say where such a rotation is.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt;
use parlor_crds::{ChatRoom, chatroom::RedisMode};
use serde::Deserialize;

use super::{
    certificates,
    meta::{self, Component},
};
use crate::redis::passwords::{Passwords, Second};

/// Key that signs identities.
pub const SIGNING_KEY: &str = "signing-key";
/// Bearer token of `/drain`.
pub const DRAIN_TOKEN: &str = "drain-token";
/// Key of relay's tokens when the ChatRoom names none.
pub const RELAY_TOKEN_KEY: &str = "relay-token-key";
/// Password of the managed Redis, as gateways read it.
pub const REDIS_PASSWORD: &str = "redis-password";
/// What servers let in and present, as a piece of configuration that they include.
pub const REDIS_PASSWORD_FILE: &str = "redis-password.conf";
/// The second password of the managed Redis, under the key that says what it is.
const SECOND: [(&str, Second); 3] = [
    ("redis-password-next", Second::Next),
    ("redis-password-former", Second::Former),
    ("redis-password-retired", Second::Retired),
];
/// Keys of every ChatRoom.
const KEYS: [&str; 3] = [SIGNING_KEY, DRAIN_TOKEN, RELAY_TOKEN_KEY];

/// What a Secret that lacks something is completed with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Fresh {
    /// Random values for the keys that are generated, in the order in which they are listed here, and for a next password.
    pub keys: [String; KEYS.len() + 2],
    /// Certificates, by key.
    #[serde(skip)]
    pub certificates: certificates::Fresh,
}

/// How the rotation of the password continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Every server lets the next password in: gateways and replicas are to present it.
    Switch,
    /// Every gateway has read the password: the former one is to be let in no more.
    Retire,
}

/// Keys whose values are generated for this ChatRoom.
fn generated(room: &ChatRoom) -> impl Iterator<Item = &'static str> {
    let managed = matches!(room.spec.redis.mode(), RedisMode::Managed(_));
    KEYS.into_iter().chain(managed.then_some(REDIS_PASSWORD))
}

/// The Secret with every key that `observed` has, and new values from `fresh` for those that it lacks.
pub fn secret(room: &ChatRoom, observed: Option<&Secret>, fresh: &Fresh) -> Secret {
    let present = observed.and_then(|secret| secret.data.clone()).unwrap_or_default();
    let value = |key: &str, new: &String| {
        let kept = present.get(key).filter(|value| !value.0.is_empty()).cloned();
        kept.unwrap_or_else(|| ByteString(new.clone().into_bytes()))
    };
    let mut data: BTreeMap<String, ByteString> =
        generated(room).zip(&fresh.keys).map(|(key, new)| (key.to_owned(), value(key, new))).collect();
    if data.contains_key(REDIS_PASSWORD) {
        data.extend(SECOND.into_iter().filter_map(|(key, _)| Some((key.to_owned(), present.get(key)?.clone()))));
    }
    if certificates::are_generated(room) {
        data.extend(certificates::KEYS.into_iter().filter_map(|key| Some((key.to_owned(), present.get(key)?.clone()))));
        let made = fresh.certificates.iter();
        data.extend(made.map(|(key, value)| ((*key).to_owned(), ByteString(value.clone().into_bytes()))));
    }
    let metadata = meta::owned(room, Component::Gateway, meta::secret_name(room));
    let mut secret = Secret { metadata, data: Some(data), type_: Some("Opaque".into()), ..Secret::default() };
    let [.., next] = &fresh.keys;
    begin_rotation(&mut secret, room, observed, next);
    write_file(&mut secret);
    secret
}

/// Begins a rotation for a new value of the annotation, unless one is under way. A password that was just made is new enough.
fn begin_rotation(secret: &mut Secret, room: &ChatRoom, observed: Option<&Secret>, next: &str) {
    let Some(data) = secret.data.as_mut().filter(|data| data.contains_key(REDIS_PASSWORD)) else { return };
    let wanted = room.annotations().get(meta::ROTATE_PASSWORD);
    let handled = observed.and_then(|secret| secret.annotations().get(meta::ROTATE_PASSWORD));
    let under_way = SECOND.iter().any(|(key, second)| *second != Second::Retired && data.contains_key(*key));
    let begins = wanted.is_some() && wanted != handled && !under_way;
    if begins && observed.and_then(redis_passwords).is_some() {
        SECOND.iter().for_each(|(key, _)| drop(data.remove(*key)));
        data.insert(SECOND[0].0.into(), ByteString(next.as_bytes().to_vec()));
    }
    let noted = if begins { wanted } else { handled };
    secret.metadata.annotations = noted.map(|value| meta::labels(&[(meta::ROTATE_PASSWORD, value)]));
}

/// Carries the rotation one step on; what has been done already stays.
pub fn turn(secret: &mut Secret, turn: Turn) {
    let ([(next, _), (former, _), (retired, _)], Some(data)) = (SECOND, &mut secret.data) else { return };
    match turn {
        Turn::Switch => {
            let Some(password) = data.remove(next) else { return };
            let old = data.insert(REDIS_PASSWORD.into(), password);
            data.extend(old.map(|old| (former.to_owned(), old)));
        }
        Turn::Retire => {
            let old = data.remove(former);
            data.extend(old.map(|old| (retired.to_owned(), old)));
        }
    }
    write_file(secret);
}

fn write_file(secret: &mut Secret) {
    if let (Some(passwords), Some(data)) = (redis_passwords(secret), &mut secret.data) {
        data.insert(REDIS_PASSWORD_FILE.into(), ByteString(passwords.file().into_bytes()));
    }
}

/// Whether every key is there.
pub fn is_complete(room: &ChatRoom, secret: &Secret) -> bool {
    let has = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|value| !value.0.is_empty());
    generated(room).all(has) && (!certificates::are_generated(room) || certificates::KEYS.into_iter().all(has))
}

/// Whether the Secret is the ChatRoom's: made for it, or restored from a backup, which has its labels and names no owner.
pub fn is_ours(room: &ChatRoom, secret: &Secret) -> bool {
    let owners = secret.owner_references();
    let is_restored = || {
        let labels = meta::owned(room, Component::Gateway, meta::secret_name(room)).labels;
        owners.is_empty() && labels.iter().flatten().all(|(key, value)| secret.labels().get(key) == Some(value))
    };
    owners.iter().any(|owner| Some(&owner.uid) == room.metadata.uid.as_ref()) || is_restored()
}

/// Whether `found` has everything that `wanted` has, and is where it is in a rotation.
pub fn holds(found: &Secret, wanted: &Secret) -> bool {
    let value = |secret: &'_ Secret, key: &str| secret.data.as_ref().and_then(|data| data.get(key)).cloned();
    let same_second = SECOND.iter().all(|(key, _)| value(found, key) == value(wanted, key));
    let handled = |secret: &Secret| secret.annotations().get(meta::ROTATE_PASSWORD).cloned();
    let has_all = wanted.data.iter().flatten().all(|(key, wanted)| value(found, key).as_ref() == Some(wanted));
    let is_owned = wanted.owner_references().iter().all(|owner| found.owner_references().contains(owner));
    has_all && same_second && is_owned && handled(found) == handled(wanted)
}

/// The passwords of the managed Redis, once one was generated.
pub fn redis_passwords(secret: &Secret) -> Option<Passwords> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    let second = SECOND.into_iter().find_map(|(key, second)| Some((second, text(key)?)));
    Some(Passwords { current: text(REDIS_PASSWORD)?, second })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(values: [&str; 5]) -> Fresh {
        Fresh { keys: values.map(str::to_owned), ..Fresh::default() }
    }

    #[test]
    fn keys_that_are_there_survive_and_missing_ones_are_made() {
        let room = ChatRoom::new("lobby", Default::default());
        let mut first = secret(&room, None, &fresh(["a", "b", "c", "d", "e"]));
        first.data.as_mut().unwrap().remove(DRAIN_TOKEN);
        let second = secret(&room, Some(&first), &fresh(["x", "y", "z", "w", "v"]));
        let values: Vec<_> = second.data.unwrap().into_values().map(|v| String::from_utf8(v.0).unwrap()).collect();
        let password = "requirepass d\nmasterauth d\n";
        assert_eq!(values, ["y", "d", password, "c", "a"], "in the order of the keys' names");
    }

    #[test]
    fn only_a_managed_redis_has_a_generated_password() {
        let mut room = ChatRoom::new("lobby", Default::default());
        let fresh = fresh(["a", "b", "c", "d", "e"]);
        assert_eq!(redis_passwords(&secret(&room, None, &fresh)), Some(Passwords::settled("d")));
        (room.spec.redis.managed, room.spec.redis.memory) = (None, Some(Default::default()));
        let memory = secret(&room, None, &fresh);
        assert_eq!(redis_passwords(&memory), None);
        assert!(is_complete(&room, &memory));
    }

    #[test]
    fn a_rotation_is_begun_once_for_each_value_of_the_annotation_and_goes_through_its_turns() {
        let mut room = ChatRoom::new("lobby", Default::default());
        let first = fresh(["a", "b", "c", "old", "unused"]);
        let mut found = secret(&room, None, &first);
        room.annotations_mut().insert(meta::ROTATE_PASSWORD.into(), "1".into());
        let now = |found: &Secret, new: &str| {
            let made = secret(&room, Some(found), &fresh(["v", "w", "x", "y", new]));
            (redis_passwords(&made).unwrap(), made)
        };
        let is = |current: &str, second| Passwords { second, ..Passwords::settled(current) };
        let (passwords, begun) = now(&found, "new");
        assert_eq!(passwords, is("old", Some((Second::Next, "new".into()))));
        assert!(!holds(&found, &begun), "it is written");
        found = begun;
        let (passwords, same) = now(&found, "newer");
        assert_eq!(passwords, is("old", Some((Second::Next, "new".into()))), "it is not begun again");
        assert!(holds(&found, &same));
        turn(&mut found, Turn::Switch);
        assert_eq!(now(&found, "newer").0, is("new", Some((Second::Former, "old".into()))));
        turn(&mut found, Turn::Switch);
        turn(&mut found, Turn::Retire);
        assert_eq!(now(&found, "newer").0, is("new", Some((Second::Retired, "old".into()))));
        room.annotations_mut().insert(meta::ROTATE_PASSWORD.into(), "2".into());
        let again = secret(&room, Some(&found), &fresh(["v", "w", "x", "y", "newer"]));
        assert_eq!(redis_passwords(&again).unwrap(), is("new", Some((Second::Next, "newer".into()))));
    }

    #[test]
    fn a_secret_of_a_backup_is_taken_back_and_one_of_somebody_else_is_not() {
        let mut room = ChatRoom::new("lobby", Default::default());
        room.metadata.uid = Some("new".into());
        let made = secret(&room, None, &fresh(["a", "b", "c", "d", "e"]));
        assert!(is_ours(&room, &made) && holds(&made, &made));
        let mut restored = made.clone();
        restored.metadata.owner_references = None;
        assert!(is_ours(&room, &restored) && !holds(&restored, &made), "it gets its owner");
        restored.metadata.labels = None;
        assert!(!is_ours(&room, &restored));
        room.metadata.uid = Some("newer".into());
        assert!(!is_ours(&room, &made), "its owner was another ChatRoom of that name");
    }

    #[test]
    fn a_chatroom_that_is_made_with_the_annotation_of_its_backup_rotates_nothing() {
        let mut room = ChatRoom::new("lobby", Default::default());
        room.annotations_mut().insert(meta::ROTATE_PASSWORD.into(), "1".into());
        let made = secret(&room, None, &fresh(["a", "b", "c", "d", "e"]));
        let later = secret(&room, Some(&made), &fresh(["v", "w", "x", "y", "z"]));
        assert_eq!(redis_passwords(&later), Some(Passwords::settled("d")));
    }
}
