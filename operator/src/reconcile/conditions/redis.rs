//! `RedisReady`: what the servers say and what the gateways say of them.

use kube::ResourceExt;
use parlor_crds::{
    ChatRoom,
    chatroom::RedisMode,
    contract::{BusStatus, GatewayStatus, RefusalStatus},
};

use super::claim::{Claim, Truth};
use crate::{
    reconcile::{
        apply::Applied,
        decide::{abandoned, fleet::LAGS_AFTER},
        observed::{self, Observed},
    },
    redis::health::Health,
};

pub(super) const KIND: &str = "RedisReady";
/// All slots are served, but not everything has a second copy.
pub(super) const DEGRADED: &str = "Degraded";

pub(super) fn claim(room: &ChatRoom, applied: &Applied) -> Claim {
    let claim = |truth, reason, message: String| Claim::new(KIND, truth, reason, message);
    match room.spec.redis.mode() {
        RedisMode::Memory => claim(Truth::True, "Memory", "messages live in the gateway's memory".into()),
        RedisMode::External(_) => external(&applied.observed),
        RedisMode::Managed(managed) => {
            let Some(plan) = &applied.plan.redis else {
                return claim(Truth::Unknown, "NotSeen", "the Redis Cluster was not looked at".into());
            };
            let health = Health::of(plan.shape, &applied.observed.redis);
            let held = abandoned::held(managed.storage.is_some(), &applied.observed);
            let trouble = applied.observed.redis_trouble.clone().or(held).or_else(|| trouble(&applied.observed));
            let (ready, reason, message) =
                health.verdict(plan.shape, &plan.step, plan.upgrade.as_ref(), trouble.as_deref());
            // Servers that serve all slots are no use to gateways that cannot reach them.
            let failure = failure(&applied.observed).filter(|_| ready || reason == DEGRADED);
            if let Some((reason, failure)) = failure {
                return claim(Truth::False, reason, format!("{failure}; its servers say: {message}"));
            }
            let truth = if ready { Truth::True } else { Truth::False };
            claim(truth, reason, message)
        }
    }
}

/// An external Redis is seen through the gateways alone.
fn external(observed: &Observed) -> Claim {
    let claim = |truth, reason, message: String| Claim::new(KIND, truth, reason, message);
    let reported = observed.reports.len();
    if reported == 0 {
        return claim(Truth::Unknown, "NoReports", "no gateway has reported yet".into());
    }
    if let Some((reason, failure)) = failure(observed) {
        return claim(Truth::False, reason, failure);
    }
    let reach = reported - count(observed, BusStatus::Unavailable);
    match count(observed, BusStatus::Unreplicated) {
        0 => claim(Truth::True, "Replicated", format!("{reach} gateways reach it, with copies")),
        _ => claim(Truth::True, "Unreplicated", format!("{reach} gateways reach it; messages have one copy")),
    }
}

/// Why messages do not go through, as at least half of the gateways that report find: they cannot reach Redis, it refuses
/// what they write, or they read late. A few that alone do are replaced.
fn failure(observed: &Observed) -> Option<(&'static str, String)> {
    let reported = observed.reports.len();
    let most = |some: usize| some > 0 && some * 2 >= reported;
    let away = count(observed, BusStatus::Unavailable);
    if most(away) {
        return Some(("Unavailable", format!("{away} of {reported} gateways cannot reach Redis")));
    }
    let refusals: Vec<_> = observed.reports.values().filter_map(refusal).collect();
    if let Some((shard, first)) = refusals.iter().max_by_key(|(_, refusal)| refusal.seconds)
        && most(refusals.len())
    {
        let refused = refusals.len();
        let at = shard.map(|shard| format!(" at {shard}")).unwrap_or_default();
        let message = format!("Redis refuses {refused} of {reported} gateways{at}: {}", first.reason);
        return Some(("WritesRefused", message));
    }
    let late: Vec<_> = observed.reports.values().map(GatewayStatus::behind).filter(|by| *by >= LAGS_AFTER).collect();
    let longest = late.iter().max()?.as_secs();
    most(late.len()).then(|| {
        ("ReadingLags", format!("{} of {reported} gateways read messages late, by up to {longest} s", late.len()))
    })
}

/// What a gateway is refused longest, and by which shard if it says so.
fn refusal(report: &GatewayStatus) -> Option<(Option<&str>, &RefusalStatus)> {
    let of_shards = report.shards.iter().filter_map(|shard| Some((Some(&*shard.primary), shard.refusal.as_ref()?)));
    let longest = of_shards.max_by_key(|(_, refusal)| refusal.seconds);
    longest.or_else(|| Some((None, report.refusal.as_ref()?)))
}

fn count(observed: &Observed, status: BusStatus) -> usize {
    observed.reports.values().filter(|report| report.bus == status).count()
}

/// Why the first Redis pod that is not ready is not, or why pods do not exist.
fn trouble(observed: &Observed) -> Option<String> {
    let unready = observed.redis_pods.iter().filter(|pod| !observed::is_gone(pod) && !observed::is_ready(pod));
    let of_pods = unready.filter_map(|pod| Some(format!("{}: {}", pod.name_any(), observed.trouble(pod)?)));
    of_pods.min().or_else(|| {
        let set = observed.redis_set.as_ref()?.name_any();
        Some(format!("StatefulSet {set}: {}", observed.warnings.get(&set)?))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What gateways with these shards make of Redis.
    fn found(shards: &[Value]) -> Option<(&'static str, String)> {
        let report = |(at, shard): (usize, &Value)| {
            let report = json!({
                "gateway": format!("g{at}"), "version": "1", "ready": true, "connections": 1, "connectionsLimit": 2,
                "rooms": 1, "bus": "Replicated", "shards": [shard],
            });
            (format!("g{at}"), serde_json::from_value(report).unwrap())
        };
        failure(&Observed { reports: shards.iter().enumerate().map(report).collect(), ..Observed::default() })
    }

    #[test]
    fn what_most_gateways_find_is_why_redis_is_not_ready_and_what_one_alone_finds_is_not() {
        let well = || json!({"primary": "h:1", "behindMs": 900, "writable": true});
        let late = || json!({"primary": "h:1", "behindMs": 12_400, "writable": true});
        let refused = json!({
            "primary": "h:1", "behindMs": 0, "writable": false, "refusal": {"reason": "OOM command", "seconds": 9},
        });
        assert_eq!(found(&[well(), well(), late()]), None);
        let (reason, message) = found(&[well(), late(), late()]).unwrap();
        assert_eq!((reason, &*message), ("ReadingLags", "2 of 3 gateways read messages late, by up to 12 s"));
        let (reason, message) = found(&[refused, well()]).unwrap();
        assert_eq!((reason, &*message), ("WritesRefused", "Redis refuses 1 of 2 gateways at h:1: OOM command"));
        assert_eq!(found(&[]), None);
    }
}
