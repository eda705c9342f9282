//! Sees everything that a pass decides on (client required).
//!
//! Reads the stores, asks every gateway and every Redis server, and reads the generated Secret. Decides nothing, writes
//! nothing. What does not answer is simply absent from what it returns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::stream::{self, StreamExt};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Event, Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt, api::ListParams, core::DynamicObject};
use parlor_crds::{
    ChatRoom,
    chatroom::RedisMode,
    contract::{GatewayStatus, hex},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    build::{
        certificates,
        meta::{self, Component},
        secret::Fresh,
        stateful_set,
    },
    kind::{Kind, ObjectId},
    observed::{self, Observed},
    redis_access, secrets,
    validate::ValidRoom,
};
use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    context::Context,
    deadlines::GATEWAY_EXCHANGE,
    gateways::Gateways,
    redis::{
        access::Access,
        client,
        plan::{Member, Shape},
    },
    stores::index::Entry,
};

/// Pods asked at the same time: enough for a large fleet within a second, few enough for one process's sockets.
const ASKED_AT_ONCE: usize = 32;
/// A pod that has not started after so long is asked about.
const STARTS_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// Objects that are asked about in one pass.
const MOST_WARNINGS: usize = 3;

/// Sees the ChatRoom's world.
pub async fn observe(ctx: &Context, room: ValidRoom<'_>, name: &ChatRoomName) -> Result<Observed, ApiError> {
    let now = Timestamp::now();
    let uid = room.uid().unwrap_or_default();
    let pods: Vec<Pod> = ctx.stores.pods.of(name).iter().map(|entry| entry.object.clone()).collect();
    let (gateways, others): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(|pod| is_of(pod, Component::Gateway));
    let redis_pods: Vec<Pod> = others.into_iter().filter(|pod| is_of(pod, Component::Redis)).collect();
    let waits = |pod: &Pod| !observed::is_gone(pod) && !observed::is_running(pod);
    // A gateway that does not run may be waiting for a Secret that is gone.
    let fresh_for = if gateways.iter().any(waits) { SignedDuration::ZERO } else { secrets::FRESH };
    let reading = secrets::SecretReader { ctx, room: &room, name, now, fresh_for };
    let secret = reading.generated().await?;
    let named_keys = reading.named_keys().await?;
    let named_certificates = reading.redis_certificates().await?;
    let lost_secret = if secret.is_none() { reading.last() } else { None };
    let kept = secret.as_ref().or(lost_secret.as_ref());
    let entry = redis_access::entry(&room, kept, named_certificates.as_ref(), now);
    let (reports, redis) =
        futures::join!(ask_gateways(ctx, &gateways), ask_redis(ctx, &room, &redis_pods, entry.access.as_ref()));
    let redis_set = owned(ctx.stores.stateful_sets.of(name), &uid).into_iter().next();
    let warnings = read_warnings(ctx, name, redis_set.as_ref(), gateways.iter().chain(&redis_pods), now).await;
    let ours = |kind| ctx.stores.others(name, kind).into_iter().find(|entry| is_owned(entry, &uid));
    let ingress = ours(Kind::Ingress).and_then(|entry| parsed(&entry.object.data["status"]));
    let http_route = ours(Kind::HttpRoute).and_then(|entry| {
        let parents = entry.object.data.get("status")?.get("parents")?.clone();
        Some(of_generation(parents, entry.object.metadata.generation))
    });
    let is_unreachable = |pod: &&Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|host| ctx.nodes.is_silent(host))
    };
    let unreachable = redis_pods.iter().filter(is_unreachable).map(ResourceExt::name_any).collect();
    Ok(Observed {
        now,
        unreachable,
        reports,
        redis,
        fresh: fresh(&room, kept, now),
        redis_access: entry.access,
        redis_trouble: entry.trouble,
        secret,
        lost_secret,
        named_keys,
        replica_sets: owned(ctx.stores.replica_sets.of(name), &uid),
        redis_set,
        warnings,
        ingress,
        http_route,
        gateway_api: ctx.stores.serves(Kind::HttpRoute),
        others: owned_names(ctx, name, &uid),
        gateways,
        redis_pods,
        ..Observed::default()
    })
}

