//! The generated Secret: keys that gateways share and nobody chose.
//!
//! A key that is there is never made again: a new signing key would turn every known person into a stranger.

use super::meta::{self, Component};
use crate::redis::settings;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
use std::collections::BTreeMap;

/// Key that signs identities.
pub const SIGNING_KEY: &str = "signing-key";
/// Bearer token of `/drain`.
pub const DRAIN_TOKEN: &str = "drain-token";
/// Key of relay's tokens when the ChatRoom names none.
pub const RELAY_TOKEN_KEY: &str = "relay-token-key";
/// Password of the managed Redis, as gateways read it.
pub const REDIS_PASSWORD: &str = "redis-password";
/// The same password, as a piece of configuration that Redis servers include.
pub const REDIS_PASSWORD_FILE: &str = "redis-password.conf";
/// Keys of every ChatRoom.
const KEYS: [&str; 3] = [SIGNING_KEY, DRAIN_TOKEN, RELAY_TOKEN_KEY];

/// Random values for the keys that are generated, in the order in which they are listed here.
pub type Fresh = [String; KEYS.len() + 1];

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
        generated(room).zip(fresh).map(|(key, new)| (key.to_owned(), value(key, new))).collect();
    if let Some(password) = data.get(REDIS_PASSWORD) {
        let file = settings::password(&String::from_utf8_lossy(&password.0));
        data.insert(REDIS_PASSWORD_FILE.into(), ByteString(file.into_bytes()));
    }
    Secret {
        metadata: meta::owned(room, Component::Gateway, meta::secret_name(room)),
        data: Some(data),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// Whether every key is there.
pub fn is_complete(room: &ChatRoom, secret: &Secret) -> bool {
    let has = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|value| !value.0.is_empty());
    generated(room).all(has)
}

/// Whether `found` has everything that `wanted` has.
pub fn holds(found: &Secret, wanted: &Secret) -> bool {
    let value = |key: &String| found.data.as_ref().and_then(|data| data.get(key));
    wanted.data.iter().flatten().all(|(key, wanted)| value(key) == Some(wanted))
}

/// The password of the managed Redis, once it was generated.
pub fn redis_password(secret: &Secret) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(REDIS_PASSWORD)?.0.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_there_survive_and_missing_ones_are_made() {
        let room = ChatRoom::new("lobby", Default::default());
        let fresh = ["a", "b", "c", "d"].map(str::to_owned);
        let mut first = secret(&room, None, &fresh);
        first.data.as_mut().unwrap().remove(DRAIN_TOKEN);
        let second = secret(&room, Some(&first), &["x", "y", "z", "w"].map(str::to_owned));
        let values: Vec<_> = second.data.unwrap().into_values().map(|v| String::from_utf8(v.0).unwrap()).collect();
        let password = "requirepass d\nmasterauth d\n";
        assert_eq!(values, ["y", "d", password, "c", "a"], "in the order of the keys' names");
    }

    #[test]
    fn only_a_managed_redis_has_a_generated_password() {
        let mut room = ChatRoom::new("lobby", Default::default());
        let fresh = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(redis_password(&secret(&room, None, &fresh)).as_deref(), Some("d"));
        (room.spec.redis.managed, room.spec.redis.memory) = (None, Some(Default::default()));
        let memory = secret(&room, None, &fresh);
        assert_eq!(redis_password(&memory), None);
        assert!(is_complete(&room, &memory));
    }
}
