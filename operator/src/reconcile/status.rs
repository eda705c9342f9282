//! Writes the status and says what changed (client required).
//!
//! Made from what was applied and from nothing else. Written only when it differs, so that at constant load nothing moves.

use super::apply::Applied;
use super::build::meta;
use super::conditions::{self, Claim};
use super::decide::size::{self, Grounds};
use crate::context::Context;
use crate::memory::RoomKey;
use crate::metrics::Room;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use parlor_crds::chatroom::ScalingStatus;
use parlor_crds::{ChatRoom, ChatRoomStatus};
use serde_json::json;

/// Field manager of the status.
const STATUS: &str = "parlor-operator-status";
/// Connections are written no more often than this.
const PUBLISHED_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// Connections are written when they differ by one part in this many.
const PUBLISHED_PART: u64 = 20;

/// Writes the status after a pass, and the Events for what it did.
pub async fn write(ctx: &Context, key: &RoomKey, room: &ChatRoom, applied: &Applied) -> Result<(), kube::Error> {
    let published = ctx.memories.with(key, |memory| memory.published);
    let status = status(room, applied, published);
    let old = room.status.clone().unwrap_or_default();
    if status.connections != old.connections {
        ctx.memories.with(key, |memory| memory.published = Some(applied.observed.now));
    }
    let label = Room { namespace: key.0.clone(), name: key.1.clone() };
    ctx.metrics.wanted.get_or_create(&label).set(i64::from(applied.plan.size.wanted));
    ctx.metrics.ready.get_or_create(&label).set(i64::from(status.ready_replicas.unwrap_or_default()));
    for event in events(room, applied, &status) {
        publish(ctx, room, &event).await;
    }
    patch(ctx, key, &old, &status).await
}

/// Writes that the ChatRoom breaks its own rules; everything else that the status says stays.
pub async fn write_invalid(ctx: &Context, key: &RoomKey, room: &ChatRoom, why: String) -> Result<(), kube::Error> {
    let old = room.status.clone().unwrap_or_default();
    let mut status = old.clone();
    let generation = room.metadata.generation;
    let claim = conditions::invalid(why).condition(&old.conditions, generation, Timestamp::now());
    status.conditions.retain(|condition| condition.type_ != claim.type_);
    status.conditions.insert(0, claim);
    status.observed_generation = generation;
    patch(ctx, key, &old, &status).await
}

async fn patch(ctx: &Context, key: &RoomKey, old: &ChatRoomStatus, new: &ChatRoomStatus) -> Result<(), kube::Error> {
    if old == new {
        return Ok(());
    }
    let api = Api::<ChatRoom>::namespaced(ctx.client.clone(), &key.0);
    let value = json!({
        "apiVersion": ChatRoom::api_version(&()), "kind": ChatRoom::kind(&()),
        "metadata": { "name": key.1 }, "status": new,
    });
    api.patch_status(&key.1, &PatchParams::apply(STATUS).force(), &Patch::Apply(&value)).await.map(drop)
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

/// The last decision; its words stay while the number stays.
fn scaling(room: &ChatRoom, applied: &Applied, old: &ChatRoomStatus, rescaled: bool) -> ScalingStatus {
    let size = &applied.plan.size;
    match &old.scaling {
        Some(said) if !rescaled && !contradicts(size.grounds, &said.reason) => said.clone(),
        _ => ScalingStatus {
            wanted: i32::try_from(size.wanted).unwrap_or(i32::MAX),
            reason: size::explain(&room.spec, size, applied.observed.connections()),
        },
    }
}

/// The same number on other grounds, such as a fixed size that became a scaled one.
fn contradicts(grounds: Grounds, reason: &str) -> bool {
    let fixed = reason.starts_with("spec.");
    let blind = reason.starts_with("kept at");
    match grounds {
        Grounds::Fixed | Grounds::Suspended => !fixed,
        Grounds::Blind => fixed,
        Grounds::Steady | Grounds::Patient | Grounds::Up | Grounds::Down => fixed || blind,
    }
}

fn events(room: &ChatRoom, applied: &Applied, status: &ChatRoomStatus) -> Vec<Event> {
    let event = |type_, reason: &str, note: String| Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".into(),
        secondary: None,
    };
    let mut events: Vec<Event> =
        applied.deeds.iter().map(|deed| event(EventType::Normal, deed.reason, deed.note.clone())).collect();
    let old = room.status.as_ref();
    let said = old.and_then(|old| old.scaling.as_ref());
    if let Some(scaling) = status.scaling.as_ref().filter(|new| said.map(|old| old.wanted) != Some(new.wanted)) {
        events.push(event(EventType::Normal, "Scaled", scaling.reason.clone()));
    }
    let was = |kind: &str| old.and_then(|old| old.conditions.iter().find(|known| known.type_ == kind));
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let seen = |known: &Condition| (known.status.clone(), known.reason.clone());
    if let Some(ready) = ready.filter(|ready| was("Ready").map(seen) != Some(seen(ready))) {
        let fell = ready.status != "True" && was("Ready").is_some_and(|known| known.status == "True");
        let type_ = if fell { EventType::Warning } else { EventType::Normal };
        events.push(event(type_, &ready.reason, ready.message.clone()));
    }
    events
}

/// An Event that cannot be written is no reason to fail a pass.
async fn publish(ctx: &Context, room: &ChatRoom, event: &Event) {
    if let Err(error) = ctx.recorder.publish(event, &room.object_ref(&())).await {
        tracing::warn!(room = %room.name_any(), %error, "could not write an event");
    }
}