/// What Gateways say of the HTTPRoute as it is now, without what they said of an earlier one.
fn of_generation(mut parents: Value, generation: Option<i64>) -> Value {
    for parent in parents.as_array_mut().into_iter().flatten() {
        if let Some(conditions) = parent["conditions"].as_array_mut() {
            let is_current =
                |one: &Value| one["observedGeneration"].as_i64().is_none_or(|seen| Some(seen) == generation);
            conditions.retain(is_current);
        }
    }
    parents
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// A label alone does not make an object the ChatRoom's.
fn is_owned<K>(entry: &Entry<K>, uid: &str) -> bool {
    entry.current.owners.iter().any(|owner| owner.uid == uid)
}

fn owned<K: Clone>(entries: Vec<Arc<Entry<K>>>, uid: &str) -> Vec<K> {
    entries.iter().filter(|entry| is_owned(entry, uid)).map(|entry| entry.object.clone()).collect()
}

/// What exists for the ChatRoom and goes when it is not asked for.
fn owned_names(ctx: &Context, name: &ChatRoomName, uid: &str) -> BTreeSet<ObjectId> {
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.goes_when_not_asked_for());
    let named = |kind: Kind| {
        let entries: Vec<Arc<Entry<DynamicObject>>> = ctx.stores.others(name, kind);
        let owned = entries.into_iter().filter(|entry| is_owned(entry, uid));
        owned.map(move |entry| ObjectId::new(kind, entry.object.name_any())).collect::<Vec<_>>()
    };
    kinds.flat_map(named).collect()
}

fn is_of(pod: &Pod, component: Component) -> bool {
    pod.labels().get(meta::COMPONENT).is_some_and(|name| name == component.name())
}

/// Asks every gateway that has an address. One that is ending still holds people, who will come to the others.
async fn ask_gateways(ctx: &Context, pods: &[Pod]) -> BTreeMap<String, GatewayStatus> {
    let addressed: Vec<(String, String)> =
        pods.iter().filter_map(|pod| Some((pod.name_any(), pod.status.as_ref()?.pod_ip.clone()?))).collect();
    let asked = addressed.into_iter().map(|(pod, ip)| ask_gateway(ctx.gateways.clone(), pod, ip));
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
    answers.into_iter().flatten().collect()
}

async fn ask_gateway(gateways: Gateways, pod: String, ip: String) -> Option<(String, GatewayStatus)> {
    let status = gateways.status(&ip).await.ok()?;
    // Another name at this address: the pod ended, and its address was given to another.
    (status.gateway == pod).then_some((pod, status))
}

/// Asks every Redis server that is wanted or runs.
async fn ask_redis(ctx: &Context, room: &ChatRoom, pods: &[Pod], access: Option<&Access>) -> Vec<Member> {
    let RedisMode::Managed(managed) = room.spec.redis.mode() else { return Vec::new() };
    let shape = Shape { shards: managed.shards as usize, replicas: managed.replicas_per_shard as usize };
    let wanted: BTreeSet<String> = (0..shape.servers()).map(|at| format!("{}-{at}", meta::redis_name(room))).collect();
    let names: BTreeSet<String> = wanted.iter().cloned().chain(pods.iter().map(ResourceExt::name_any)).collect();
    let silent = names.into_iter().map(|name| {
        let pod = pods.iter().find(|pod| pod.name_any() == name);
        Member { surplus: !wanted.contains(&name), ..silent_member(ctx, room, name, pod) }
    });
    let asked = silent.map(|member| ask_server(member, access));
    let mut members: Vec<Member> = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await;
    members.sort_by(|a, b| (a.pod.len(), &a.pod).cmp(&(b.pod.len(), &b.pod)));
    members
}

/// A pod that ends is asked as long as it answers: it may still have to hand over.
fn silent_member(ctx: &Context, room: &ChatRoom, name: String, pod: Option<&Pod>) -> Member {
    let running = pod.filter(|pod| !observed::has_ended(pod));
    let ip = running.and_then(|pod| pod.status.as_ref()?.pod_ip.clone()).unwrap_or_default();
    let host = running.and_then(|pod| pod.spec.as_ref()?.node_name.clone()).unwrap_or_default();
    let told_to_end = running.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
    Member {
        name: stateful_set::server_name(room, &name),
        pod: name,
        ip,
        leaving: told_to_end || ctx.nodes.is_cordoned(&host),
        place: ctx.nodes.place(&host),
        surplus: false,
        view: None,
    }
}

