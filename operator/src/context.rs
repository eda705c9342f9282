//! What every pass shares: clients, stores, memories, settings.

use crate::gateways::Gateways;
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::reconcile::build::Defaults;
use crate::stores::Stores;
use kube::Client;
use kube::runtime::events::Recorder;
use std::sync::Arc;

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
    /// What was remembered.
    pub memories: Arc<Memories>,
    /// What the operator was started with.
    pub defaults: Defaults,
    /// Says what happened.
    pub recorder: Recorder,
    /// Counts what happened.
    pub metrics: Metrics,
}
