//! Reads the Secrets that a pass needs (client required): the generated one, and those that the ChatRoom names.
//!
//! Each is taken as read for a while, because a pass comes every few seconds and Secrets are not watched: to watch them is to
//! be given everyone's. Decides nothing, writes nothing. Called by `observe`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::Secret,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt};
use parlor_crds::ChatRoom;

use super::build::{
    certificates::Certificates,
    keys::{self, Digests},
    meta, secret,
};
use crate::{api_error::ApiError, chat_room_name::ChatRoomName, context::Context};

/// How long Secrets are taken as read.
pub(super) const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Reading for one pass.
pub(super) struct SecretReader<'a> {
    pub(super) ctx: &'a Context,
    pub(super) room: &'a ChatRoom,
    pub(super) name: &'a ChatRoomName,
    pub(super) now: Timestamp,
    pub(super) fresh_for: SignedDuration,
}

impl SecretReader<'_> {
    /// The generated Secret. One that belongs to somebody else is not ours to read; `apply` finds out and says so.
    pub(super) async fn generated(&self) -> Result<Option<Secret>, ApiError> {
        let Self { ctx, room, name, now, .. } = self;
        let known = ctx.caches.with(name, |cache| cache.secret.clone());
        if let Some((secret, _)) = known.filter(|(_, read)| self.is_fresh(*read)) {
            return Ok(Some(secret));
        }
        let found = self.api().get_opt(&meta::secret_name(room)).await?;
        let found = found.filter(|secret| secret::is_ours(room, secret));
        let complete = found.clone().filter(|found| secret::is_complete(room, found)).map(|secret| (secret, *now));
        ctx.caches.with(name, |cache| {
            if let Some((secret, _)) = &complete {
                cache.last_secret = Some(secret.clone());
            }
            cache.secret = complete;
        });
        Ok(found)
    }

    /// The generated Secret as it was last, for when it is gone: running servers and gateways still go by it.
    pub(super) fn last(&self) -> Option<Secret> {
        self.ctx.caches.with(self.name, |cache| cache.last_secret.clone())
    }

    /// Digests of what gateways read once from Secrets that the ChatRoom names. A Secret that is gone for a moment, because it
    /// is being replaced, counts as it was.
    pub(super) async fn named_keys(&self) -> Result<Digests, ApiError> {
        let Self { ctx, room, name, now, .. } = self;
        let named = keys::named(room).into_iter().filter(|named| named.reading == keys::KeyReading::AtStart);
        let wanted: BTreeMap<String, _> = named.map(|named| (named.key.path(), named.key)).collect();
        let known = ctx.caches.with(name, |cache| cache.named_keys.clone());
        let (known, read) = known.map_or_else(Default::default, |(known, read)| (known, Some(read)));
        if read.is_some_and(|read| self.is_fresh(read)) && wanted.keys().eq(known.keys()) {
            return Ok(known);
        }
        let uid = room.uid().unwrap_or_default();
        let mut digests = Digests::new();
        for (path, key) in wanted {
            let found = self.api().get_opt(&key.name).await?;
            let value = found.and_then(|secret| secret.data?.remove(&key.key));
            let digest = value.map(|value| keys::digest(&uid, &value.0)).or_else(|| known.get(&path).cloned());
            digests.extend(digest.map(|digest| (path, digest)));
        }
        ctx.caches.with(name, |cache| cache.named_keys = Some((digests.clone(), *now)));
        Ok(digests)
    }

    /// The public part of the certificates that the ChatRoom names for its Redis servers; absent where it names none. A Secret
    /// that is gone or incomplete for a moment, because it is being replaced, counts as it was.
    pub(super) async fn redis_certificates(&self) -> Result<Option<Certificates>, ApiError> {
        let Self { ctx, room, name, now, .. } = self;
        let tls = room.spec.redis.managed.as_ref().and_then(|managed| managed.tls.as_ref());
        let Some(named) = tls.and_then(|tls| tls.secret_name.as_ref()) else { return Ok(None) };
        let known = ctx.caches.with(name, |cache| cache.redis_certificates.clone());
        if let Some((certificates, _)) = known.as_ref().filter(|(_, read)| self.is_fresh(*read)) {
            return Ok(Some(certificates.clone()));
        }
        let found = self.api().get_opt(named).await?.as_ref().map(Certificates::named).unwrap_or_default();
        if found.both().is_none() {
            return Ok(Some(known.map_or(found, |(certificates, _)| certificates)));
        }
        ctx.caches.with(name, |cache| cache.redis_certificates = Some((found.clone(), *now)));
        Ok(Some(found))
    }

    fn is_fresh(&self, read: Timestamp) -> bool {
        self.now.duration_since(read) < self.fresh_for
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.ctx.client.clone(), &self.name.namespace)
    }
}