/// A server that announces another name than its pod's is somebody else's at a recycled address.
async fn ask_server(mut member: Member, access: Option<&Access>) -> Member {
    let Some(access) = access.filter(|_| !member.ip.is_empty()) else { return member };
    match client::view(&member.ip, access).await {
        Ok(view) => member.view = Some(view).filter(|view| view.myself().hostname.as_deref() == Some(&member.name)),
        Err(error) => tracing::debug!(pod = member.pod, %error, "failed to ask a Redis server"),
    }
    member
}

/// The latest warning about some of those that do not start: a missing Secret or volume, a quota, an admission policy. Asked
/// only for pods that have been starting for a while, and for a Redis StatefulSet that lacks pods.
async fn read_warnings<'a>(
    ctx: &Context,
    name: &ChatRoomName,
    redis_set: Option<&StatefulSet>,
    pods: impl Iterator<Item = &'a Pod>,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let is_late = |created: Option<&Time>| created.is_some_and(|time| now.duration_since(time.0) >= STARTS_WITHIN);
    let late = pods.filter(|pod| {
        !observed::is_gone(pod) && !observed::is_running(pod) && is_late(pod.metadata.creation_timestamp.as_ref())
    });
    let lacks_pods = redis_set.filter(|set| {
        let created = set.status.as_ref().map_or(0, |status| status.replicas);
        set.spec.replicas.is_some_and(|wanted| created < wanted) && is_late(set.metadata.creation_timestamp.as_ref())
    });
    let names = lacks_pods.map(ResourceExt::name_any).into_iter().chain(late.map(ResourceExt::name_any));
    let mut warnings = BTreeMap::new();
    for object in names.take(MOST_WARNINGS) {
        if let Some(warning) = latest_warning(ctx, name, &object).await {
            warnings.insert(object, warning);
        }
    }
    warnings
}

/// Not being allowed to read Events, or finding none, only means that less can be said.
async fn latest_warning(ctx: &Context, name: &ChatRoomName, object: &str) -> Option<String> {
    let api = Api::<Event>::namespaced(ctx.client.clone(), &name.namespace);
    let fields = format!("involvedObject.name={object},type=Warning");
    let listed =
        tokio::time::timeout(GATEWAY_EXCHANGE, api.list(&ListParams::default().fields(&fields).limit(20))).await;
    let when = |event: &Event| {
        event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
    };
    let latest = listed.ok()?.ok()?.items.into_iter().max_by_key(when)?;
    Some(observed::shortened(latest.reason.as_deref()?, latest.message.as_deref().unwrap_or_default()))
}

/// What the generated Secret lacks.
fn fresh(room: &ChatRoom, secret: Option<&Secret>, now: Timestamp) -> Fresh {
    let wanted = certificates::are_generated(room).then(|| certificates::fresh(room, secret, now));
    let made = wanted.unwrap_or_else(|| Ok(certificates::Fresh::new()));
    let certificates = made.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to make the certificates of Redis");
        certificates::Fresh::new()
    });
    Fresh { keys: std::array::from_fn(|_| random_key()), certificates }
}

/// 256 bits in hexadecimal: at the same time a key, and a token that fits into a header.
fn random_key() -> String {
    hex(&rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_gateway_said_of_an_earlier_route_does_not_count() {
        let said = |generation| json!([{ "conditions": [{ "type": "Accepted", "observedGeneration": generation }] }]);
        assert_eq!(of_generation(said(3), Some(3)), said(3));
        assert_eq!(of_generation(said(2), Some(3)), json!([{ "conditions": [] }]));
        let unnumbered = json!([{ "conditions": [{ "type": "Accepted" }] }]);
        assert_eq!(of_generation(unnumbered.clone(), Some(3)), unnumbered);
    }
}
