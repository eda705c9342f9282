//! What the status claims, and the words for it (no client).
//!
//! A condition is True only for what was seen, Unknown for what could not be seen, and changes its time only with its status.

use super::apply::Applied;
use super::build::http_route;
use super::decide::fleet::Fleet;
use super::decide::size::{self, Grounds};
use super::observed::{self, Observed};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
use parlor_crds::contract::BusStatus;
use serde_json::Value;

/// Longest message that is written; the API server refuses more than 32 KiB.
const MAX_MESSAGE: usize = 1_000;

/// True, false, or not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Seen to be so.
    True,
    /// Seen not to be so.
    False,
    /// Not seen.
    Unknown,
}

/// A condition before it is compared with the one written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its type.
    pub kind: &'static str,
    /// Its status.
    pub truth: Truth,
    /// Its reason, in CamelCase.
    pub reason: &'static str,
    /// One sentence with numbers.
    pub message: String,
}

impl Claim {
    /// A claim of that type.
    pub fn new(kind: &'static str, truth: Truth, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, truth, reason, message: message.into().chars().take(MAX_MESSAGE).collect() }
    }

    /// The condition, with the time of `old` unless the status changed.
    pub fn condition(self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = match self.truth {
            Truth::True => "True",
            Truth::False => "False",
            Truth::Unknown => "Unknown",
        };
        let same = old.iter().find(|known| known.type_ == self.kind && known.status == status);
        Condition {
            type_: self.kind.into(),
            status: status.into(),
            reason: self.reason.into(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |known| known.last_transition_time.clone()),
        }
    }
}

/// Every claim about the ChatRoom, `Ready` first.
pub fn claims(room: &ChatRoom, applied: &Applied) -> Vec<Claim> {
    let parts = vec![gateways(applied), redis(room, applied), route(room, &applied.observed)];
    let ready = ready(&parts, applied);
    std::iter::once(ready).chain(parts).chain([scaling(room, applied)]).collect()
}

/// The claims about a ChatRoom that breaks its own rules, so that nothing is done for it.
pub fn invalid(reason: String) -> Claim {
    Claim::new("Ready", Truth::False, "InvalidSpec", reason)
}

