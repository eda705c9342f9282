//! What the operator counts about itself, in the Prometheus text format.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The result of a pass, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    /// `ok`, or the step that failed.
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

/// The operator's metrics; clones count together.
#[derive(Clone)]
pub struct Metrics {
    /// Passes by result.
    pub passes: Family<Outcome, Counter>,
    /// Seconds that a pass took.
    pub seconds: Histogram,
    /// Whether this process leads.
    pub leading: Gauge,
    /// Gateways wanted, by ChatRoom.
    pub wanted: Family<Room, Gauge>,
    /// Gateways ready, by ChatRoom.
    pub ready: Family<Room, Gauge>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("parlor_operator");
        // From a pass over an unchanged ChatRoom to one that waits for every deadline.
        let seconds = Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]);
        let (passes, leading) = (Family::default(), Gauge::default());
        let (wanted, ready) = (Family::default(), Family::default());
        registry.register("passes", "Passes over a ChatRoom by result", passes.clone());
        registry.register("pass_seconds", "Time that a pass took", seconds.clone());
        registry.register("leading", "1 while this process holds the lease", leading.clone());
        registry.register("gateways_wanted", "Gateways wanted by ChatRoom", wanted.clone());
        registry.register("gateways_ready", "Gateways ready by ChatRoom", ready.clone());
        Self { passes, seconds, leading, wanted, ready, registry: Arc::new(registry) }
    }
}

impl Metrics {
    /// All metrics as text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Forgets a ChatRoom that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let room = Room { namespace: namespace.to_owned(), name: name.to_owned() };
        self.wanted.remove(&room);
        self.ready.remove(&room);
    }
}
