//! NetworkPolicies: anyone reaches the chat ports and the server API, only the cluster the admin port, only the ChatRoom its Redis.
//! Gateways that fetch something by a URL of the ChatRoom reach that, Redis and the name servers, and nothing else.

use http::Uri;
use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::ResourceExt;
use parlor_crds::{
    ChatRoom,
    chatroom::RedisMode,
    contract::{ADMIN_PORT, SHARED_PORT},
};

use super::meta::{self, Component};
use crate::redis::client;

/// Chat ports and the server API from anywhere, the admin port from pods of the cluster (the operator, and whatever collects metrics).
pub fn gateway(room: &ChatRoom) -> NetworkPolicy {
    let served = room.spec.served();
    let own = served.endpoints().into_iter().flat_map(|endpoint| [endpoint.port, endpoint.http_port]).flatten();
    let api = room.spec.api.as_ref().map(|api| api.port);
    let open = std::iter::once(SHARED_PORT).chain(own).chain(api).map(port).collect();
    let rules = vec![rule(open, Vec::new()), rule(vec![port(ADMIN_PORT)], vec![any_pod()])];
    let mut policy = policy(room, Component::Gateway, room.name_any(), rules);
    if let (Some(spec), Some(ways_out)) = (&mut policy.spec, ways_out(room)) {
        spec.policy_types.get_or_insert_default().push("Egress".into());
        spec.egress = Some(ways_out);
    }
    policy
}

/// What gateways may reach where they fetch something by a URL; None where they fetch nothing, and are not held back.
///
/// A policy cannot name a host, so the ports of the URLs are open to every address but those of the node's own network, where
/// clouds hand out the node's credentials.
fn ways_out(room: &ChatRoom) -> Option<Vec<NetworkPolicyEgressRule>> {
    let jwks = room.spec.auth.jwt.as_ref().and_then(|jwt| jwt.keys.jwks_url.as_deref());
    let webhook = room.spec.moderation.as_ref().and_then(|moderation| moderation.webhook.as_ref());
    let mut fetched: Vec<u16> =
        jwks.into_iter().chain(webhook.map(|webhook| webhook.url.as_str())).filter_map(port_of).collect();
    fetched.sort_unstable();
    fetched.dedup();
    if fetched.is_empty() {
        return None;
    }
    let names = way_out(vec![udp(DNS), port(DNS)], Vec::new());
    let redis = match room.spec.redis.mode() {
        RedisMode::Managed(_) => Some(way_out(vec![port(client::PORT)], vec![component(room, Component::Redis)])),
        // Its servers may announce any address and any port.
        RedisMode::External(_) => Some(NetworkPolicyEgressRule::default()),
        RedisMode::Memory => None,
    };
    let urls = way_out(fetched.into_iter().map(port).collect(), anywhere());
    Some([names].into_iter().chain(redis).chain([urls]).collect())
}

/// The port of a valid URL; None on loopback, which no policy concerns.
fn port_of(url: &str) -> Option<u16> {
    let url: Uri = url.parse().ok()?;
    let host = url.host()?;
    let loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
    (!loopback).then(|| url.port_u16().unwrap_or(usual))
}

/// Pods, and every address but the links of the nodes.
fn anywhere() -> Vec<NetworkPolicyPeer> {
    let block = |cidr: &str, except: &str| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: cidr.into(), except: Some(vec![except.into()]) }),
        ..NetworkPolicyPeer::default()
    };
    vec![any_pod(), block("0.0.0.0/0", "169.254.0.0/16"), block("::/0", "fe80::/10")]
}

fn way_out(ports: Vec<NetworkPolicyPort>, to: Vec<NetworkPolicyPeer>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { ports: Some(ports), to: (!to.is_empty()).then_some(to) }
}

/// Where name servers answer.
const DNS: u16 = 53;

fn udp(number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some("UDP".into()), ..port(number) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_url_is_the_one_that_it_names_or_its_schemes() {
        for (url, port) in [
            ("https://login.example.com/keys", Some(443)),
            ("https://login.example.com:8443/a:b/c", Some(8443)),
            ("http://filter.chat.svc/check", Some(80)),
            ("https://[2001:db8::1]/", Some(443)),
            ("https://[2001:db8::1]:444", Some(444)),
            ("http://localhost:8080/keys", None),
            ("http://127.0.0.1:8080", None),
            ("http://[::1]:8080/", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }

    /// The ports that gateways may reach, rule by rule: protocols, numbers, and to how many kinds of peers.
    fn reached(spec: &str) -> Option<Vec<(Vec<String>, usize)>> {
        let manifest =
            format!("{{apiVersion: parlor.chat/v1alpha1, kind: ChatRoom, metadata: {{name: lobby}}, spec: {spec}}}");
        let policy = gateway(&parlor_crds::load(&manifest).unwrap_or_else(|error| panic!("{spec}: {error}")));
        let spec = policy.spec.unwrap();
        let limited = spec.policy_types.unwrap().contains(&"Egress".to_owned());
        assert_eq!(limited, spec.egress.is_some(), "without the type the rules mean nothing");
        let number = |port: NetworkPolicyPort| match port.port {
            Some(IntOrString::Int(number)) => format!("{}/{number}", port.protocol.unwrap()),
            other => panic!("{other:?}"),
        };
        let rule = |rule: NetworkPolicyEgressRule| {
            (rule.ports.into_iter().flatten().map(number).collect(), rule.to.map_or(0, |to| to.len()))
        };
        Some(spec.egress?.into_iter().map(rule).collect())
    }

    #[test]
    fn gateways_that_fetch_reach_what_they_fetch_redis_and_name_servers_and_others_are_not_held_back() {
        let names = || (vec!["UDP/53".to_owned(), "TCP/53".to_owned()], 0);
        let ports = |ports: &[&str], to| (ports.iter().map(|port| (*port).to_owned()).collect::<Vec<_>>(), to);
        let jwks = "auth: {jwt: {keys: {jwksURL: 'https://login.example.com/jwks'}}}";
        let webhook = "moderation: {webhook: {url: 'http://filter.chat.svc:8080/', secretRef: {name: a, key: b}}}";
        let secret = "auth: {jwt: {keys: {secretRef: {name: a, key: b}}}}";
        for (spec, rules) in [
            ("{}".to_owned(), None),
            (format!("{{{secret}}}"), None),
            ("{auth: {jwt: {keys: {jwksURL: 'http://localhost:9000/jwks'}}}}".to_owned(), None),
            (format!("{{{jwks}}}"), Some(vec![names(), ports(&["TCP/6379"], 1), ports(&["TCP/443"], 3)])),
            (
                format!("{{{jwks}, {webhook}}}"),
                Some(vec![names(), ports(&["TCP/6379"], 1), ports(&["TCP/443", "TCP/8080"], 3)]),
            ),
            (
                format!("{{{webhook}, redis: {{external: {{seeds: ['redis.example.com:7000']}}}}}}"),
                Some(vec![names(), ports(&[], 0), ports(&["TCP/8080"], 3)]),
            ),
            (format!("{{{jwks}, replicas: 1, redis: {{memory: {{}}}}}}"), Some(vec![names(), ports(&["TCP/443"], 3)])),
        ] {
            assert_eq!(reached(&spec), rules, "{spec}");
        }
    }
}
