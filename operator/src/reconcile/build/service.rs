//! Services: the shared port, each protocol's own port, the server API, and the names of the Redis servers.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;
use parlor_crds::{
    ChatRoom,
    chatroom::{Endpoint, ServiceType, SharedService, StringMap, TrafficPolicy},
    contract::SHARED_PORT,
};

use super::meta::{self, Component};
use crate::redis::client;

/// Tells proxies that the port speaks WebSocket without TLS.
const WEBSOCKET: &str = "kubernetes.io/ws";

/// The shared port, under the ChatRoom's name; routes point here.
pub fn shared(room: &ChatRoom) -> Service {
    let ports = vec![port("http", SHARED_PORT)];
    let mut metadata = meta::owned(room, Component::Gateway, room.name_any());
    let mut spec = spec(room, Component::Gateway, ports);
    if let Some(wanted) = &room.spec.service.shared {
        let SharedService { type_, annotations, load_balancer_class, external_traffic_policy } = wanted;
        metadata.annotations = present(annotations);
        expose(&mut spec, *type_, load_balancer_class.as_ref(), *external_traffic_policy);
    }
    Service { metadata, spec: Some(spec), ..Service::default() }
}

/// The own ports of each protocol that has some, under `<ChatRoom>-<protocol>`.
pub fn protocols(room: &ChatRoom) -> Vec<Service> {
    let served = room.spec.served();
    served.endpoints().iter().filter_map(|endpoint| own_ports(room, endpoint)).collect()
}

/// The server API, under `<ChatRoom>-api`. Never exposed beyond the cluster: `spec.service` is about clients.
pub fn api(room: &ChatRoom) -> Option<Service> {
    let api = room.spec.api.as_ref()?;
    Some(Service {
        metadata: meta::owned(room, Component::Gateway, format!("{}-api", room.name_any())),
        spec: Some(spec(room, Component::Gateway, vec![port("api", api.port)])),
        ..Service::default()
    })
}

fn own_ports(room: &ChatRoom, endpoint: &Endpoint<'_>) -> Option<Service> {
    let web = endpoint.http_port.map(|number| port("web", number));
    let ports: Vec<ServicePort> = endpoint.port.map(|number| port("ws", number)).into_iter().chain(web).collect();
    if ports.is_empty() {
        return None;
    }
    let mut metadata = meta::owned(room, Component::Gateway, format!("{}-{}", room.name_any(), endpoint.protocol));
    let wanted = &room.spec.service;
    metadata.annotations = present(&wanted.annotations);
    let mut spec = spec(room, Component::Gateway, ports);
    expose(&mut spec, wanted.type_, wanted.load_balancer_class.as_ref(), wanted.external_traffic_policy);
    Some(Service { metadata, spec: Some(spec), ..Service::default() })
}

fn expose(spec: &mut ServiceSpec, type_: ServiceType, class: Option<&String>, policy: Option<TrafficPolicy>) {
    let type_ = match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    let policy = policy.map(|policy| match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    });
    spec.type_ = Some(type_.into());
    spec.load_balancer_class = class.cloned();
    spec.external_traffic_policy = policy.map(str::to_owned);
}

fn present(map: &StringMap) -> Option<StringMap> {
    (!map.is_empty()).then(|| map.clone())
}

/// The Redis servers by name, ready or not: they have to find each other before any is ready.
pub fn redis(room: &ChatRoom) -> Service {
    let mut redis = port("redis", client::PORT);
    redis.app_protocol = None;
    let mut spec = spec(room, Component::Redis, vec![redis]);
    spec.cluster_ip = Some("None".into());
    spec.publish_not_ready_addresses = Some(true);
    Service {
        metadata: meta::owned(room, Component::Redis, meta::redis_name(room)),
        spec: Some(spec),
        ..Service::default()
    }
}

fn spec(room: &ChatRoom, component: Component, ports: Vec<ServicePort>) -> ServiceSpec {
    ServiceSpec {
        type_: Some("ClusterIP".into()),
        selector: Some(meta::selector_labels(room, component)),
        ports: Some(ports),
        ..ServiceSpec::default()
    }
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: i32::from(number),
        target_port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some("TCP".into()),
        app_protocol: (!matches!(name, "web" | "api")).then(|| WEBSOCKET.into()),
        ..ServicePort::default()
    }
}
