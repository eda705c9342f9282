//! Decides what to do for a ChatRoom, as plain data (no client).
//!
//! A function of the ChatRoom, its objects as built, and what was observed. Nothing here waits, asks or remembers.

pub mod abandoned;
pub mod balance;
pub mod fleet;
pub mod moves;
pub mod redis;
pub mod rotation;
pub mod simulation;
pub mod size;
pub mod window;

use std::collections::BTreeSet;

use fleet::Fleet;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use parlor_crds::{ChatRoom, chatroom::RedisMode, contract::GatewayStatus};
use redis::RedisPlan;
use size::{Decision, Load, Seen};

use super::{
    build::{Objects, config_map},
    kind::{Kind, ObjectId},
    observed::Observed,
    validate::ValidRoom,
};

/// A gateway with so much of its `connectionsPerGateway` in use counts as full.
const FULL_PERCENT: u64 = 95;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many gateways, and why.
    pub size: Decision,
    /// What to do with them.
    pub fleet: Fleet,
    /// What to do with the managed Redis Cluster.
    pub redis: Option<RedisPlan>,
    /// Objects that the ChatRoom no longer asks for.
    pub orphans: BTreeSet<ObjectId>,
}

/// Decides everything.
pub fn decide(room: ValidRoom<'_>, objects: &Objects, observed: &Observed) -> Plan {
    let size = size::size(&room.spec, previous_size(&room, observed), load(&room, observed));
    let wanted = fleet::Wanted {
        gateways: size.wanted,
        current: objects.replica_set.metadata.name.as_deref().unwrap_or_default(),
        deadline: room.spec.drain.deadline.as_duration(),
        at_once: room.spec.drain.at_once,
    };
    let mut fleet = fleet::fleet(wanted, observed);
    if room.spec.drain.rebalance {
        let orders = balance::balance(&fleet, size.wanted, &room.spec.drain, observed);
        fleet.orders.extend(orders);
    }
    Plan { size, fleet, redis: redis(&room, observed), orphans: orphans(&room, objects, observed) }
}

/// The load as the gateways report it. A silent gateway counts with what it reported last: that is a lower bound.
fn load(room: &ChatRoom, observed: &Observed) -> Load {
    let draining = observed.living().any(|pod| super::observed::draining_since(pod).is_some());
    let connections = match observed.connections() {
        Some(connections) => Seen::All(connections),
        None => Seen::AtLeast(observed.last_connections.values().copied().map(u64::from).sum()),
    };
    let serving = observed.living().filter(|pod| super::observed::draining_since(pod).is_none());
    let names: Vec<String> = serving.map(ResourceExt::name_any).collect();
    let full = names.iter().filter(|pod| is_full(pod, observed)).count();
    let (serving, full) = (count(names.len()), count(full));
    Load { connections, serving, full, peak: observed.peak, draining, target: room.spec.target_connections() }
}

/// It turned connections away since the last pass, or is about to.
fn is_full(pod: &str, observed: &Observed) -> bool {
    let nearly = |report: &GatewayStatus| {
        u64::from(report.connections) * 100 >= u64::from(report.connections_limit) * FULL_PERCENT
    };
    observed.refusing.contains(pod) || observed.reports.get(pod).is_some_and(nearly)
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// The last decision, or the gateways that serve if there was none. What was suspended begins where it ended.
fn previous_size(room: &ChatRoom, observed: &Observed) -> u32 {
    let said = room.status.as_ref().and_then(|status| status.scaling.as_ref());
    let former = said.map(|said| if said.wanted == 0 { said.resume.unwrap_or(0) } else { said.wanted });
    let serving = || observed.living().filter(|pod| super::observed::draining_since(pod).is_none()).count();
    former.and_then(|wanted| u32::try_from(wanted).ok()).unwrap_or_else(|| count(serving()))
}

fn redis(room: &ChatRoom, observed: &Observed) -> Option<RedisPlan> {
    match room.spec.redis.mode() {
        RedisMode::Managed(managed) => Some(redis::redis(managed, observed)),
        RedisMode::External(_) | RedisMode::Memory => None,
    }
}

/// What exists for the ChatRoom and is no longer asked for. Manifests of gateways that still run are not.
fn orphans(room: &ChatRoom, objects: &Objects, observed: &Observed) -> BTreeSet<ObjectId> {
    let asked_for = objects.ids();
    let manifests = format!("{}-gateway-", room.name_any());
    let in_use: BTreeSet<ObjectId> = observed.replica_sets.iter().filter_map(manifest_of).collect();
    let is_used_manifest = |other: &ObjectId| {
        other.kind == Kind::ConfigMap && other.name.starts_with(&manifests) && in_use.contains(other)
    };
    let needed = |other: &&ObjectId| asked_for.contains(*other) || is_used_manifest(other);
    observed.others.iter().filter(|other| !needed(other)).cloned().collect()
}

fn manifest_of(set: &ReplicaSet) -> Option<ObjectId> {
    let volumes = set.spec.template.as_ref()?.spec.as_ref()?.volumes.as_ref()?;
    let mut sources = volumes.iter().filter_map(|volume| volume.projected.as_ref()?.sources.as_ref()).flatten();
    let name = sources.find_map(|source| {
        let config_map = source.config_map.as_ref()?;
        let is_manifest = config_map.items.iter().flatten().any(|item| item.key == config_map::MANIFEST);
        is_manifest.then(|| config_map.name.clone())
    })?;
    Some(ObjectId::new(Kind::ConfigMap, name))
}
