//! HTTPRoute of the Gateway API: every host of the ChatRoom to the shared port, without a request timeout.
//!
//! A plain JSON object: the API is not part of Kubernetes, and a crate of its types would bring a second copy of those.

use kube::ResourceExt;
use parlor_crds::{ChatRoom, contract::SHARED_PORT};
use serde_json::{Value, json};

use super::meta;
use crate::reconcile::kind::Kind;

/// The HTTPRoute, if the ChatRoom asks for one. A WebSocket is one long request, so its timeout is off.
pub fn http_route(room: &ChatRoom) -> Option<Value> {
    let gateway = room.spec.route.as_ref()?.gateway.as_ref()?;
    let mut parent = json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway.name });
    if let Some(namespace) = &gateway.namespace {
        parent["namespace"] = json!(namespace);
    }
    let backend = json!({ "group": "", "kind": "Service", "name": room.name_any(), "port": SHARED_PORT, "weight": 1 });
    let resource = Kind::HttpRoute.resource();
    Some(json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": meta::routed(room),
        "spec": {
            "parentRefs": [parent],
            "hostnames": hosts(room),
            "rules": [{
                "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                "backendRefs": [backend],
                "timeouts": { "request": "0s" },
            }],
        },
    }))
}

/// Every host that clients may use: the ChatRoom's, then those of single protocols.
pub fn hosts(room: &ChatRoom) -> Vec<String> {
    let served = room.spec.served();
    let own = room.spec.route.iter().flat_map(|route| &route.hosts);
    let mut hosts: Vec<String> = Vec::new();
    for host in own.chain(served.endpoints().iter().flat_map(|endpoint| endpoint.hosts)) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}
