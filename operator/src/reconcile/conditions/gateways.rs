//! `GatewaysAvailable`: at least one gateway serves, and why the others do not.

use k8s_openapi::api::{apps::v1::ReplicaSetCondition, core::v1::Pod};
use kube::ResourceExt;
use parlor_crds::chatroom::ScalingGrounds;

use super::claim::{Claim, Truth};
use crate::reconcile::{
    apply::Applied,
    observed::{self, Observed},
};

/// Serving gateways, and those of them that are ready.
pub fn counts(observed: &Observed) -> (usize, usize) {
    let serving = || observed.living().filter(|pod| observed::draining_since(pod).is_none());
    (serving().count(), serving().filter(|pod| observed::is_ready(pod)).count())
}

pub(super) fn claim(applied: &Applied) -> Claim {
    let (_, ready) = counts(&applied.observed);
    let wanted = applied.plan.size.wanted as usize;
    let claim = |truth, reason, message| Claim::new("GatewaysAvailable", truth, reason, message);
    if applied.plan.size.grounds == ScalingGrounds::Suspended {
        return claim(Truth::False, "Suspended", format!("suspended; {ready} gateways are still ready"));
    }
    let message = with_trouble(format!("{} of {wanted} gateways are ready", ready.min(wanted)), &applied.observed);
    match ready {
        0 => claim(Truth::False, "NoneReady", message),
        _ if ready < wanted => claim(Truth::True, "TooFewReady", message),
        _ => claim(Truth::True, "AllReady", message),
    }
}

/// Adds why a gateway is not ready or does not exist, if that is known.
pub(super) fn with_trouble(facts: String, observed: &Observed) -> String {
    let unready = |pod: &&Pod| !observed::is_ready(pod);
    let mut pods = observed.living().filter(unready);
    let of_pod = pods.find_map(|pod| Some((pod.name_any(), observed.trouble(pod)?)));
    let of_set = || {
        observed.replica_sets.iter().find_map(|set| {
            let conditions = set.status.as_ref()?.conditions.iter().flatten();
            let failure = conditions.into_iter().find(|one| is_failure(one))?;
            let (reason, message) = (failure.reason.as_deref()?, failure.message.clone().unwrap_or_default());
            Some((format!("ReplicaSet {}", set.name_any()), observed::shortened(reason, &message)))
        })
    };
    match of_pod.or_else(of_set) {
        Some((name, trouble)) => format!("{facts}; {name}: {trouble}"),
        None => facts,
    }
}

/// The API server refused to create a pod: a quota, an admission policy or a security constraint says no.
fn is_failure(condition: &ReplicaSetCondition) -> bool {
    condition.type_.as_deref() == Some("ReplicaFailure") && condition.status.as_deref() == Some("True")
}
