//! Adds what earlier passes saw to what this one sees (no client).
//!
//! Keeps the samples that decisions need over time: the load, what silent gateways last reported, who refuses connections,
//! since when a gateway cannot reach Redis, since when Redis has had another password, what moves of connections have
//! achieved, and the orders to Redis servers. Decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use kube::ResourceExt;
use parlor_crds::{
    ChatRoomSpec,
    chatroom::Size,
    contract::{BusStatus, GatewayStatus},
};

use super::{
    build::secret,
    observed::{self, Observed},
    pass_cache::PassCaches,
};
use crate::{chat_room_name::ChatRoomName, redis::passwords::Second};

/// Completes `observed` from the ChatRoom's cache, and the cache from it.
pub fn recall(caches: &PassCaches, name: &ChatRoomName, spec: &ChatRoomSpec, observed: &mut Observed) {
    let now = observed.now;
    caches.with(name, |cache| {
        let exists = |pod: &String| observed.gateways.iter().any(|one| one.metadata.name.as_ref() == Some(pod));
        cache.last_connections.retain(|pod, _| exists(pod));
        let reported = observed.reports.iter().map(|(pod, report)| (pod.clone(), report.connections));
        cache.last_connections.extend(reported);
        observed.last_connections = cache.last_connections.clone();
        observed.refusing = refusing(&cache.refusals, observed);
        cache.refusals = observed.reports.iter().map(|(pod, report)| (pod.clone(), report.refused)).collect();
        if let (Size::Scaled(scaling), Some(connections)) = (spec.size(), observed.connections()) {
            cache.window.note(now, scaling.scale_down_after.as_duration(), connections);
        }
        observed.peak = cache.window.peak(now);
        let serving = observed.living().filter(|pod| observed::draining_since(pod).is_none());
        cache.moves.note_fleet(serving.map(ResourceExt::name_any).collect());
        observed.moves = cache.moves.clone();
        cache.redis.note(Instant::now(), &observed.redis);
        observed.redis_journal = cache.redis.clone();
        let passwords = observed.secret.as_ref().and_then(secret::redis_passwords);
        let is_switched = passwords.is_some_and(|passwords| matches!(passwords.second, Some((Second::Former, _))));
        cache.password_switched = is_switched.then(|| cache.password_switched.unwrap_or(now));
        observed.password_switched = cache.password_switched;
        let is_unavailable =
            |pod: &String| observed.reports.get(pod).is_some_and(|report| report.bus == BusStatus::Unavailable);
        cache.unavailable_since.retain(|pod, _| is_unavailable(pod));
        for pod in observed.reports.keys().filter(|pod| is_unavailable(pod)) {
            cache.unavailable_since.entry(pod.clone()).or_insert(now);
        }
        observed.unavailable_since = cache.unavailable_since.clone();
    });
}

/// Gateways that refused a connection since they were asked last. A counter that fell belongs to a new process.
fn refusing(before: &BTreeMap<String, u64>, observed: &Observed) -> BTreeSet<String> {
    let grew = |(pod, report): &(&String, &GatewayStatus)| before.get(*pod).is_some_and(|then| report.refused > *then);
    observed.reports.iter().filter(grew).map(|(pod, _)| pod.clone()).collect()
}
