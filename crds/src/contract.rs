//! What operator and gateway say to each other: ports, mounted files, the admin API's bodies.
//!
//! Both crates use these names; neither imports the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Port of a gateway pod that an ingress routes to.
pub const SHARED_PORT: u16 = 8080;
/// Port of a gateway pod that serves probes, metrics, `/status` and `/drain`.
pub const ADMIN_PORT: u16 = 9100;
/// Where the reduced ChatRoom is mounted in a gateway pod.
pub const MANIFEST_PATH: &str = "/etc/parlor/chatroom.yaml";
/// Where Secrets are mounted in a gateway pod, as `<secret name>/<key>`.
pub const SECRETS_DIR: &str = "/etc/parlor/secrets";
/// Where the Secret with the server API's tokens is mounted in a gateway pod, as `<token name>`. Beside [`SECRETS_DIR`]: that
/// volume is read-only, and no other can be mounted inside it.
pub const API_TOKENS_DIR: &str = "/etc/parlor-api-tokens";
/// Generated secrets, relative to [`SECRETS_DIR`]: signs identities; every gateway of a ChatRoom shares it.
pub const SIGNING_KEY: &str = "parlor/signing-key";
/// Generated secrets, relative to [`SECRETS_DIR`]: `Authorization: Bearer <token>` for `/drain`.
pub const DRAIN_TOKEN: &str = "parlor/drain-token";
/// Generated secrets, relative to [`SECRETS_DIR`]: key of relay's tokens when the ChatRoom names none.
pub const RELAY_TOKEN_KEY: &str = "parlor/relay-token-key";
/// Generated secrets, relative to [`SECRETS_DIR`]: password of the managed or external Redis, when it has one.
pub const REDIS_PASSWORD: &str = "parlor/redis-password";
/// Secrets, relative to [`SECRETS_DIR`]: the authority of the managed Redis, when it speaks TLS.
pub const REDIS_AUTHORITY: &str = "parlor/redis-ca.crt";
/// Environment variable with the pod's name; its presence tells a gateway that it runs in a pod.
pub const POD_NAME_ENV: &str = "PARLOR_POD";

/// How long a draining gateway still takes new connections, until no endpoint sends it any.
pub const ENDPOINTS_CATCH_UP: Duration = Duration::from_secs(5);

/// Answer of a gateway's `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Pod name, or host name outside a cluster.
    pub gateway: String,
    /// Version of the gateway's binary.
    pub version: String,
    /// What `/readyz` answers.
    pub ready: bool,
    /// Open client connections.
    pub connections: u32,
    /// `limits.connectionsPerGateway` as the gateway runs with it.
    pub connections_limit: u32,
    /// Connections refused since the start because the gateway was full.
    #[serde(default)]
    pub refused: u64,
    /// Rooms with at least one member here.
    pub rooms: u32,
    /// Present while the gateway empties itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainStatus>,
    /// How the gateway sees its bus.
    pub bus: BusStatus,
    /// Why Redis refuses to write; absent while it accepts what it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalStatus>,
    /// The shards of Redis, by their lowest slot; empty while messages live in the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardStatus>,
    /// [`fingerprint`] of the generated password that new connections to Redis present; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_password: Option<String>,
}

/// Tells generated secrets apart without giving anything away: 10 hexadecimal digits of the SHA-256 of 256 random bits.
pub fn fingerprint(secret: &[u8]) -> String {
    hex(&Sha256::digest(secret)[..5])
}

/// Bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A shard of Redis as one gateway finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardStatus {
    /// `host:port` of its primary, as the gateway dials it.
    pub primary: String,
    /// Milliseconds for which reading has not shown what the primary held; 0 while it keeps up.
    pub behind_ms: u64,
    /// Whether it takes posts.
    pub writable: bool,
    /// Why not, and since when; absent while it takes posts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalStatus>,
}

impl GatewayStatus {
    /// How far the reading of its slowest shard lies behind.
    pub fn behind(&self) -> Duration {
        Duration::from_millis(self.shards.iter().map(|shard| shard.behind_ms).max().unwrap_or(0))
    }
}

/// A refusal that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalStatus {
    /// In Redis' own words, which begin with `OOM`, `MISCONF`, `NOREPLICAS`, `NOPERM`, `NOAUTH` or `WRONGPASS`; of a shard
    /// also why no answer came.
    pub reason: String,
    /// Seconds since the first refusal.
    pub seconds: u64,
}

/// Progress of a drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// Milliseconds since the Unix epoch.
    pub started_at: u64,
    /// Connections that were open when it began.
    pub initial: u32,
    /// Connections that are still open.
    pub remaining: u32,
}

/// State of a gateway's bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BusStatus {
    /// Every partition in use is read and appended to, on two copies or more.
    Replicated,
    /// The bus works, but a message is held by one copy only.
    Unreplicated,
    /// Messages live in this process.
    Memory,
    /// The gateway cannot reach its Redis.
    Unavailable,
}

/// Optional body of `POST /drain`; absent fields take the ChatRoom's `spec.drain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainRequest {
    /// Connections per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Move so many connections and stay in service. Absent: all of them, and take no new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}
