//! The ChatRoom resource: what a person writes (`spec`) and what the operator answers (`status`).
//!
//! Decides names, defaults and rules; every rule that the schema can hold is here, so that the API server and
//! `parlor-gateway` refuse the same manifests. Never reads a cluster.

#![allow(unreachable_pub, reason = "the KubeSchema derive puts a pub copy of each struct into a function")]

mod api;
mod auth;
mod fleet;
mod limits;
mod moderation;
mod page;
mod period;
mod protocols;
mod redis;
mod redis_template;
mod route;
mod status;
mod strings;
mod view;

pub use api::{Api, SecretName};
pub use auth::{Auth, Jwt, JwtClaims, JwtKeys};
pub use fleet::{Scaling, Size, Template};
use kube::{CustomResource, KubeSchema};
pub use limits::{Drain, History, Limits, SlowConsumer};
pub use moderation::{Moderation, OnFailure, Webhook, WordList};
pub use page::{OpenId, Page};
pub use period::{Millis, Period, PeriodError};
pub use protocols::{Endpoint, Match, Multiperson, Native, OnlyOne, Protocols, Relay};
pub use redis::{ExternalRedis, ManagedRedis, ManagedTls, MemoryRedis, Redis, RedisMode, RedisTls, Storage};
pub use redis_template::RedisTemplate;
pub use route::{GatewayRef, Route, Service, ServiceType, SharedService, TrafficPolicy};
use serde::{Deserialize, Serialize};
pub use status::{ChatRoomStatus, ScalingGrounds, ScalingStatus};
pub use strings::{ConfigMapKey, SecretKey, SecretSource, StringMap};

/// A chat service: its protocols, limits, fleet of gateways and Redis.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "parlor.chat",
    version = "v1alpha1",
    kind = "ChatRoom",
    plural = "chatrooms",
    singular = "chatroom",
    shortname = "croom",
    category = "chat",
    namespaced,
    status = "ChatRoomStatus",
    derive = "PartialEq",
    doc = "A chat service: its protocols, limits, fleet of gateways and Redis.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Gateways", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Connections", type_ = "integer", json_path = ".status.connections"),
    printcolumn(name = "Redis", type_ = "string", json_path = ".status.conditions[?(@.type==\"RedisReady\")].reason"),
    printcolumn(name = "Route", type_ = "string", json_path = ".status.conditions[?(@.type==\"RouteReady\")].reason"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40")
        .message("metadata.name must be at most 40 characters, because names of Services are made from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be lower case letters, digits and '-', and start with a letter")
)]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.scaling))")
        .message("spec.replicas and spec.scaling exclude each other: remove one"),
    validation = Rule::new("!has(self.redis.memory) || (has(self.replicas) && self.replicas == 1)")
        .message("spec.replicas must be 1 with spec.redis.memory: gateways share nothing then"),
    validation = Rule::new("!has(self.scaling) || !has(self.scaling.connectionsPerGateway) || self.scaling.connectionsPerGateway <= self.limits.connectionsPerGateway")
        .message("spec.scaling.connectionsPerGateway must not be above spec.limits.connectionsPerGateway"),
    validation = Rule::new("self.drain.rate * duration(self.drain.deadline).getSeconds() >= self.limits.connectionsPerGateway")
        .message("spec.drain.rate times spec.drain.deadline must empty a full gateway: at least spec.limits.connectionsPerGateway"),
    validation = Rule::new("self.auth.anonymous || has(self.protocols)")
        .message("spec.protocols must name the protocols with spec.auth.anonymous false: clients of match and multiperson have no credential"),
    validation = Rule::new("self.auth.anonymous || !has(self.protocols) || !has(self.protocols.match)")
        .message("spec.protocols.match must be absent with spec.auth.anonymous false: its clients have no credential"),
    validation = Rule::new("self.auth.anonymous || !has(self.protocols) || !has(self.protocols.multiperson)")
        .message("spec.protocols.multiperson must be absent with spec.auth.anonymous false: its clients have no credential"),
    validation = Rule::new("self.auth.anonymous || !has(self.protocols) || !has(self.protocols.onlyone) || has(self.protocols.onlyone.token)")
        .message("spec.protocols.onlyone must have a token with spec.auth.anonymous false: its clients have no other credential"),
    validation = Rule::new("self.auth.anonymous || !has(self.protocols) || !has(self.protocols.relay) || !has(self.protocols.relay.issueTokens) || !self.protocols.relay.issueTokens")
        .message("spec.protocols.relay.issueTokens must not be true with spec.auth.anonymous false: everyone would get a token"),
    validation = Rule::new("!has(self.auth.jwt) || !has(self.protocols) || has(self.protocols.native)")
        .message("spec.auth.jwt needs spec.protocols.native: no other protocol takes these tokens"),
    validation = Rule::new("!has(self.page) || !has(self.page.openid) || has(self.auth.jwt)")
        .message("spec.page.openid needs spec.auth.jwt: gateways take no token of the provider without it")
)]
#[schemars(transform = api::keep_port_apart)]
#[serde(rename_all = "camelCase")]
pub struct ChatRoomSpec {
    /// The protocols to serve. Default: all of them, on their default paths of the shared port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Protocols>,
    /// What is kept of each room.
    #[serde(default)]
    pub history: History,
    /// Limits of each gateway and connection.
    #[serde(default)]
    pub limits: Limits,
    /// Who may use the ChatRoom.
    #[serde(default)]
    pub auth: Auth,
    /// The API for other servers. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// What messages may say. Default: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Moderation>,
    /// The web page that gateways serve on the shared port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// Fixed number of gateways, set by you, `kubectl scale` or a HorizontalPodAutoscaler. Excludes `scaling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
    /// Scaling by connections per gateway. Default, without `replicas`: 2 to 10 gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// How the connections of a gateway are moved elsewhere before it is removed.
    #[serde(default)]
    pub drain: Drain,
    /// Where messages are kept: exactly one of `managed`, `external` and `memory`. The choice cannot be changed.
    #[serde(default)]
    pub redis: Redis,
    /// How clients reach the shared port from outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The Services of the protocols' own ports.
    #[serde(default)]
    pub service: Service,
    /// Template of gateway pods.
    #[serde(default)]
    pub template: Template,
    /// Drains all gateways and keeps Redis.
    #[serde(default)]
    pub suspend: bool,
}

impl ChatRoomSpec {
    /// The protocols to serve, with all of them when none were named.
    pub fn served(&self) -> Protocols {
        self.protocols.clone().unwrap_or_else(Protocols::all)
    }

    /// How many gateways there are to be.
    pub fn size(&self) -> Size {
        match (self.replicas, &self.scaling) {
            (Some(n), _) => Size::Fixed(n),
            (None, scaling) => Size::Scaled(scaling.clone().unwrap_or_default()),
        }
    }

    /// Connections per gateway that scaling aims at: as written, else two thirds of the limit.
    pub fn target_connections(&self) -> u32 {
        let limit = self.limits.connections_per_gateway;
        self.scaling.as_ref().and_then(|s| s.connections_per_gateway).unwrap_or((limit / 3 * 2).max(1))
    }

    /// Whether relay's `/tk` hands out tokens.
    pub fn relay_issues_tokens(&self, relay: &Relay) -> bool {
        relay.issue_tokens.unwrap_or(self.auth.anonymous)
    }
}
