//! `RedisReady`: what the servers say and what the gateways say of them.

use super::claim::{Claim, Truth};
use crate::reconcile::apply::Applied;
use crate::reconcile::observed::{self, Observed};
use crate::redis::health::Health;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
use parlor_crds::contract::BusStatus;

pub(super) const KIND: &str = "RedisReady";
/// All slots are served, but not everything has a second copy.
pub(super) const DEGRADED: &str = "Degraded";

pub(super) fn claim(room: &ChatRoom, applied: &Applied) -> Claim {
    let claim = |truth, reason, message: String| Claim::new(KIND, truth, reason, message);
    match room.spec.redis.mode() {
        RedisMode::Memory => claim(Truth::True, "Memory", "messages live in the gateway's memory".into()),
        RedisMode::External(_) => external(&applied.observed),
        RedisMode::Managed(_) => {
            let Some(plan) = &applied.plan.redis else {
                return claim(Truth::Unknown, "NotSeen", "the Redis Cluster was not looked at".into());
            };
            let health = Health::of(plan.shape, &applied.observed.redis);
            let trouble = trouble(&applied.observed);
            let (ready, reason, message) =
                health.verdict(plan.shape, &plan.step, plan.upgrade.as_ref(), trouble.as_deref());
            // Servers that serve all slots are no use to gateways that cannot reach them.
            let unavailable = unavailable(&applied.observed).filter(|_| ready || reason == DEGRADED);
            if let Some(unavailable) = unavailable {
                return claim(Truth::False, "Unavailable", format!("{unavailable}; its servers say: {message}"));
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
    if let Some(unavailable) = unavailable(observed) {
        return claim(Truth::False, "Unavailable", unavailable);
    }
    let reach = reported - count(observed, BusStatus::Unavailable);
    match count(observed, BusStatus::Unreplicated) {
        0 => claim(Truth::True, "Replicated", format!("{reach} gateways reach it, with copies")),
        _ => claim(Truth::True, "Unreplicated", format!("{reach} gateways reach it; messages have one copy")),
    }
}

/// At least half of the gateways that report cannot reach Redis, or are refused by it. A few that alone cannot are replaced.
fn unavailable(observed: &Observed) -> Option<String> {
    let (reported, away) = (observed.reports.len(), count(observed, BusStatus::Unavailable));
    if away > 0 && away * 2 >= reported {
        return Some(format!("{away} of {reported} gateways cannot reach Redis"));
    }
    let refusals: Vec<_> = observed.reports.values().filter_map(|report| report.refusal.as_ref()).collect();
    let first = refusals.iter().max_by_key(|refusal| refusal.seconds)?;
    let refused = refusals.len();
    (refused * 2 >= reported).then(|| format!("Redis refuses {refused} of {reported} gateways: {}", first.reason))
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
