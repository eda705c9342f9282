//! Decides what to do for a ChatRoom, as plain data (no client).
//!
//! A function of the ChatRoom, its objects as built, and what was observed. Nothing here waits, asks or remembers.

pub mod fleet;
pub mod redis;
pub mod size;
pub mod window;

use super::build::{Objects, config_map};
use super::observed::Observed;
use fleet::Fleet;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
use redis::RedisPlan;
use size::{Decision, Load};
use std::collections::BTreeSet;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many gateways, and why.
    pub size: Decision,
    /// What to do with them.
    pub fleet: Fleet,
    /// What to do with the managed Redis Cluster.
    pub redis: Option<RedisPlan>,
    /// Objects that the ChatRoom asks for no more, as `Kind/name`.
    pub orphans: BTreeSet<String>,
}

/// Decides everything.
pub fn decide(room: &ChatRoom, objects: &Objects, observed: &Observed) -> Plan {
    let draining = observed.living().any(|pod| super::observed::draining_since(pod).is_some());
    let load = Load { connections: observed.connections(), peak: observed.peak, draining };
    let size = size::size(&room.spec, previous_size(room, observed), load);
    let wanted = fleet::Wanted {
        gateways: size.wanted,
        current: objects.replica_set.metadata.name.as_deref().unwrap_or_default(),
        deadline: room.spec.drain.deadline.as_duration(),
    };
    Plan {
        size,
        fleet: fleet::fleet(wanted, observed),
        redis: redis(room, observed),
        orphans: orphans(room, objects, observed),
    }
}

/// The last decision, or the gateways that serve if there was none.
fn previous_size(room: &ChatRoom, observed: &Observed) -> u32 {
    let said = room.status.as_ref().and_then(|status| status.scaling.as_ref()).map(|scaling| scaling.wanted);
    let serving = || observed.living().filter(|pod| super::observed::draining_since(pod).is_none()).count();
    said.and_then(|wanted| u32::try_from(wanted).ok()).unwrap_or_else(|| u32::try_from(serving()).unwrap_or(u32::MAX))
}

fn redis(room: &ChatRoom, observed: &Observed) -> Option<RedisPlan> {
    match room.spec.redis.mode() {
        RedisMode::Managed(managed) => Some(redis::redis(managed, observed)),
        RedisMode::External(_) | RedisMode::Memory => None,
    }
}

/// What exists for the ChatRoom and is asked for no more. Manifests of gateways that still run are not.
fn orphans(room: &ChatRoom, objects: &Objects, observed: &Observed) -> BTreeSet<String> {
    let asked_for = objects.names();
    let manifests = format!("ConfigMap/{}-gateway-", room.name_any());
    let in_use: BTreeSet<String> = observed.replica_sets.iter().filter_map(manifest_of).collect();
    let needed =
        |other: &&String| asked_for.contains(*other) || (other.starts_with(&manifests) && in_use.contains(*other));
    observed.others.iter().filter(|other| !needed(other)).cloned().collect()
}

fn manifest_of(set: &ReplicaSet) -> Option<String> {
    let volumes = set.spec.template.as_ref()?.spec.as_ref()?.volumes.as_ref()?;
    let mut sources = volumes.iter().filter_map(|volume| volume.projected.as_ref()?.sources.as_ref()).flatten();
    let name = sources.find_map(|source| {
        let config_map = source.config_map.as_ref()?;
        let is_manifest = config_map.items.iter().flatten().any(|item| item.key == config_map::MANIFEST);
        is_manifest.then(|| config_map.name.clone())
    })?;
    Some(format!("ConfigMap/{name}"))
}
