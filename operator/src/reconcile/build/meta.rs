//! Names, labels and owner references of everything that is made for a ChatRoom.
//!
//! Decides what selects what; the label values of a ChatRoom never change, so selectors may be built from them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use parlor_crds::ChatRoom;

/// Name of the ChatRoom that an object was made for.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// `gateway` or `redis`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Set on everything that the operator makes; its watches select by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const OPERATOR: &str = "parlor-operator";
/// Hash of the template that a gateway runs with.
pub const TEMPLATE: &str = "parlor.chat/template";
/// When a gateway was asked to drain, RFC 3339.
pub const DRAINING_SINCE: &str = "parlor.chat/draining-since";
/// Set to `true` on a ChatRoom: the operator leaves it and all its objects as they are.
pub const PAUSED: &str = "parlor.chat/paused";
/// Set to `true` on a gateway's pod: the operator replaces it.
pub const DRAIN: &str = "parlor.chat/drain";
/// On a ChatRoom: a new value replaces all gateways.
pub const RESTARTED_AT: &str = "parlor.chat/restarted-at";
/// On a gateway's pod: digest of the keys that it read when it started.
pub const KEYS: &str = "parlor.chat/keys";
/// On a ChatRoom: a new value gives its managed Redis a new password. On the generated Secret: the value that was acted on.
pub const ROTATE_PASSWORD: &str = "parlor.chat/rotate-password";
/// What a ReplicaSet looks at to choose among pods that are alike otherwise.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What a pod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Holds sockets.
    Gateway,
    /// Holds messages.
    Redis,
}

impl Component {
    /// Value of [`COMPONENT`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Redis => "redis",
        }
    }
}

/// Labels that select the pods of one component of the ChatRoom.
pub fn selector_labels(room: &ChatRoom, component: Component) -> BTreeMap<String, String> {
    labels(&[("app.kubernetes.io/name", "parlor"), (INSTANCE, &room.name_any()), (COMPONENT, component.name())])
}

/// Selects the pods of one component of the ChatRoom.
pub fn selector(room: &ChatRoom, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(room, component)), ..LabelSelector::default() }
}

/// The gateways' selector as `/scale` wants it.
pub fn selector_text(room: &ChatRoom) -> String {
    let pairs = selector_labels(room, Component::Gateway);
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Metadata of an object of the ChatRoom: it goes when the ChatRoom goes.
pub fn owned(room: &ChatRoom, component: Component, name: impl Into<String>) -> ObjectMeta {
    let mut labels = selector_labels(room, component);
    labels.insert(MANAGED_BY.into(), OPERATOR.into());
    ObjectMeta {
        name: Some(name.into()),
        namespace: room.namespace(),
        labels: Some(labels),
        owner_references: Some(vec![owner(room)]),
        ..ObjectMeta::default()
    }
}

/// The reference by which the garbage collector knows the ChatRoom. It does not hold up the ChatRoom's own deletion.
fn owner(room: &ChatRoom) -> OwnerReference {
    OwnerReference {
        api_version: ChatRoom::api_version(&()).into_owned(),
        kind: ChatRoom::kind(&()).into_owned(),
        name: room.name_any(),
        uid: room.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Metadata of the way in from outside: with the labels and annotations that the ChatRoom asks for.
pub fn routed(room: &ChatRoom) -> ObjectMeta {
    let mut metadata = owned(room, Component::Gateway, room.name_any());
    if let Some(route) = &room.spec.route {
        metadata.annotations = (!route.annotations.is_empty()).then(|| route.annotations.clone());
        let own = metadata.labels.take().unwrap_or_default();
        metadata.labels = Some(route.labels.clone().into_iter().chain(own).collect());
    }
    metadata
}

/// A map from pairs.
pub fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Name of the Secret with what the operator generated.
pub fn secret_name(room: &ChatRoom) -> String {
    format!("{}-keys", room.name_any())
}

/// Name of the Redis StatefulSet, its Service and its ConfigMap.
pub fn redis_name(room: &ChatRoom) -> String {
    format!("{}-redis", room.name_any())
}
