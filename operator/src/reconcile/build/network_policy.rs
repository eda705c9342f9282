//! NetworkPolicies: anyone reaches the chat ports and the server API, only the cluster the admin port, only the ChatRoom its Redis.

use super::meta::{self, Component};
use crate::redis::client;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use parlor_crds::contract::{ADMIN_PORT, SHARED_PORT};

/// Chat ports and the server API from anywhere, the admin port from pods of the cluster (the operator, and whatever collects metrics).
pub fn gateway(room: &ChatRoom) -> NetworkPolicy {
    let served = room.spec.served();
    let own = served.endpoints().into_iter().flat_map(|endpoint| [endpoint.port, endpoint.http_port]).flatten();
    let api = room.spec.api.as_ref().map(|api| api.port);
    let open = std::iter::once(SHARED_PORT).chain(own).chain(api).map(port).collect();
    let rules = vec![rule(open, Vec::new()), rule(vec![port(ADMIN_PORT)], vec![any_pod()])];
    policy(room, Component::Gateway, room.name_any(), rules)
}

/// Redis from the ChatRoom's gateways, its other Redis servers and operators; the cluster bus among the servers alone.
pub fn redis(room: &ChatRoom, operators: &str) -> NetworkPolicy {
    let peers = vec![component(room, Component::Gateway), component(room, Component::Redis), operator(operators)];
    let clients = rule(vec![port(client::PORT)], peers);
    let bus = rule(vec![port(client::PORT + 10_000)], vec![component(room, Component::Redis)]);
    policy(room, Component::Redis, meta::redis_name(room), vec![clients, bus])
}

fn policy(room: &ChatRoom, component: Component, name: String, rules: Vec<NetworkPolicyIngressRule>) -> NetworkPolicy {
    NetworkPolicy {
        metadata: meta::owned(room, component, name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::selector(room, component)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(rules),
            egress: None,
        }),
    }
}

fn rule(ports: Vec<NetworkPolicyPort>, from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { ports: Some(ports), from: (!from.is_empty()).then_some(from) }
}

fn port(number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some("TCP".into()),
        ..NetworkPolicyPort::default()
    }
}

fn component(room: &ChatRoom, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(meta::selector(room, component)), ..NetworkPolicyPeer::default() }
}

fn any_pod() -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }
}

/// Operators in their own namespace: anybody may give a pod their labels, but not put one there.
fn operator(namespace: &str) -> NetworkPolicyPeer {
    let labels = meta::labels(&[("app.kubernetes.io/name", meta::OPERATOR)]);
    let namespace = meta::labels(&[("kubernetes.io/metadata.name", namespace)]);
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector { match_labels: Some(namespace), ..LabelSelector::default() }),
        pod_selector: Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }
}
