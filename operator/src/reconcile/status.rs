//! Writes the status and says what changed (client required).
//!
//! Made from what was applied and from nothing else. Written only when it differs, so that at constant load nothing moves.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Condition,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use parlor_crds::{
    ChatRoom, ChatRoomStatus,
    chatroom::{ScalingGrounds, ScalingStatus},
};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use serde_json::json;

use super::{
    apply::Applied,
    build::meta,
    conditions::{self, Claim},
    decide::size::{self, Decision},
};
use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    context::Context,
    events::{self, Happening},
    metrics::{self, Metrics, Room},
    redis::plan::Member,
};

/// Field manager of the status.
const STATUS: &str = "parlor-operator-status";
/// Connections are written no more often than this.
const PUBLISHED_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// Connections are written when they differ by one part in this many.
const PUBLISHED_PART: u64 = 20;

/// Writes the status after a pass, and the Events for what it did.
pub async fn write(ctx: &Context, name: &ChatRoomName, room: &ChatRoom, applied: &Applied) -> Result<(), ApiError> {
    let published = ctx.caches.with(name, |cache| cache.published);
    let status = status(room, applied, published);
    let old = room.status.clone().unwrap_or_default();
    if status.connections != old.connections {
        ctx.caches.with(name, |cache| cache.published = Some(applied.observed.now));
    }
    measure(&ctx.metrics, name, &status, applied);
    for happening in happenings(room, applied, &status).into_iter().take(events::MAX_PER_PASS) {
        ctx.events.publish(room, happening).await;
    }
    patch(ctx, name, &old, &status).await
}

fn measure(metrics: &Metrics, name: &ChatRoomName, status: &ChatRoomStatus, applied: &Applied) {
    let label = metrics::room(name);
    let set = |gauge: &Family<Room, Gauge>, value: usize| {
        gauge.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
    };
    set(&metrics.wanted, applied.plan.size.wanted as usize);
    set(&metrics.ready, conditions::counts(&applied.observed).1);
    set(&metrics.draining, applied.plan.fleet.draining);
    if let Some(connections) = applied.observed.connections().and_then(|open| usize::try_from(open).ok()) {
        set(&metrics.connections, connections);
    }
    if applied.plan.redis.is_some() {
        set(&metrics.redis_servers, applied.observed.redis.iter().filter(|member| member.view.is_some()).count());
        metrics.redis_memory.get_or_create(&label).set(fullest(&applied.observed.redis));
    }
    for kind in metrics::CONDITIONS {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        metrics.condition(name, kind, found.map(|condition| condition.status.as_str()));
    }
}

/// Share of its memory bound that the fullest primary uses.
fn fullest(members: &[Member]) -> f64 {
    let primaries = members.iter().filter_map(|member| member.view.as_ref()).filter(|view| view.serves());
    let percent = primaries.map(|view| view.info.memory.percent()).max().unwrap_or_default();
    u32::try_from(percent).map_or(1.0, |percent| f64::from(percent) / 100.0)
}

/// Writes claims about a ChatRoom for which nothing is done; everything else that the status says stays.
pub async fn write_claims(
    ctx: &Context,
    name: &ChatRoomName,
    room: &ChatRoom,
    claims: Vec<Claim>,
) -> Result<(), ApiError> {
    let old = room.status.clone().unwrap_or_default();
    let mut status = old.clone();
    let generation = room.metadata.generation;
    let now = Timestamp::now();
    let mut written: Vec<Condition> =
        claims.into_iter().map(|claim| claim.condition(&old.conditions, generation, now)).collect();
    let replaced: Vec<String> = written.iter().map(|condition| condition.type_.clone()).collect();
    status.conditions.retain(|one| !replaced.contains(&one.type_) && !conditions::is_passing(&one.type_));
    written.append(&mut status.conditions);
    status.conditions = written;
    // What is paused has not looked at the new generation.
    if status.conditions[0].type_ == "Ready" {
        status.observed_generation = generation;
    }
    patch(ctx, name, &old, &status).await
}

async fn patch(ctx: &Context, name: &ChatRoomName, old: &ChatRoomStatus, new: &ChatRoomStatus) -> Result<(), ApiError> {
    if old == new {
        return Ok(());
    }
    let api = Api::<ChatRoom>::namespaced(ctx.client.clone(), &name.namespace);
    let value = json!({
        "apiVersion": ChatRoom::api_version(&()), "kind": ChatRoom::kind(&()),
        "metadata": { "name": name.name }, "status": new,
    });
    api.patch_status(&name.name, &PatchParams::apply(STATUS).force(), &Patch::Apply(&value)).await?;
    Ok(())
}

