//! What the operator counts about itself and its ChatRooms, in the Prometheus text format.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::chat_room_name::ChatRoomName;

/// The result of a pass, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// `ok`, `apply` when an object could not be applied, or the step that failed.
    pub result: &'static str,
}

/// A ChatRoom, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Room {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A condition of a ChatRoom, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RoomCondition {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Type of the condition.
    pub condition: String,
}

/// A watched kind, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Watched {
    /// Its name.
    pub kind: &'static str,
}

/// Types of conditions that a ChatRoom can have.
pub const CONDITIONS: [&str; 7] =
    ["Ready", "Progressing", "GatewaysAvailable", "RedisReady", "RouteReady", "ScalingActive", "Paused"];

/// The operator's metrics; clones count together.
#[derive(Clone)]
pub struct Metrics {
    /// Passes by result.
    pub passes: Family<Outcome, Counter>,
    /// Seconds that a pass took.
    pub seconds: Histogram,
    /// Whether this process leads.
    pub leading: Gauge,
    /// Watches that failed, by kind.
    pub watch_errors: Family<Watched, Counter>,
    /// Gateways wanted, by ChatRoom.
    pub wanted: Family<Room, Gauge>,
    /// Gateways ready, by ChatRoom.
    pub ready: Family<Room, Gauge>,
    /// Gateways that drain, by ChatRoom.
    pub draining: Family<Room, Gauge>,
    /// Open connections, by ChatRoom.
    pub connections: Family<Room, Gauge>,
    /// Redis servers that answer, by ChatRoom.
    pub redis_servers: Family<Room, Gauge>,
    /// Share of its memory bound that the fullest primary of Redis uses, by ChatRoom.
    pub redis_memory: Family<Room, Gauge<f64, AtomicU64>>,
    /// Conditions, by ChatRoom and type.
    pub conditions: Family<RoomCondition, Gauge>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("parlor_operator");
        // From a pass over an unchanged ChatRoom to the longest that is allowed.
        let seconds = Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0]);
        let (passes, leading, watch_errors) = (Family::default(), Gauge::default(), Family::default());
        let (wanted, ready, draining, connections) =
            (Family::default(), Family::default(), Family::default(), Family::default());
        let (redis_servers, redis_memory, conditions) = (Family::default(), Family::default(), Family::default());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", build);
        registry.register("passes", "Reconcile passes by result", passes.clone());
        registry.register("pass_seconds", "Duration of a reconcile pass", seconds.clone());
        registry.register("leading", "1 while this process holds the lease", leading.clone());
        registry.register("watch_errors", "Failed watches by kind; each is started again", watch_errors.clone());
        registry.register("gateways_wanted", "Wanted gateways by ChatRoom", wanted.clone());
        registry.register("gateways_ready", "Ready gateways by ChatRoom", ready.clone());
        registry.register("gateways_draining", "Draining gateways by ChatRoom", draining.clone());
        registry.register("connections", "Open connections by ChatRoom, as gateways report them", connections.clone());
        registry.register(
            "redis_servers_answering",
            "Servers of the managed Redis Cluster that answer, by ChatRoom",
            redis_servers.clone(),
        );
        registry.register(
            "redis_memory_ratio",
            "Share of maxmemory that the fullest primary of the managed Redis Cluster uses, by ChatRoom",
            redis_memory.clone(),
        );
        registry.register(
            "condition",
            "Conditions by ChatRoom: 1 for True, 0 for False, -1 for Unknown",
            conditions.clone(),
        );
        Self {
            passes,
            seconds,
            leading,
            watch_errors,
            wanted,
            ready,
            draining,
            connections,
            redis_servers,
            redis_memory,
            conditions,
            registry: Arc::new(registry),
        }
    }
}

impl Metrics {
    /// All metrics as text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Notes a condition of a ChatRoom by its status, or that it has none.
    pub fn condition(&self, name: &ChatRoomName, kind: &str, status: Option<&str>) {
        let label = condition(name, kind);
        let value = match status {
            None => {
                self.conditions.remove(&label);
                return;
            }
            Some("True") => 1,
            Some("False") => 0,
            Some(_) => -1,
        };
        self.conditions.get_or_create(&label).set(value);
    }

    /// Forgets a ChatRoom that is gone.
    pub fn forget(&self, name: &ChatRoomName) {
        let label = room(name);
        for gauge in [&self.wanted, &self.ready, &self.draining, &self.connections, &self.redis_servers] {
            gauge.remove(&label);
        }
        self.redis_memory.remove(&label);
        for kind in CONDITIONS {
            self.conditions.remove(&condition(name, kind));
        }
    }
}

/// The labels of a ChatRoom.
pub fn room(name: &ChatRoomName) -> Room {
    Room { namespace: name.namespace.clone(), name: name.name.clone() }
}

fn condition(name: &ChatRoomName, kind: &str) -> RoomCondition {
    let ChatRoomName { namespace, name } = name.clone();
    RoomCondition { namespace, name, condition: kind.to_owned() }
}