fn ready(parts: &[Claim], applied: &Applied) -> Claim {
    let claim = |truth, reason, message: String| Claim::new("Ready", truth, reason, message);
    if let Some(failure) = applied.failures.first() {
        let more = applied.failures.len() - 1;
        return claim(Truth::False, "ApplyFailed", format!("{failure}{}", and_more(more)));
    }
    let part = |truth| parts.iter().find(|part| part.truth == truth);
    if let Some(part) = part(Truth::False) {
        return claim(Truth::False, part.reason, part.message.clone());
    }
    let Fleet { outdated, draining, .. } = applied.plan.fleet;
    if outdated > 0 {
        return claim(Truth::False, "RollingOut", format!("{outdated} gateways of former templates still serve"));
    }
    if let Some(part) = parts.iter().find(|part| part.truth == Truth::Unknown && part.kind != "RouteReady") {
        return claim(Truth::Unknown, part.reason, part.message.clone());
    }
    let draining = if draining > 0 { format!("; {draining} more are being emptied") } else { String::new() };
    claim(Truth::True, "Serving", format!("{}{draining}", parts[0].message))
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

/// Serving gateways, and those of them that are ready.
pub fn counts(observed: &Observed) -> (usize, usize) {
    let serving = || observed.living().filter(|pod| observed::draining_since(pod).is_none());
    (serving().count(), serving().filter(|pod| observed::is_ready(pod)).count())
}

fn gateways(applied: &Applied) -> Claim {
    let (_, ready) = counts(&applied.observed);
    let wanted = applied.plan.size.wanted as usize;
    let claim = |truth, reason, message| Claim::new("GatewaysAvailable", truth, reason, message);
    let facts = format!("{} of {wanted} gateways are ready", ready.min(wanted));
    if applied.plan.size.grounds == Grounds::Suspended {
        return claim(Truth::False, "Suspended", format!("suspended; {ready} gateways are still ready"));
    }
    if ready >= wanted {
        return claim(Truth::True, "AllReady", facts);
    }
    let unready = |pod: &&k8s_openapi::api::core::v1::Pod| !observed::is_ready(pod);
    let trouble =
        applied.observed.living().filter(unready).find_map(|pod| Some((pod.name_any(), observed::trouble(pod)?)));
    let message = match trouble {
        Some((pod, trouble)) => format!("{facts}; {pod}: {trouble}"),
        None => facts,
    };
    claim(Truth::False, if ready == 0 { "NoneReady" } else { "TooFewReady" }, message)
}

fn redis(room: &ChatRoom, applied: &Applied) -> Claim {
    let claim = |truth, reason, message: String| Claim::new("RedisReady", truth, reason, message);
    match room.spec.redis.mode() {
        RedisMode::Memory => claim(Truth::True, "Memory", "messages live in the gateway's memory".into()),
        RedisMode::External(_) => external(&applied.observed),
        RedisMode::Managed(_) => {
            let Some(plan) = &applied.plan.redis else {
                return claim(Truth::Unknown, "NotSeen", "the Redis Cluster was not looked at".into());
            };
            let health = crate::redis::health::Health::of(plan.shape, &applied.observed.redis);
            let trouble = redis_trouble(&applied.observed);
            let (ready, reason, message) =
                health.verdict(plan.shape, &plan.step, plan.upgrade.as_ref(), trouble.as_deref());
            claim(if ready { Truth::True } else { Truth::False }, reason, message)
        }
    }
}

/// Why the first Redis pod that does not run does not.
fn redis_trouble(observed: &Observed) -> Option<String> {
    let stopped = observed.redis_pods.iter().filter(|pod| !observed::is_gone(pod) && !observed::is_ready(pod));
    let trouble = stopped.filter_map(|pod| Some(format!("{}: {}", pod.name_any(), observed::trouble(pod)?)));
    trouble.min()
}

/// An external Redis is seen through the gateways alone.
fn external(observed: &Observed) -> Claim {
    let claim = |truth, reason, message: String| Claim::new("RedisReady", truth, reason, message);
    let seen: Vec<BusStatus> = observed.reports.values().map(|report| report.bus).collect();
    let count = |status| seen.iter().filter(|one| **one == status).count();
    let (all, away) = (seen.len(), count(BusStatus::Away));
    match (all, away, count(BusStatus::Unreplicated)) {
        (0, ..) => claim(Truth::Unknown, "NoReports", "no gateway has reported yet".into()),
        (_, 0, 0) => claim(Truth::True, "Replicated", format!("{all} gateways reach it, with copies")),
        (_, 0, _) => claim(Truth::True, "Unreplicated", format!("{all} gateways reach it; messages have one copy")),
        _ => claim(Truth::False, "Away", format!("{away} of {all} gateways do not reach it")),
    }
}

fn route(room: &ChatRoom, observed: &Observed) -> Claim {
    let claim = |truth, reason, message: &str| Claim::new("RouteReady", truth, reason, message);
    let Some(route) = &room.spec.route else {
        return claim(Truth::True, "NotRequested", "the ChatRoom asks for no route");
    };
    if route.gateway.is_some() {
        return http_route(observed);
    }
    if route.ingress_class_name.is_none() {
        return claim(Truth::True, "NotRequested", "the ChatRoom asks for no Ingress and no HTTPRoute");
    }
    let status = observed.ingress.as_ref().and_then(|ingress| ingress.status.as_ref()?.load_balancer.as_ref());
    match status.and_then(|balancer| balancer.ingress.as_ref()).is_some_and(|addresses| !addresses.is_empty()) {
        true => claim(Truth::True, "Admitted", "the ingress controller has given the Ingress an address"),
        false => claim(Truth::Unknown, "NoAddress", "no ingress controller has given the Ingress an address yet"),
    }
}

fn http_route(observed: &Observed) -> Claim {
    let claim = |truth, reason, message: String| Claim::new("RouteReady", truth, reason, message);
    if !observed.gateway_api {
        let kind = http_route::resource().kind;
        return claim(Truth::False, "NoGatewayAPI", format!("the cluster served no {kind}s when the operator started"));
    }
    let parents = observed.http_route.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let conditions = parents.iter().filter_map(|parent| parent["conditions"].as_array()).flatten();
    let told: Vec<&Value> =
        conditions.filter(|one| matches!(one["type"].as_str(), Some("Accepted" | "ResolvedRefs"))).collect();
    if told.is_empty() {
        return claim(Truth::Unknown, "NotAccepted", "no Gateway has accepted the HTTPRoute yet".into());
    }
    match told.iter().find(|one| one["status"] != "True") {
        Some(refused) => {
            let text = |field: &str| refused[field].as_str().unwrap_or_default().to_owned();
            claim(Truth::False, "Refused", format!("{}: {}", text("reason"), text("message")))
        }
        None => claim(Truth::True, "Accepted", "the Gateway has accepted the HTTPRoute".into()),
    }
}

fn scaling(room: &ChatRoom, applied: &Applied) -> Claim {
    let claim = |truth, reason, message| Claim::new("ScalingActive", truth, reason, message);
    let said = || size::explain(&room.spec, &applied.plan.size, None);
    match applied.plan.size.grounds {
        Grounds::Suspended => claim(Truth::False, "Suspended", said()),
        Grounds::Fixed => claim(Truth::False, "FixedSize", said()),
        Grounds::Blind => claim(Truth::Unknown, "MetricsMissing", said()),
        Grounds::Steady | Grounds::Patient | Grounds::Up | Grounds::Down => {
            let target = room.spec.target_connections();
            claim(Truth::True, "ByConnections", format!("one gateway for every {target} connections"))
        }
    }
}