/// The status after a pass.
pub fn status(room: &ChatRoom, applied: &Applied, published: Option<Timestamp>) -> ChatRoomStatus {
    let old = room.status.clone().unwrap_or_default();
    let generation = room.metadata.generation;
    let (serving, ready) = conditions::counts(&applied.observed);
    let rescaled = old.scaling.as_ref().map(|scaling| scaling.wanted) != i32::try_from(applied.plan.size.wanted).ok();
    let connections = connections(&old, applied, published, rescaled);
    let claims = conditions::claims(room, applied).into_iter();
    let conditions = claims.map(|claim: Claim| claim.condition(&old.conditions, generation, applied.observed.now));
    ChatRoomStatus {
        observed_generation: generation,
        replicas: i32::try_from(serving).ok(),
        ready_replicas: i32::try_from(ready).ok(),
        selector: Some(meta::selector_text(room)),
        connections,
        scaling: Some(scaling(room, applied, &old, rescaled)),
        conditions: conditions.collect(),
    }
}

/// The number that is written: the old one until it is off by a twentieth and half a minute old.
fn connections(old: &ChatRoomStatus, applied: &Applied, published: Option<Timestamp>, now: bool) -> Option<i64> {
    let Some(seen) = applied.observed.connections() else { return old.connections };
    let Some(written) = old.connections.and_then(|n| u64::try_from(n).ok()) else { return i64::try_from(seen).ok() };
    let off = seen.abs_diff(written) * PUBLISHED_PART > written;
    let due = published.is_none_or(|then| applied.observed.now.duration_since(then) >= PUBLISHED_EVERY);
    if off && (due || now) { i64::try_from(seen).ok() } else { old.connections }
}

/// The last decision; its words stay while the number and the kind of reason stay.
fn scaling(room: &ChatRoom, applied: &Applied, old: &ChatRoomStatus, rescaled: bool) -> ScalingStatus {
    let size = &applied.plan.size;
    let same_kind = |said: &ScalingStatus| said.grounds.is_some_and(|grounds| source(grounds) == source(size.grounds));
    match &old.scaling {
        Some(said) if !rescaled && same_kind(said) => said.clone(),
        _ => ScalingStatus {
            wanted: i32::try_from(size.wanted).unwrap_or(i32::MAX),
            grounds: Some(size.grounds),
            resume: resume(size, old),
            reason: size::explain(&room.spec, size),
        },
    }
}

/// A suspended ChatRoom comes back with as many gateways as it had.
fn resume(size: &Decision, old: &ChatRoomStatus) -> Option<i32> {
    if size.grounds != ScalingGrounds::Suspended {
        return None;
    }
    let former = old.scaling.as_ref().and_then(|said| if said.wanted > 0 { Some(said.wanted) } else { said.resume });
    former.or_else(|| i32::try_from(size.previous).ok().filter(|previous| *previous > 0))
}

/// Where a number comes from. While it comes from the load, the grounds change with every fluctuation and are not written.
#[derive(PartialEq, Eq)]
enum Source {
    Spec,
    Load,
    Nothing,
}

fn source(grounds: ScalingGrounds) -> Source {
    match grounds {
        ScalingGrounds::Suspended | ScalingGrounds::Fixed => Source::Spec,
        ScalingGrounds::Blind => Source::Nothing,
        ScalingGrounds::Steady
        | ScalingGrounds::ScaleDownPending
        | ScalingGrounds::ScaleUp
        | ScalingGrounds::ScaleDown => Source::Load,
    }
}

fn happenings(room: &ChatRoom, applied: &Applied, status: &ChatRoomStatus) -> Vec<Happening> {
    let happening = |is_warning, reason: &str, note: String| Happening { is_warning, reason: reason.to_owned(), note };
    let old = room.status.as_ref();
    let mut happenings = Vec::new();
    let was = |kind: &str| old.and_then(|old| old.conditions.iter().find(|known| known.type_ == kind));
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let seen = |known: &Condition| (known.status.clone(), known.reason.clone());
    if let Some(ready) = ready.filter(|ready| was("Ready").map(seen) != Some(seen(ready))) {
        happenings.push(happening(ready.status == "False", &ready.reason, ready.message.clone()));
    }
    let said = old.and_then(|old| old.scaling.as_ref());
    if let Some(scaling) = status.scaling.as_ref().filter(|new| said.map(|old| old.wanted) != Some(new.wanted)) {
        happenings.push(happening(false, "Scaled", scaling.reason.clone()));
    }
    happenings.extend(applied.changes.iter().map(|change| happening(false, change.reason, change.note.clone())));
    happenings
}
