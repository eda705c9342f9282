//! What the status claims, and the words for it (no client).
//!
//! A condition is True only for what was seen, Unknown for what could not be seen, and changes its time only with its status.
//! `Ready` says whether messages go through; `Progressing` says whether the operator still works on the ChatRoom. A rollout
//! that serves everyone is Ready and Progressing.

mod claim;
mod gateways;
mod kstatus;
mod progress;
mod redis;
mod route;

pub use claim::{Claim, Truth};
pub use gateways::counts;
pub use kstatus::is_passing;
use kube::ResourceExt;
use parlor_crds::{ChatRoom, ManifestError, chatroom::ScalingGrounds};

use super::{
    apply::{Applied, ApplyError},
    build::meta,
    decide::size,
};

/// Every claim about the ChatRoom, `Ready` first.
pub fn claims(room: &ChatRoom, applied: &Applied) -> Vec<Claim> {
    let parts = vec![gateways::claim(applied), redis::claim(room, applied), route::claim(room, &applied.observed)];
    let ready = ready(&parts, applied);
    let (progress, scaling) = (progress::claim(applied), scaling(room, applied));
    let for_tools = kstatus::claim(&ready, Some(&progress));
    [ready, progress].into_iter().chain(parts).chain([scaling]).chain(for_tools).collect()
}

/// The claims about a ChatRoom that breaks its own rules, so that nothing is done for it.
pub fn invalid(error: &ManifestError) -> Vec<Claim> {
    let ready = Claim::new("Ready", Truth::False, "InvalidSpec", error.to_string());
    let for_tools = kstatus::claim(&ready, None);
    std::iter::once(ready).chain(for_tools).collect()
}

/// Whether the ChatRoom asks to be left as it is.
pub fn is_paused(room: &ChatRoom) -> bool {
    room.annotations().get(meta::PAUSED).is_some_and(|value| value == "true")
}

/// The claim about a ChatRoom that is left as it is.
pub fn paused() -> Vec<Claim> {
    let message = format!("the annotation {} is set: the operator changes nothing and sees nothing", meta::PAUSED);
    vec![Claim::new("Paused", Truth::True, "Annotation", message)]
}

fn ready(parts: &[Claim], applied: &Applied) -> Claim {
    let claim = |truth, reason, message: String| Claim::new("Ready", truth, reason, message);
    if let Some(failure) = applied.failures.first() {
        let reason = if matches!(failure, ApplyError::NameTaken(_)) { "NameTaken" } else { "ApplyFailed" };
        let more = applied.failures.len() - 1;
        return claim(Truth::False, reason, format!("{failure}{}", and_more(more)));
    }
    if let Some(part) = parts.iter().find(|part| part.truth == Truth::False && !lets_messages_through(part)) {
        return claim(Truth::False, part.reason, part.message.clone());
    }
    if let Some(part) = parts.iter().find(|part| part.truth == Truth::Unknown && part.kind != route::KIND) {
        return claim(Truth::Unknown, part.reason, part.message.clone());
    }
    claim(Truth::True, "Serving", parts[0].message.clone())
}

/// A shard without a replica in sync is no reason to wake anyone as long as all slots are served.
fn lets_messages_through(part: &Claim) -> bool {
    part.kind == redis::KIND && part.reason == redis::DEGRADED
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

fn scaling(room: &ChatRoom, applied: &Applied) -> Claim {
    let claim = |truth, reason, message| Claim::new("ScalingActive", truth, reason, message);
    let said = || size::explain(&room.spec, &applied.plan.size);
    match applied.plan.size.grounds {
        ScalingGrounds::Suspended => claim(Truth::False, "Suspended", said()),
        ScalingGrounds::Fixed => claim(Truth::False, "FixedSize", said()),
        ScalingGrounds::Blind => claim(Truth::Unknown, "MetricsMissing", said()),
        ScalingGrounds::Steady
        | ScalingGrounds::ScaleDownPending
        | ScalingGrounds::ScaleUp
        | ScalingGrounds::ScaleDown => {
            let target = room.spec.target_connections();
            claim(Truth::True, "ByConnections", format!("one gateway for every {target} connections"))
        }
    }
}
