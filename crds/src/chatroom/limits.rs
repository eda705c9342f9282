//! What gateways accept, keep and let in, and how they are emptied.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::period::Period;

/// What is kept of each room: at least `messages` of them, none older than `age`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Messages kept per room.
    #[serde(default = "history_messages")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub messages: u32,
    /// Age at which a message goes, whatever the number; at most 8760h.
    #[serde(default = "history_age")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('8760h')")
        .message("spec.history.age must be 1s to 8760h"))]
    pub age: Period,
}

fn history_messages() -> u32 {
    1000
}

fn history_age() -> Period {
    Period::from_secs(24 * 3600)
}

impl Default for History {
    fn default() -> Self {
        Self { messages: history_messages(), age: history_age() }
    }
}

/// What a gateway accepts.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Open connections; above it a gateway answers 503 with Retry-After and stays ready.
    #[serde(default = "connections_per_gateway")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_gateway: u32,
    /// Payload of a whole message in bytes; one more closes with 1009.
    #[serde(default = "message_bytes")]
    #[schemars(range(min = 128, max = 1_048_576))]
    pub message_bytes: u32,
    /// Messages a second and connection, with bursts of twice that.
    #[serde(default = "messages_per_second")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_second: u32,
    /// Rooms with members on one gateway.
    #[serde(default = "rooms")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rooms: u32,
    /// Rooms that one connection has joined.
    #[serde(default = "rooms_per_connection")]
    #[schemars(range(min = 1, max = 10_000))]
    pub rooms_per_connection: u32,
    /// What happens to a connection that cannot keep up.
    #[serde(default)]
    pub slow_consumer: SlowConsumer,
}

fn connections_per_gateway() -> u32 {
    15_000
}

fn message_bytes() -> u32 {
    10_240
}

fn messages_per_second() -> u32 {
    20
}

fn rooms() -> u32 {
    100_000
}

fn rooms_per_connection() -> u32 {
    100
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_gateway: connections_per_gateway(),
            message_bytes: message_bytes(),
            messages_per_second: messages_per_second(),
            rooms: rooms(),
            rooms_per_connection: rooms_per_connection(),
            slow_consumer: SlowConsumer::default(),
        }
    }
}

/// What happens to a connection that falls out of a room's log.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlowConsumer {
    /// Closed with 1013; the client resumes.
    #[default]
    Disconnect,
    /// Moved to the newest message, and told of the gap.
    SkipToLatest,
}

/// Who may come in.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// People choose a name and get an identity. False: only identities that were signed before.
    #[serde(default = "anonymous")]
    pub anonymous: bool,
}

fn anonymous() -> bool {
    true
}

impl Default for Auth {
    fn default() -> Self {
        Self { anonymous: anonymous() }
    }
}

/// How a gateway is emptied before it goes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Connections a second that each draining gateway asks to reconnect.
    #[serde(default = "drain_rate")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate: u32,
    /// When a draining gateway ends, however many connections are left; at most 1h.
    #[serde(default = "drain_deadline")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("spec.drain.deadline must be 1s to 1h"))]
    pub deadline: Period,
}

fn drain_rate() -> u32 {
    200
}

fn drain_deadline() -> Period {
    Period::from_secs(600)
}

impl Default for Drain {
    fn default() -> Self {
        Self { rate: drain_rate(), deadline: drain_deadline() }
    }
}
