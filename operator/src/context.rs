//! What every pass shares: clients, stores, caches, settings.

use std::sync::Arc;

use kube::Client;

use crate::{
    events::Events,
    gateways::Gateways,
    metrics::Metrics,
    nodes::Nodes,
    reconcile::{build::Defaults, pass_cache::PassCaches},
    stores::Stores,
};

/// Shared by all passes of one scope, which is a namespace or the cluster.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The gateways' admin ports.
    pub gateways: Gateways,
    /// What exists.
    pub stores: Stores,
    /// Where pods run.
    pub nodes: Nodes,
    /// What earlier passes keep for later ones.
    pub caches: Arc<PassCaches>,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// Says what happened.
    pub events: Events,
    /// Counts what happened.
    pub metrics: Metrics,
}
