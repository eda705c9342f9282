//! Builds every object that a ChatRoom asks for, as plain data (no client).
//!
//! Decides how objects look, never how many gateways there are or when one goes. One file per Kubernetes kind.

pub mod certificates;
pub mod config_map;
mod defaults;
pub mod disruption_budget;
mod error;
pub mod http_route;
pub mod ingress;
pub mod keys;
pub mod meta;
pub mod network_policy;
pub mod pod;
pub mod replica_set;
pub mod resources;
pub mod secret;
pub mod service;
pub mod service_account;
pub mod stateful_set;

use std::collections::BTreeSet;

pub use defaults::Defaults;
pub use error::BuildError;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, StatefulSet},
        core::v1::{ConfigMap, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use parlor_crds::{ChatRoom, chatroom::RedisMode};
use serde_json::Value;

use super::{
    kind::{Kind, ObjectId},
    validate::ValidRoom,
};

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
    /// The shared port, then those of protocols, then the server API.
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
    /// Every object, named.
    pub fn ids(&self) -> BTreeSet<ObjectId> {
        let Self {
            service_account,
            secret,
            manifest,
            replica_set,
            services,
            disruption_budget,
            network_policy,
            ingress,
            http_route,
            redis,
        } = self;
        let mut ids = BTreeSet::from([
            id(Kind::ServiceAccount, &service_account.metadata),
            id(Kind::Secret, &secret.metadata),
            id(Kind::ConfigMap, &manifest.metadata),
            id(Kind::ReplicaSet, &replica_set.metadata),
            id(Kind::PodDisruptionBudget, &disruption_budget.metadata),
            id(Kind::NetworkPolicy, &network_policy.metadata),
        ]);
        ids.extend(services.iter().map(|service| id(Kind::Service, &service.metadata)));
        ids.extend(ingress.iter().map(|ingress| id(Kind::Ingress, &ingress.metadata)));
        let route_name = |route: &Value| route["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        ids.extend(http_route.iter().map(|route| ObjectId::new(Kind::HttpRoute, route_name(route))));
        ids.extend(redis.iter().flat_map(RedisObjects::ids));
        ids
    }
}

impl RedisObjects {
    fn ids(&self) -> [ObjectId; 5] {
        let Self { config_map, service, stateful_set, disruption_budget, network_policy } = self;
        [
            id(Kind::ConfigMap, &config_map.metadata),
            id(Kind::Service, &service.metadata),
            id(Kind::StatefulSet, &stateful_set.metadata),
            id(Kind::PodDisruptionBudget, &disruption_budget.metadata),
            id(Kind::NetworkPolicy, &network_policy.metadata),
        ]
    }
}

fn id(kind: Kind, metadata: &ObjectMeta) -> ObjectId {
    ObjectId::new(kind, metadata.name.clone().unwrap_or_default())
}

impl Objects {
    /// Brings in what was decided by what is seen: Redis pods that are still needed although fewer are wanted, and the turn of
    /// the password.
    pub fn adjust_redis(&mut self, servers: usize, turn: Option<secret::Turn>) {
        if let Some(redis) = &mut self.redis {
            redis.stateful_set.spec.replicas = i32::try_from(servers).ok();
        }
        if let Some(turn) = turn {
            secret::turn(&mut self.secret, turn);
        }
    }
}

/// Builds everything for the ChatRoom. `secret` is the generated Secret as it exists; `fresh` are random keys for what it lacks;
/// `named` are digests of the Secrets that gateways read once.
pub fn build(
    room: ValidRoom<'_>,
    defaults: &Defaults,
    secret: Option<&Secret>,
    fresh: &secret::Fresh,
    named: &keys::Digests,
) -> Result<Objects, BuildError> {
    let room: &ChatRoom = &room;
    let secret = secret::secret(room, secret, fresh);
    let keys = keys::digest_of_all(&secret, named);
    let manifest = config_map::gateway(room)?;
    let config = manifest.metadata.name.clone().unwrap_or_default();
    Ok(Objects {
        service_account: service_account::service_account(room),
        secret,
        replica_set: replica_set::replica_set(room, defaults, &config, &keys)?,
        manifest,
        services: [vec![service::shared(room)], service::protocols(room), service::api(room).into_iter().collect()]
            .concat(),
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
        stateful_set: stateful_set::redis(room, managed, defaults.fixed_users),
        disruption_budget: disruption_budget::redis(room),
        network_policy: network_policy::redis(room, &defaults.namespace),
    })
}
