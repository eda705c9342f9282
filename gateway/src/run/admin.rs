//! What the admin port is given: who may drain, at which rate, and which password of Redis this gateway has read.

use std::{net::SocketAddr, sync::Arc};

use parlor_crds::contract;

use super::{error::RunError, manifest::Manifest, secrets::Secrets};
use crate::http::admin::DrainAccess;

/// Who may drain: the holder of the token, where there is one; else this machine, where no other reaches the port.
pub(super) fn drain_access(secrets: &Secrets, admin: SocketAddr) -> Result<DrainAccess, RunError> {
    Ok(match secrets.generated(contract::DRAIN_TOKEN)? {
        Some(_) => {
            let secrets = secrets.clone();
            DrainAccess::Token(Arc::new(move || {
                let read = secrets.generated(contract::DRAIN_TOKEN);
                read.inspect_err(|error| tracing::warn!(%error, "failed to read the drain token: a drain is refused"))
                    .ok()
                    .flatten()
            }))
        }
        None if admin.ip().is_loopback() => DrainAccess::Loopback,
        None => DrainAccess::Closed,
    })
}

/// The rate of a drain, as the manifest says now.
pub(super) fn drain_rate(manifest: &Arc<Manifest>) -> Box<dyn Fn() -> u32 + Send + Sync> {
    let manifest = Arc::clone(manifest);
    Box::new(move || manifest.drain().rate)
}

/// The fingerprint of the password of managed Redis. A person may have chosen that of an external one, which could be
/// guessed from its fingerprint.
pub(super) fn redis_password(manifest: &Manifest, secrets: &Secrets) -> Box<dyn Fn() -> Option<String> + Send + Sync> {
    let (secrets, managed) = (secrets.clone(), manifest.room.spec.redis.managed.is_some());
    let read = move || secrets.generated(contract::REDIS_PASSWORD).ok().flatten().filter(|_| managed);
    Box::new(move || read().map(|password| contract::fingerprint(&password)))
}
