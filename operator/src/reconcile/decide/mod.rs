//! Decides what to do for a ChatRoom, as plain data (no client).
//!
//! A function of the ChatRoom, its objects as built, and what was observed. Nothing here waits, asks or remembers.

pub mod fleet;
pub mod size;
pub mod window;

use super::build::{Objects, config_map};
use super::observed::Observed;
use crate::redis::plan::{self, Shape, Step};
use crate::redis::upgrade::{self, Upgrade};
use fleet::Fleet;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
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

/// What to do with the managed Redis Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPlan {
    /// The cluster wanted.
    pub shape: Shape,
    /// Towards it.
    pub step: Step,
    /// Once it is there: a server that runs an older image or older settings.
    pub upgrade: Option<Upgrade>,
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
    let RedisMode::Managed(managed) = room.spec.redis.mode() else { return None };
    let shape = Shape { shards: managed.shards as usize, replicas: managed.replicas_per_shard as usize };
    let step = plan::next_step(shape, &observed.redis, observed.redis_waited);
    let outdated = outdated_redis(observed);
    let upgrade = match step {
        Step::Settled => upgrade::next(&observed.redis, &outdated),
        // One that cannot start with the former template would be waited for in vain.
        Step::Wait(_) => outdated.into_iter().find(|pod| !redis_runs(observed, pod)).map(Upgrade::Restart),
        Step::Run { .. } => None,
    };
    Some(RedisPlan { shape, step, upgrade })
}

/// Redis pods of an older revision of their StatefulSet, once its controller has seen the newest.
fn outdated_redis(observed: &Observed) -> BTreeSet<String> {
    let Some((set, status)) = observed.redis_set.as_ref().and_then(|set| Some((set, set.status.as_ref()?))) else {
        return BTreeSet::new();
    };
    let (Some(revision), true) = (&status.update_revision, status.observed_generation >= set.metadata.generation)
    else {
        return BTreeSet::new();
    };
    let is_old = |pod: &&k8s_openapi::api::core::v1::Pod| {
        pod.labels().get("controller-revision-hash").is_some_and(|running| running != revision)
    };
    observed.redis_pods.iter().filter(is_old).map(ResourceExt::name_any).collect()
}

fn redis_runs(observed: &Observed, pod: &str) -> bool {
    observed.redis_pods.iter().any(|one| one.name_any() == pod && super::observed::is_running(one))
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
