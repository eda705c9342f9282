//! Where a ChatRoom keeps its messages.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    redis_template::RedisTemplate,
    strings::{self, SecretKey, SecretSource},
};

/// Exactly one of the three.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.managed), has(self.external), has(self.memory)].filter(x, x).size() == 1")
        .message("spec.redis must name exactly one of managed, external and memory"),
    validation = Rule::new("has(self.managed) == has(oldSelf.managed) && has(self.external) == has(oldSelf.external)")
        .message("spec.redis cannot be changed to another kind: messages would be left behind; make a new ChatRoom")
)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// A Redis Cluster that the operator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedRedis>,
    /// An existing Redis, 7.0 or later, as a cluster or a single server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRedis>,
    /// No Redis: messages are kept in the memory of the only gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryRedis>,
}

impl Default for Redis {
    fn default() -> Self {
        Self { managed: Some(ManagedRedis::default()), external: None, memory: None }
    }
}

/// The one that was named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RedisMode<'a> {
    Managed(&'a ManagedRedis),
    External(&'a ExternalRedis),
    Memory,
}

impl Redis {
    /// The one that was named. A manifest that was checked names exactly one; otherwise the first of them counts.
    pub fn mode(&self) -> RedisMode<'_> {
        let Self { managed, external, memory: _ } = self;
        match (managed, external) {
            (Some(managed), _) => RedisMode::Managed(managed),
            (None, Some(external)) => RedisMode::External(external),
            (None, None) => RedisMode::Memory,
        }
    }
}

/// A Redis Cluster that the operator runs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.storage) == has(oldSelf.storage)")
        .message("spec.redis.managed.storage cannot be added or removed: make a new ChatRoom"),
    validation = Rule::new("has(self.tls) == has(oldSelf.tls)")
        .message("spec.redis.managed.tls cannot be added or removed: servers with and without TLS make no cluster; make a new ChatRoom")
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedRedis {
    /// Number of primaries. When it changes, messages move while gateways serve.
    #[serde(default = "shards")]
    #[schemars(range(min = 3, max = 64))]
    pub shards: u32,
    /// Replicas of each primary. With 0, every message has one copy only.
    #[serde(default = "replicas_per_shard")]
    #[schemars(range(min = 0, max = 3))]
    pub replicas_per_shard: u32,
    /// Image with `redis-server` 7.0 or later in its PATH.
    #[serde(default = "image")]
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Resources of each Redis pod. Messages may take 70 % of its memory limit; without a limit the request is the limit,
    /// and without both 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// A volume for each Redis pod. Default: none; messages are lost when all pods of a shard are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Present: clients and servers speak TLS with each other. It cannot be added or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ManagedTls>,
    /// Template of the Redis pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<RedisTemplate>,
}

fn shards() -> u32 {
    3
}

fn replicas_per_shard() -> u32 {
    1
}

fn image() -> String {
    "redis:7.4".into()
}

impl Default for ManagedRedis {
    fn default() -> Self {
        Self {
            shards: shards(),
            replicas_per_shard: replicas_per_shard(),
            image: image(),
            resources: None,
            storage: None,
            tls: None,
            template: None,
        }
    }
}

/// Certificates of a managed Redis.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.secretName) == has(oldSelf.secretName) && (!has(self.secretName) || self.secretName == oldSelf.secretName)")
        .message("spec.redis.managed.tls.secretName cannot be changed: servers with certificates of two authorities make no cluster; change what is in the Secret")
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedTls {
    /// Secret with `tls.crt`, `tls.key` and `ca.crt`, in the ChatRoom's namespace. The certificate must be valid for
    /// `NAME-redis.NAMESPACE`. Default: certificates of an authority that the operator makes, renewed before their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub secret_name: Option<String>,
}

/// A volume for each Redis pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)")
        .message("spec.redis.managed.storage.className cannot be changed: make a new ChatRoom")
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each volume. It may grow, if the StorageClass allows that.
    #[serde(default = "storage_size")]
    #[schemars(length(max = 16), regex(pattern = "^[1-9][0-9]*(Mi|Gi|Ti)$"))]
    #[x_kube(validation = Rule::new("!quantity(self).isLessThan(quantity(oldSelf))")
        .message("spec.redis.managed.storage.size cannot shrink"))]
    pub size: String,
    /// StorageClass of the volumes. Default: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "strings::object_name")]
    pub class_name: Option<String>,
}

fn storage_size() -> String {
    "1Gi".into()
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: storage_size(), class_name: None }
    }
}

/// An existing Redis that Parlor uses and does not manage.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.keyPrefix) == has(oldSelf.keyPrefix) && (!has(self.keyPrefix) || self.keyPrefix == oldSelf.keyPrefix)")
        .message("spec.redis.external.keyPrefix cannot be changed: messages would be left behind; make a new ChatRoom")
)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// Some of its servers as `host:port`; the others are found through them.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 3, max = 260), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[0-9]{1,5}$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub seeds: Vec<String>,
    /// Connects with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// The Redis user. Default: the user `default`. It needs the rights to read, write, run scripts and publish for the keys
    /// and channels below `keyPrefix`, and the commands `INFO`, `CLUSTER` and `WAIT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^\\S+$"))]
    pub username: Option<String>,
    /// Password of the Redis user. Read again for every new connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKey>,
    /// Prefix of every key. Default: namespace and name of the ChatRoom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[^{}\\s]+$"))]
    pub key_prefix: Option<String>,
}

/// TLS settings of an external Redis.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisTls {
    /// Root certificates in PEM. Default: the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretSource>,
}

/// Has no settings.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRedis {}
