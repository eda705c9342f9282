//! The generated Secret: keys that gateways share and nobody chose.
//!
//! A key that is there is never made again: a new signing key would turn every known person into a stranger.

use super::meta::{self, Component};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use parlor_crds::ChatRoom;
use std::collections::BTreeMap;

/// Key that signs identities.
pub const SIGNING_KEY: &str = "signing-key";
/// Bearer token of `/drain`.
pub const DRAIN_TOKEN: &str = "drain-token";
/// Key of relay's tokens when the ChatRoom names none.
pub const RELAY_TOKEN_KEY: &str = "relay-token-key";
const KEYS: [&str; 3] = [SIGNING_KEY, DRAIN_TOKEN, RELAY_TOKEN_KEY];

/// The Secret with every key that `observed` has, and new values from `fresh` for those that it lacks.
pub fn secret(room: &ChatRoom, observed: Option<&Secret>, fresh: &[String; 3]) -> Secret {
    let present = observed.and_then(|secret| secret.data.clone()).unwrap_or_default();
    let value = |key: &str, new: &String| {
        let kept = present.get(key).filter(|value| !value.0.is_empty()).cloned();
        kept.unwrap_or_else(|| ByteString(new.clone().into_bytes()))
    };
    let data = KEYS.iter().zip(fresh).map(|(key, new)| ((*key).to_owned(), value(key, new)));
    Secret {
        metadata: meta::owned(room, Component::Gateway, meta::secret_name(room)),
        data: Some(data.collect::<BTreeMap<_, _>>()),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// Whether nothing has to be generated any more.
pub fn is_complete(secret: &Secret) -> bool {
    let has = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|value| !value.0.is_empty());
    KEYS.iter().all(|key| has(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_there_survive_and_missing_ones_are_made() {
        let room = ChatRoom::new("lobby", Default::default());
        let fresh = ["a", "b", "c"].map(str::to_owned);
        let mut first = secret(&room, None, &fresh);
        first.data.as_mut().unwrap().remove(DRAIN_TOKEN);
        let second = secret(&room, Some(&first), &["x", "y", "z"].map(str::to_owned));
        let values: Vec<_> = second.data.unwrap().into_values().map(|v| String::from_utf8(v.0).unwrap()).collect();
        assert_eq!(values, ["y", "c", "a"], "in the order of the keys' names");
    }
}
