//! The kinds of objects that the operator makes, in one table.
//!
//! Decides how a kind is called and where its API is. Everything that goes over kinds goes over [`Kind::ALL`].

use std::{fmt, str::FromStr};

use k8s_openapi::api::{
    apps::v1::{ReplicaSet, StatefulSet},
    core::v1::{ConfigMap, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;

/// A kind of object that the operator makes.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ConfigMap,
    HttpRoute,
    Ingress,
    NetworkPolicy,
    PodDisruptionBudget,
    ReplicaSet,
    Secret,
    Service,
    ServiceAccount,
    StatefulSet,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::ConfigMap,
        Self::HttpRoute,
        Self::Ingress,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::ReplicaSet,
        Self::Secret,
        Self::Service,
        Self::ServiceAccount,
        Self::StatefulSet,
    ];

    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::HttpRoute => "HTTPRoute",
            Self::Ingress => "Ingress",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::ReplicaSet => "ReplicaSet",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Where its objects are read and written.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::HttpRoute => {
                ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"))
            }
            Self::Ingress => ApiResource::erase::<Ingress>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::ReplicaSet => ApiResource::erase::<ReplicaSet>(&()),
            Self::Secret => ApiResource::erase::<Secret>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        }
    }

    /// Whether an object of this kind goes as soon as its ChatRoom does not ask for it. ReplicaSets go when they are
    /// drained; the Secret and the StatefulSet hold what cannot be made again, and go with the ChatRoom only.
    pub fn goes_when_not_asked_for(self) -> bool {
        match self {
            Self::ReplicaSet | Self::Secret | Self::StatefulSet => false,
            Self::ConfigMap
            | Self::HttpRoute
            | Self::Ingress
            | Self::NetworkPolicy
            | Self::PodDisruptionBudget
            | Self::Service
            | Self::ServiceAccount => true,
        }
    }
}

/// Names one object of a ChatRoom's namespace; `Kind/name` in text.
#[derive(Clone, Hash, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// The object of that kind and name.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ObjectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').ok_or_else(|| format!("{text:?} is not KIND/NAME"))?;
        let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
        known.map(|kind| Self::new(kind, name)).ok_or_else(|| format!("{kind:?} is not a kind that the operator makes"))
    }
}

impl TryFrom<String> for ObjectId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_and_reads_back_from_its_name() {
        for kind in Kind::ALL {
            let id = ObjectId::new(kind, "lobby");
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(kind.resource().kind, kind.name());
        }
        assert!("Pod/lobby".parse::<ObjectId>().is_err());
    }
}
