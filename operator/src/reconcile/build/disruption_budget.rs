//! PodDisruptionBudgets: a node drain takes one pod of a component at a time.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;
use parlor_crds::ChatRoom;

use super::meta::{self, Component};

/// One gateway at a time; gateways that are not ready, such as draining ones, may always go.
pub fn gateway(room: &ChatRoom) -> PodDisruptionBudget {
    budget(room, Component::Gateway, room.name_any(), "AlwaysAllow")
}

/// One Redis server at a time, and none while another is not ready.
pub fn redis(room: &ChatRoom) -> PodDisruptionBudget {
    budget(room, Component::Redis, meta::redis_name(room), "IfHealthyBudget")
}

fn budget(room: &ChatRoom, component: Component, name: String, unhealthy: &str) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::owned(room, component, name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(meta::selector(room, component)),
            unhealthy_pod_eviction_policy: Some(unhealthy.into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
