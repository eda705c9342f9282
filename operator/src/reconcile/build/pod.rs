//! What pods of gateways and of Redis have in common: restricted security and spreading over nodes.

use k8s_openapi::api::core::v1::{
    Capabilities, EnvVar, EnvVarSource, ObjectFieldSelector, PodSecurityContext, SeccompProfile, SecurityContext,
    TopologySpreadConstraint,
};
use parlor_crds::ChatRoom;

use super::meta::{self, Component};

/// Security of a pod whose processes and files belong to `user`, or to whom the cluster chooses.
pub fn pod_security(user: Option<i64>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// What was asked for; what that leaves out is as in [`pod_security`].
pub fn or_restricted(wanted: Option<PodSecurityContext>, user: Option<i64>) -> PodSecurityContext {
    let (wanted, own) = (wanted.unwrap_or_default(), pod_security(user));
    PodSecurityContext {
        run_as_non_root: wanted.run_as_non_root.or(own.run_as_non_root),
        run_as_user: wanted.run_as_user.or(own.run_as_user),
        run_as_group: wanted.run_as_group.or(own.run_as_group),
        fs_group: wanted.fs_group.or(own.fs_group),
        seccomp_profile: wanted.seccomp_profile.clone().or(own.seccomp_profile),
        ..wanted
    }
}

/// A list that was given.
pub fn present<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// Security of a container that writes to its volumes alone.
pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        ..SecurityContext::default()
    }
}

/// Pods spread over zones and over nodes, as far as there are any.
pub fn spread(room: &ChatRoom, component: Component) -> Vec<TopologySpreadConstraint> {
    let over = |key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(meta::selector(room, component)),
        ..TopologySpreadConstraint::default()
    };
    vec![over("topology.kubernetes.io/zone"), over("kubernetes.io/hostname")]
}

/// An environment variable with a fact about the pod.
pub fn env_from_pod(name: &str, field: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector { field_path: field.into(), api_version: None };
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() }),
        ..EnvVar::default()
    }
}
