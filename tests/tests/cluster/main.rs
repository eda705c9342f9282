//! From `kubectl apply` to people chatting, on a real cluster, driven from outside: kubectl, helm, the ingress.
//!
//! Each test sets up what it needs; they take turns, because they share the node and the operator, and say what they
//! are doing. None depends on the order.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chatting;
mod deleting;
mod hosts;
mod lobby;
mod losing;
mod mistakes;
mod plugin;
mod ready;
mod scaling;
mod turn;

use std::{fs, net::SocketAddr, time::Duration};

use parlor_tests::{cluster::INGRESS, programs::repository};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How long a ChatRoom with a managed Redis Cluster may take from `kubectl apply` to Ready, images being there.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A manifest of `crds/examples`, as it is.
fn example(name: &str) -> String {
    fs::read_to_string(repository().join("crds/examples").join(name)).unwrap()
}

/// URL of a path on a host of the ingress.
fn url(host: &str, path: &str) -> String {
    format!("ws://{host}:8000{path}")
}

fn ingress() -> SocketAddr {
    INGRESS.parse().unwrap()
}
