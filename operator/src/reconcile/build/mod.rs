//! Builds every object that a ChatRoom asks for, as plain data (no client).
//!
//! Decides how objects look, never how many gateways there are or when one goes. One file per Kubernetes kind.

pub mod config_map;
pub mod disruption_budget;
pub mod http_route;
pub mod ingress;
pub mod meta;
pub mod network_policy;
pub mod pod;
pub mod replica_set;
pub mod resources;
pub mod secret;
pub mod service;
pub mod service_account;
pub mod stateful_set;

use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parlor_crds::ChatRoom;
use parlor_crds::chatroom::RedisMode;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the operator was started with and objects depend on.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of gateways whose ChatRoom names none.
    pub gateway_image: String,
    /// Namespace of the operators, the only one from which they reach a managed Redis.
    pub namespace: String,
}

/// The reason why an object could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The ChatRoom as gateways read it.
    #[error("write the gateways' manifest: {0}")]
    Manifest(serde_yaml::Error),
    /// The gateways' pod template.
    #[error("hash the gateways' template: {0}")]
    Template(serde_json::Error),
}

/// Everything that is to exist for a ChatRoom.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// Identity of all pods.
    pub service_account: ServiceAccount,
    /// Generated keys.
    pub secret: Secret,
    /// The ChatRoom as gateways read it.
    pub manifest: ConfigMap,
    /// The gateways' present template.
    pub replica_set: ReplicaSet,
    /// The shared port, then those of protocols.
    pub services: Vec<Service>,
    /// Of the gateways.
    pub disruption_budget: PodDisruptionBudget,
    /// Of the gateways.
    pub network_policy: NetworkPolicy,
    /// The way in, by Ingress.
    pub ingress: Option<Ingress>,
    /// The way in, by Gateway API.
    pub http_route: Option<Value>,
    /// The managed Redis Cluster.
    pub redis: Option<RedisObjects>,
}

/// Everything that makes a managed Redis Cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisObjects {
    /// Configuration.
    pub config_map: ConfigMap,
    /// Names of the servers.
    pub service: Service,
    /// The servers.
    pub stateful_set: StatefulSet,
    /// One at a time.
    pub disruption_budget: PodDisruptionBudget,
    /// Who may connect.
    pub network_policy: NetworkPolicy,
}

impl Objects {
    /// `Kind/name` of every object that `Observed::others` may hold.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut add = |kind: &str, metadata: &ObjectMeta| {
            names.insert(format!("{kind}/{}", metadata.name.as_deref().unwrap_or_default()));
        };
        add("ServiceAccount", &self.service_account.metadata);
        add("ConfigMap", &self.manifest.metadata);
        self.services.iter().for_each(|service| add("Service", &service.metadata));
        add("PodDisruptionBudget", &self.disruption_budget.metadata);
        add("NetworkPolicy", &self.network_policy.metadata);
        self.ingress.iter().for_each(|ingress| add("Ingress", &ingress.metadata));
        if let Some(route) = &self.http_route {
            let name = route["metadata"]["name"].as_str().unwrap_or_default();
            add("HTTPRoute", &ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() });
        }
        if let Some(redis) = &self.redis {
            add("ConfigMap", &redis.config_map.metadata);
            add("Service", &redis.service.metadata);
            add("PodDisruptionBudget", &redis.disruption_budget.metadata);
            add("NetworkPolicy", &redis.network_policy.metadata);
        }
        names
    }
}

/// Builds everything for the ChatRoom. `secret` is the generated Secret as it exists; `fresh` are random keys for what it lacks.
pub fn build(
    room: &ChatRoom,
    defaults: &Defaults,
    secret: Option<&Secret>,
    fresh: &secret::Fresh,
) -> Result<Objects, BuildError> {
    let manifest = config_map::gateway(room)?;
    let config = manifest.metadata.name.clone().unwrap_or_default();
    Ok(Objects {
        service_account: service_account::service_account(room),
        secret: secret::secret(room, secret, fresh),
        replica_set: replica_set::replica_set(room, defaults, &config)?,
        manifest,
        services: std::iter::once(service::shared(room)).chain(service::protocols(room)).collect(),
        disruption_budget: disruption_budget::gateway(room),
        network_policy: network_policy::gateway(room),
        ingress: ingress::ingress(room),
        http_route: http_route::http_route(room),
        redis: redis(room, defaults),
    })
}

fn redis(room: &ChatRoom, defaults: &Defaults) -> Option<RedisObjects> {
    let RedisMode::Managed(managed) = room.spec.redis.mode() else { return None };
    Some(RedisObjects {
        config_map: config_map::redis(room, managed),
        service: service::redis(room),
        stateful_set: stateful_set::redis(room, managed),
        disruption_budget: disruption_budget::redis(room),
        network_policy: network_policy::redis(room, &defaults.namespace),
    })
}
