//! Sees everything that a pass decides on (client required).
//!
//! Reads the stores, asks every gateway and every Redis server, and reads the generated Secret. Decides nothing, writes
//! nothing. What does not answer is simply absent from what it returns.

use super::build::meta::{self, Component};
use super::build::{secret, stateful_set};
use super::observed::{self, Observed};
use crate::context::Context;
use crate::gateways::Gateways;
use crate::memory::RoomKey;
use crate::redis::client;
use crate::redis::plan::{Member, Shape};
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::{RedisMode, Size};
use parlor_crds::contract::{BusStatus, GatewayStatus};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::Hash;
use std::time::Instant;

/// Pods asked at the same time: enough for a large fleet within a second, few enough for one process's sockets.
const ASKED_AT_ONCE: usize = 32;
/// How long a gateway may be without its Redis while others have it: longer than a failover of a shard takes.
const STRANDED_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// How long a complete Secret is taken as read; it never changes while it is there.
const SECRET_FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Sees the ChatRoom's world.
pub async fn observe(ctx: &Context, room: &ChatRoom, key: &RoomKey) -> Result<Observed, kube::Error> {
    let now = Timestamp::now();
    let pods = |component| ours(&ctx.stores.pods, room).filter(move |pod| is_of(pod, component)).collect::<Vec<_>>();
    let (gateways, redis_pods) = (pods(Component::Gateway), pods(Component::Redis));
    let secret = read_secret(ctx, room, key, now).await?;
    let password = secret.as_ref().and_then(secret::redis_password);
    let (reports, redis) =
        futures::join!(ask_gateways(ctx, &gateways), ask_redis(ctx, room, &redis_pods, password.as_deref()));
    let mut observed = Observed {
        now,
        reports,
        redis,
        secret,
        fresh: std::array::from_fn(|_| random_key()),
        replica_sets: ours(&ctx.stores.replica_sets, room).collect(),
        redis_set: ours(&ctx.stores.stateful_sets, room).next(),
        ingress: ours(&ctx.stores.ingresses, room).next(),
        http_route: ctx.stores.http_routes.as_ref().and_then(|routes| {
            let route = ours(routes, room).next()?;
            route.data.get("status")?.get("parents").cloned()
        }),
        gateway_api: ctx.stores.http_routes.is_some(),
        others: others(ctx, room),
        gateways,
        redis_pods,
        ..Observed::default()
    };
    remember(ctx, room, key, &mut observed);
    Ok(observed)
}

/// What comes from earlier passes.
fn remember(ctx: &Context, room: &ChatRoom, key: &RoomKey, observed: &mut Observed) {
    let now = observed.now;
    let connections = observed.connections();
    ctx.memories.with(key, |memory| {
        if let Size::Scaled(scaling) = room.spec.size() {
            if let Some(connections) = connections {
                memory.window.note(now, scaling.scale_down_after.as_duration(), connections);
            }
            observed.peak = memory.window.peak(now);
        }
        memory.redis.note(Instant::now(), &observed.redis);
        observed.redis_journal = memory.redis.clone();
        observed.stranded = stranded(&mut memory.away, &observed.reports, now);
    });
}

/// Those that alone have lost their Redis for a while. When most have lost it, it is Redis that is away, and emptying gateways
/// would help nobody.
fn stranded(
    away: &mut BTreeMap<String, Timestamp>,
    reports: &BTreeMap<String, GatewayStatus>,
    now: Timestamp,
) -> BTreeSet<String> {
    let is_away = |pod: &String| reports.get(pod).is_some_and(|report| report.bus == BusStatus::Away);
    away.retain(|pod, _| is_away(pod));
    for pod in reports.keys().filter(|pod| is_away(pod)) {
        away.entry(pod.clone()).or_insert(now);
    }
    if away.len() * 2 >= reports.len() {
        return BTreeSet::new();
    }
    away.iter().filter(|(_, since)| now.duration_since(**since) >= STRANDED_AFTER).map(|(pod, _)| pod.clone()).collect()
}

/// Objects in the store that were made for the ChatRoom.
fn ours<'a, K>(store: &Store<K>, room: &'a ChatRoom) -> impl Iterator<Item = K> + use<'a, K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let (namespace, name) = (room.namespace(), room.name_any());
    let ours = store
        .state()
        .into_iter()
        .filter(move |object| object.namespace() == namespace && object.labels().get(meta::INSTANCE) == Some(&name));
    ours.map(|object| (*object).clone())
}

fn is_of(pod: &Pod, component: Component) -> bool {
    pod.labels().get(meta::COMPONENT).is_some_and(|name| name == component.name())
}

