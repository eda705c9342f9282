//! Limits of gateways: history, connections, messages, admission, and drain.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{period::Period, strings};

/// What is kept of each room.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Number of messages kept per room. Somewhat more may be kept.
    #[serde(default = "history_messages")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub messages: u32,
    /// Maximum age of a message, 1s to 8760h. Older messages are deleted even if `messages` is not reached.
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

/// Limits of each gateway and connection.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Maximum open connections per gateway. Above it, upgrades are answered with 503 and Retry-After.
    #[serde(default = "connections_per_gateway")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_gateway: u32,
    /// Maximum message payload in bytes. A larger message closes the connection with code 1009.
    #[serde(default = "message_bytes")]
    #[schemars(range(min = 128, max = 1_048_576))]
    pub message_bytes: u32,
    /// Messages per second and connection, with bursts of twice that.
    #[serde(default = "messages_per_second")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_second: u32,
    /// Maximum rooms with members per gateway.
    #[serde(default = "rooms")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub rooms: u32,
    /// New rooms per minute that one connection may open. A room is new while it has neither members nor messages. A gateway
    /// as a whole opens 100 times as many.
    #[serde(default = "new_rooms_per_minute", skip_serializing_if = "is_usual_new_rooms")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub new_rooms_per_minute: u32,
    /// Maximum rooms that one connection may be in.
    #[serde(default = "rooms_per_connection")]
    #[schemars(range(min = 1, max = 10_000))]
    pub rooms_per_connection: u32,
    /// Connections of one client address to one gateway; above it upgrades get 429. An IPv6 network of 64 bits counts as
    /// one address. Absent: 100 for public addresses, and no limit for private and loopback addresses, because proxies use
    /// those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address: Option<u32>,
    /// Number of trusted proxies in front of the gateways. The client's address is the entry of `X-Forwarded-For` that the
    /// outermost of them added. 0: the header is ignored, and the address of the connection counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 8))]
    pub trusted_proxies: u8,
    /// Networks of load balancers, as `10.0.0.0/8`, that begin every connection with a PROXY protocol header of version 2.
    /// The client's address is the one in it. A connection from these networks without a header is dropped. From
    /// other addresses no header is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "strings::networks")]
    pub proxy_protocol_from: Vec<String>,
    /// What happens to a connection that does not read as fast as its rooms are written.
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

fn new_rooms_per_minute() -> u32 {
    60
}

/// As [`is_zero`].
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_new_rooms(number: &u32) -> bool {
    *number == new_rooms_per_minute()
}

fn rooms_per_connection() -> u32 {
    100
}

/// Left out where it says nothing, so that what gateways are given stays as it was before there was such a field.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_gateway: connections_per_gateway(),
            message_bytes: message_bytes(),
            messages_per_second: messages_per_second(),
            rooms: rooms(),
            new_rooms_per_minute: new_rooms_per_minute(),
            rooms_per_connection: rooms_per_connection(),
            connections_per_address: None,
            trusted_proxies: 0,
            proxy_protocol_from: Vec::new(),
            slow_consumer: SlowConsumer::default(),
        }
    }
}

/// What happens to a connection that does not read as fast as its rooms are written.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlowConsumer {
    /// The connection is closed with code 1013. The client can reconnect and resume.
    #[default]
    Disconnect,
    /// The connection continues at the newest message and receives a gap.
    SkipToLatest,
}

/// How the connections of a gateway are moved elsewhere before it is removed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Connections per second that each draining gateway asks to reconnect.
    #[serde(default = "drain_rate")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rate: u32,
    /// Maximum duration of a drain, 1s to 1h. After it, the remaining connections are closed.
    #[serde(default = "drain_deadline")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("spec.drain.deadline must be 1s to 1h"))]
    pub deadline: Period,
    /// Maximum share of the gateways that drain at the same time, in percent. One gateway may always drain.
    #[serde(default = "drain_at_once", skip_serializing_if = "is_usual_share")]
    #[schemars(range(min = 1, max = 100))]
    pub at_once: u32,
    /// After gateways were added, moves connections to them until all gateways hold about the same number, within 10 % of each
    /// other. Clients that resume are asked first, `rate` per second and gateway, by at most the share `atOnce` at a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebalance: bool,
}

fn drain_rate() -> u32 {
    200
}

fn drain_deadline() -> Period {
    Period::from_secs(600)
}

fn drain_at_once() -> u32 {
    25
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_share(share: &u32) -> bool {
    *share == drain_at_once()
}

impl Drain {
    /// What a gateway itself needs to know of it.
    pub(super) fn of_a_gateway(self) -> Self {
        let Self { rate, deadline, at_once: _, rebalance: _ } = self;
        Self { rate, deadline, ..Self::default() }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { rate: drain_rate(), deadline: drain_deadline(), at_once: drain_at_once(), rebalance: false }
    }
}
