//! The cluster's nodes: which zone each is in, which are being drained, and which are silent.
//!
//! One watch for the whole operator. An operator that has rights in some namespaces alone may not see nodes: then zones and
//! drains are unknown, and Redis is spread over host names. Decides nothing.

use futures::{FutureExt, StreamExt, future::BoxFuture};
use k8s_openapi::api::core::v1::{Node, NodeStatus};
use kube::{
    Api, Client, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{
            ObjectRef,
            store::{Store, Writer},
        },
        watcher,
    },
};

use crate::redis::roles::Location;

/// The label that names a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What follows from not seeing nodes.
pub const UNKNOWN: &str = "primaries of Redis are spread over nodes but not over zones, and hand over when their pod is told to end, \
                       not when their node is drained";

/// What is known of the nodes.
#[derive(Clone)]
pub struct Nodes(Store<Node>);

impl Nodes {
    /// Begins to watch, if `permitted`; the future never ends, and the store fills only while it is polled.
    pub fn watch(client: &Client, permitted: bool) -> (Self, BoxFuture<'static, ()>) {
        let writer = Writer::<Node>::default();
        let nodes = Self(writer.as_reader());
        if !permitted {
            return (nodes, std::future::pending().boxed());
        }
        let mut is_refused = false;
        let watch = watcher(Api::all(client.clone()), watcher::Config::default())
            .default_backoff()
            .modify(shorten)
            .reflect(writer)
            .for_each(move |event| {
                match event {
                    Ok(watcher::Event::InitDone) => is_refused = false,
                    Ok(_) => {}
                    // Said once: who gave no such right knows it.
                    Err(error) if is_forbidden(&error) => {
                        if !std::mem::replace(&mut is_refused, true) {
                            tracing::warn!(%error, "not allowed to watch nodes: {UNKNOWN}");
                        }
                    }
                    Err(error) => tracing::warn!(%error, "failed to watch nodes; trying again"),
                }
                std::future::ready(())
            });
        (nodes, watch.boxed())
    }

    /// Where the pods of a node run.
    pub fn place(&self, host: &str) -> Location {
        let zone = self.get(host).and_then(|node| node.labels().get(ZONE).cloned());
        Location { host: host.to_owned(), zone: zone.unwrap_or_default() }
    }

    /// Whether pods may no longer go to the node, as when it is drained.
    pub fn is_cordoned(&self, host: &str) -> bool {
        self.get(host).and_then(|node| node.spec.as_ref()?.unschedulable).unwrap_or(false)
    }

    /// Whether the node is known to be silent: it is gone, or its kubelet has stopped to report. Unknown where nodes are not seen.
    pub fn is_silent(&self, host: &str) -> bool {
        let is_ready = |node: &Node| {
            let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|condition| condition.status == "True")
        };
        !self.0.is_empty() && self.get(host).is_none_or(|node| !is_ready(&node))
    }

    fn get(&self, host: &str) -> Option<std::sync::Arc<Node>> {
        self.0.get(&ObjectRef::new(host))
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 403,
        watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}

/// Keeps of a node what is asked for: large clusters have thousands, each with kilobytes of status.
fn shorten(node: &mut Node) {
    if let Some(status) = &mut node.status {
        let mut conditions = status.conditions.take().unwrap_or_default();
        conditions.retain(|condition| condition.type_ == "Ready");
        *status = NodeStatus { conditions: Some(conditions), ..NodeStatus::default() };
    }
    node.managed_fields_mut().clear();
    node.annotations_mut().clear();
}