/// `Kind/name` of what exists and may be asked for no more.
fn others(ctx: &Context, room: &ChatRoom) -> BTreeSet<String> {
    let stores = &ctx.stores;
    let mut found = BTreeSet::new();
    names(&mut found, "Service", ours(&stores.services, room), room);
    names(&mut found, "ConfigMap", ours(&stores.config_maps, room), room);
    names(&mut found, "PodDisruptionBudget", ours(&stores.disruption_budgets, room), room);
    names(&mut found, "NetworkPolicy", ours(&stores.network_policies, room), room);
    names(&mut found, "ServiceAccount", ours(&stores.service_accounts, room), room);
    names(&mut found, "Ingress", ours(&stores.ingresses, room), room);
    if let Some(routes) = &stores.http_routes {
        names(&mut found, "HTTPRoute", ours(routes, room), room);
    }
    found
}

/// Adds those that the ChatRoom owns: a label alone is no reason to delete anything.
fn names<K: Resource>(found: &mut BTreeSet<String>, kind: &str, objects: impl Iterator<Item = K>, room: &ChatRoom) {
    let uid = room.uid().unwrap_or_default();
    let owned = objects.filter(|object| object.owner_references().iter().any(|owner| owner.uid == uid));
    found.extend(owned.map(|object| format!("{kind}/{}", object.name_any())));
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
async fn ask_redis(ctx: &Context, room: &ChatRoom, pods: &[Pod], password: Option<&str>) -> Vec<Member> {
    let RedisMode::Managed(managed) = room.spec.redis.mode() else { return Vec::new() };
    let shape = Shape { shards: managed.shards as usize, replicas: managed.replicas_per_shard as usize };
    let wanted = (0..shape.servers()).map(|at| format!("{}-{at}", meta::redis_name(room)));
    let names: BTreeSet<String> = wanted.chain(pods.iter().map(ResourceExt::name_any)).collect();
    let silent = names.into_iter().map(|name| {
        let pod = pods.iter().find(|pod| pod.name_any() == name);
        silent_member(ctx, room, name, pod)
    });
    let asked = silent.map(|member| ask_server(member, password));
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
        view: None,
    }
}

/// A server that announces another name than its pod's is somebody else's at a recycled address.
async fn ask_server(mut member: Member, password: Option<&str>) -> Member {
    if member.ip.is_empty() {
        return member;
    }
    match client::view(&member.ip, password).await {
        Ok(view) => member.view = Some(view).filter(|view| view.myself().hostname.as_deref() == Some(&member.name)),
        Err(error) => tracing::debug!(pod = member.pod, %error, "failed to ask a Redis server"),
    }
    member
}

async fn read_secret(
    ctx: &Context,
    room: &ChatRoom,
    key: &RoomKey,
    now: Timestamp,
) -> Result<Option<Secret>, kube::Error> {
    let known = ctx.memories.with(key, |memory| memory.secret.clone());
    if let Some((secret, _)) = known.filter(|(_, read)| now.duration_since(*read) < SECRET_FRESH) {
        return Ok(Some(secret));
    }
    let api = Api::<Secret>::namespaced(ctx.client.clone(), &key.0);
    let found = api.get_opt(&meta::secret_name(room)).await?;
    let complete = found.clone().filter(|found| secret::is_complete(room, found)).map(|secret| (secret, now));
    ctx.memories.with(key, |memory| memory.secret = complete);
    Ok(found)
}

/// 256 bits in hexadecimal: at the same time a key, and a token that fits into a header.
fn random_key() -> String {
    let mut rng = rand::rng();
    (0..32).fold(String::with_capacity(64), |mut key, _| {
        let byte: u8 = rng.random();
        write!(key, "{byte:02x}").expect("writing to a String does not fail");
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(buses: &[BusStatus]) -> BTreeMap<String, GatewayStatus> {
        let report = |(at, bus): (usize, &BusStatus)| {
            let status = GatewayStatus {
                gateway: at.to_string(),
                version: "1".into(),
                ready: true,
                connections: 1,
                connections_limit: 10,
                rooms: 1,
                drain: None,
                bus: *bus,
                refusal: None,
            };
            (at.to_string(), status)
        };
        buses.iter().enumerate().map(report).collect()
    }

    #[test]
    fn only_a_gateway_that_alone_has_lost_redis_for_a_while_is_stranded() {
        use BusStatus::{Away, Replicated};
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut away = BTreeMap::new();
        let one = reports(&[Away, Replicated, Replicated]);
        assert!(stranded(&mut away, &one, at(0)).is_empty());
        assert_eq!(stranded(&mut away, &one, at(30)), BTreeSet::from(["0".to_owned()]));
        assert!(stranded(&mut away, &reports(&[Away, Away, Replicated]), at(60)).is_empty(), "Redis itself is away");
        assert!(stranded(&mut away, &reports(&[Replicated; 3]), at(61)).is_empty());
        assert!(stranded(&mut away, &one, at(62)).is_empty(), "it had come back in between");
    }
}
