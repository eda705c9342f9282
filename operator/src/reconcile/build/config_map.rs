//! ConfigMaps: the ChatRoom as gateways read it, and the configuration of Redis.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use parlor_crds::{ChatRoom, chatroom::ManagedRedis, contract::hex};
use sha2::{Digest, Sha256};

use super::{
    error::BuildError,
    meta::{self, Component},
    resources,
};
use crate::redis::settings;

/// Key of the ChatRoom in its ConfigMap, the last part of the path that gateways read.
pub const MANIFEST: &str = "chatroom.yaml";

/// The ChatRoom reduced to what gateways use, named by what they read when they start: gateways that run with an older
/// one find theirs again when their container restarts, and how to drain can change under a running one.
pub fn gateway(room: &ChatRoom) -> Result<ConfigMap, BuildError> {
    let manifest = serde_yaml::to_string(&room.gateway_view()).map_err(BuildError::Manifest)?;
    let identity = serde_yaml::to_string(&room.gateway_identity()).map_err(BuildError::Manifest)?;
    let name = format!("{}-gateway-{}", room.name_any(), digest(&identity));
    Ok(ConfigMap {
        metadata: meta::owned(room, Component::Gateway, name),
        data: Some(BTreeMap::from([(MANIFEST.into(), manifest)])),
        ..ConfigMap::default()
    })
}

/// The configuration of the managed Redis.
pub fn redis(room: &ChatRoom, managed: &ManagedRedis) -> ConfigMap {
    ConfigMap {
        metadata: meta::owned(room, Component::Redis, meta::redis_name(room)),
        data: Some(BTreeMap::from([(settings::FILE.into(), redis_conf(managed))])),
        ..ConfigMap::default()
    }
}

/// The text of the configuration, which follows from the memory that a server may use.
pub fn redis_conf(managed: &ManagedRedis) -> String {
    let memory = resources::redis_memory(managed.resources.as_ref()).unwrap_or(resources::REDIS_MEMORY_BYTES);
    let tls = managed.tls.as_ref().map(|_| settings::tls()).unwrap_or_default();
    settings::conf(memory) + &tls + &settings::include()
}

/// 10 hexadecimal digits of the text's SHA-256: enough to tell the few texts of one ChatRoom apart.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text)[..5])
}
