//! Ingress: one rule a host, everything to the shared port, and no vendor's annotations.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use kube::ResourceExt;
use parlor_crds::{ChatRoom, contract::SHARED_PORT};

use super::meta;

/// The Ingress, if the ChatRoom asks for one.
pub fn ingress(room: &ChatRoom) -> Option<Ingress> {
    let route = room.spec.route.as_ref()?;
    let class = route.ingress_class_name.as_ref()?;
    let hosts = super::http_route::hosts(room);
    let tls = |secret: &String| IngressTLS { hosts: Some(hosts.clone()), secret_name: Some(secret.clone()) };
    Some(Ingress {
        metadata: meta::routed(room),
        spec: Some(IngressSpec {
            ingress_class_name: Some(class.clone()),
            rules: Some(hosts.iter().map(|host| rule(room, host)).collect()),
            tls: route.tls_secret_name.as_ref().map(|secret| vec![tls(secret)]),
            default_backend: None,
        }),
        status: None,
    })
}

fn rule(room: &ChatRoom, host: &str) -> IngressRule {
    let number = Some(i32::from(SHARED_PORT));
    let service =
        IngressServiceBackend { name: room.name_any(), port: Some(ServiceBackendPort { number, name: None }) };
    IngressRule {
        host: Some(host.to_owned()),
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some("/".into()),
                path_type: "Prefix".into(),
                backend: IngressBackend { service: Some(service), resource: None },
            }],
        }),
    }
}
