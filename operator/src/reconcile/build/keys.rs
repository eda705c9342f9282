//! Keys that gateways read once, when they start: when one of them changes, gateways have to be replaced.
//!
//! Decides which Secrets a ChatRoom names and when gateways read each of them. Passwords and certificates of Redis and the
//! token of `/drain` are read again whenever they are needed, so a change of those replaces nobody.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use parlor_crds::{
    ChatRoom,
    chatroom::{Moderation, SecretKey},
    contract::hex,
};
use sha2::{Digest, Sha256};

use super::{config_map, secret};

/// When gateways read a Secret that the ChatRoom names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyReading {
    /// Once: a change takes new gateways.
    AtStart,
    /// Whenever it is needed: a change needs nothing.
    Again,
}

/// A Secret that the ChatRoom names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which one.
    pub key: SecretKey,
    /// When gateways read it.
    pub reading: KeyReading,
}

/// Every Secret that the ChatRoom names for its gateways.
pub fn named(room: &ChatRoom) -> Vec<Named> {
    let served = room.spec.served();
    let token = served.onlyone.and_then(|onlyone| onlyone.token).map(|source| source.secret_ref);
    let token_key = served.relay.and_then(|relay| relay.token_key).map(|source| source.secret_ref);
    let external = room.spec.redis.external.as_ref();
    let authorities = external.and_then(|external| external.tls.as_ref()?.ca.clone()).map(|source| source.secret_ref);
    let password = external.and_then(|external| external.password_secret_ref.clone());
    let webhook = room.spec.moderation.as_ref().and_then(Moderation::secret).cloned();
    let table = [
        (token, KeyReading::AtStart),
        (token_key, KeyReading::AtStart),
        (authorities, KeyReading::Again),
        (password, KeyReading::Again),
        (webhook, KeyReading::Again),
    ];
    // Gateways watch the keys of tokens from outside.
    let login = room.spec.auth.secrets().map(|key| Named { key: key.clone(), reading: KeyReading::Again });
    table.into_iter().filter_map(|(key, reading)| Some(Named { key: key?, reading })).chain(login).collect()
}

/// Digests of values that gateways read once, by [`SecretKey::path`]. Holds no value itself.
pub type Digests = BTreeMap<String, String>;

/// The digest of one value. The ChatRoom's `uid` keeps equal values of two ChatRooms from showing as equal.
pub fn digest(uid: &str, value: &[u8]) -> String {
    hex(&Sha256::new().chain_update(uid).chain_update([0_u8]).chain_update(value).finalize())
}

/// One digest of all that gateways read once. The generated key takes part, so that nobody who sees the digest can try values
/// of a short token until it fits.
pub fn digest_of_all(generated: &Secret, named: &Digests) -> String {
    let value = |key: &str| {
        let value = generated.data.as_ref().and_then(|data| data.get(key));
        value.map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default()
    };
    let keys = [secret::SIGNING_KEY, secret::RELAY_TOKEN_KEY].map(value).join("\n");
    let named = named.iter().map(|(path, digest)| format!("\n{path} {digest}")).collect::<String>();
    config_map::digest(&format!("{keys}{named}"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn generated(changes: &[(&str, &str)]) -> Secret {
        let mut data = BTreeMap::from(
            [secret::SIGNING_KEY, secret::RELAY_TOKEN_KEY, secret::DRAIN_TOKEN, secret::REDIS_PASSWORD]
                .map(|key| (key.to_owned(), ByteString(b"old".to_vec()))),
        );
        data.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))));
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_key_that_is_read_once_changes_the_digest_and_one_that_is_read_again_does_not() {
        let named = |token: &str| Digests::from([("chat/token".to_owned(), digest("uid", token.as_bytes()))]);
        let before = digest_of_all(&generated(&[]), &named("a"));
        assert_ne!(digest_of_all(&generated(&[(secret::SIGNING_KEY, "new")]), &named("a")), before);
        assert_ne!(digest_of_all(&generated(&[(secret::RELAY_TOKEN_KEY, "new")]), &named("a")), before);
        assert_ne!(digest_of_all(&generated(&[]), &named("b")), before);
        let read_again = [(secret::DRAIN_TOKEN, "new"), (secret::REDIS_PASSWORD, "new")];
        assert_eq!(digest_of_all(&generated(&read_again), &named("a")), before);
    }

    #[test]
    fn every_named_secret_says_when_it_is_read() {
        let spec = "protocols: {native: {}, onlyone: {token: {secretRef: {name: a, key: t}}}, relay: {tokenKey: {secretRef: {name: b, key: k}}}}\n  \
                    redis: {external: {seeds: ['r:1'], passwordSecretRef: {name: c, key: p}, tls: {ca: {secretRef: {name: d, key: c}}}}}\n  \
                    moderation: {webhook: {url: 'https://a.b', secretRef: {name: f, key: k}}}\n  \
                    auth: {jwt: {keys: {jwksRef: {name: e, key: j}}}}";
        let text =
            format!("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {{name: a}}\nspec:\n  {spec}\n");
        let read: Vec<_> = named(&parlor_crds::load(&text).unwrap())
            .into_iter()
            .map(|named| (named.key.name, named.reading))
            .collect();
        let once = |name: &str| (name.to_owned(), KeyReading::AtStart);
        let again = |name: &str| (name.to_owned(), KeyReading::Again);
        assert_eq!(read, [once("a"), once("b"), again("d"), again("c"), again("f"), again("e")]);
    }
}
