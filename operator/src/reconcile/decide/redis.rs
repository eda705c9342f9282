//! What to do with the managed Redis Cluster, and which of its pods count as ready.
//!
//! A function of what the servers say and of the journal; the decisions themselves are those of `redis`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parlor_crds::chatroom::ManagedRedis;

use super::{
    abandoned,
    rotation::{self, Rotation},
};
use crate::{
    reconcile::{
        build::stateful_set,
        observed::{self, Observed},
    },
    redis::{
        plan::{self, Member, Shape, Step},
        spread,
        upgrade::{self, Outdated, Upgrade},
        view::View,
    },
};

/// What to do with the managed Redis Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPlan {
    /// The cluster wanted.
    pub shape: Shape,
    /// Towards it.
    pub step: Step,
    /// A server that runs an older image or older settings.
    pub upgrade: Option<Upgrade>,
    /// Pods that are to exist: more than wanted while the others are still needed.
    pub servers: usize,
    /// The change of its password.
    pub rotation: Rotation,
    /// Pods of silent nodes that are given up.
    pub abandoned: Vec<String>,
    /// Pods whose readiness gate must change.
    pub gates: Vec<Gate>,
}

/// What the readiness gate of a pod is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The pod.
    pub pod: String,
    /// Its identity: another pod of that name starts with a gate of its own.
    pub uid: String,
    /// Whether its server holds a copy of a shard that is as new as can be.
    pub in_sync: bool,
}

/// Decides it all.
pub fn redis(managed: &ManagedRedis, observed: &Observed) -> RedisPlan {
    let shape = Shape { shards: managed.shards as usize, replicas: managed.replicas_per_shard as usize };
    let (members, journal) = (&observed.redis, &observed.redis_journal);
    let outdated = outdated(managed, observed);
    let step = plan::next_step(shape, members, journal);
    let upgrade = match step {
        Step::Settled => upgrade::next(members, &outdated, journal),
        Step::Wait(_) => upgrade::unblock(members, &outdated),
        Step::Run { .. } => None,
    };
    // An upgrade moves primaries about by itself: spreading them meanwhile would undo what it does.
    let step = match step {
        Step::Settled if outdated.pods.is_empty() => spread::next(members, journal).unwrap_or(Step::Settled),
        step => step,
    };
    let (servers, rotation) = (servers(shape, observed), rotation::rotation(observed));
    let abandoned = abandoned::abandoned(managed.storage.is_some(), observed);
    RedisPlan { shape, step, upgrade, servers, rotation, abandoned, gates: gates(observed) }
}

/// A StatefulSet removes its highest pods, so those before them are kept as well.
fn servers(shape: Shape, observed: &Observed) -> usize {
    let surplus = || observed.redis.iter().filter(|member| member.surplus);
    if surplus().next().is_none() || plan::can_do_without_surplus(shape, &observed.redis) {
        return shape.servers();
    }
    let number = |member: &Member| member.pod.rsplit_once('-')?.1.parse::<usize>().ok();
    surplus().filter_map(number).max().map_or(shape.servers(), |highest| highest + 1)
}

fn outdated(managed: &ManagedRedis, observed: &Observed) -> Outdated {
    let names = |fits: fn(&&Pod) -> bool| observed.redis_pods.iter().filter(fits).map(ResourceExt::name_any).collect();
    Outdated {
        pods: former_revision(observed),
        stopped: names(|pod| !observed::is_running(pod)),
        held_data: names(|pod| gate(pod).is_some()),
        storage: managed.storage.is_some(),
    }
}

/// Redis pods of an older revision of their StatefulSet, once its controller has seen the newest.
fn former_revision(observed: &Observed) -> BTreeSet<String> {
    let Some((set, status)) = observed.redis_set.as_ref().and_then(|set| Some((set, set.status.as_ref()?))) else {
        return BTreeSet::new();
    };
    let (Some(revision), true) = (&status.update_revision, status.observed_generation >= set.metadata.generation)
    else {
        return BTreeSet::new();
    };
    let is_old = |pod: &&Pod| pod.labels().get("controller-revision-hash").is_some_and(|running| running != revision);
    let living = observed.redis_pods.iter().filter(|pod| !observed::is_gone(pod));
    living.filter(is_old).map(ResourceExt::name_any).collect()
}

/// A pod's gate says True from the moment its server holds a copy of a shard in sync, and False whenever it no longer does. It
/// is written only when that changes; a pod whose gate was never written never held data.
fn gates(observed: &Observed) -> Vec<Gate> {
    let holds = |pod: &Pod| {
        let member = observed.redis.iter().find(|member| member.pod == pod.name_any());
        member.and_then(|member| member.view.as_ref()).is_some_and(View::holds_a_copy)
    };
    let living = observed.redis_pods.iter().filter(|pod| !observed::is_gone(pod));
    let changed = living.filter(|pod| gate(pod).unwrap_or(false) != holds(pod));
    changed.map(|pod| Gate { pod: pod.name_any(), uid: pod.uid().unwrap_or_default(), in_sync: holds(pod) }).collect()
}

/// What the gate says; absent if it was never written.
fn gate(pod: &Pod) -> Option<bool> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let condition = conditions.find(|condition| condition.type_ == stateful_set::IN_SYNC)?;
    Some(condition.status == "True")
}
