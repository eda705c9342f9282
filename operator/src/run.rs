//! Wires the operator together and owns its tasks.
//!
//! Everything that runs is joined here: whatever ends unexpectedly ends the process, and its successor begins with what the
//! API server holds.

use crate::args::{RoomName, Settings};
use crate::context::Context;
use crate::controller;
use crate::explain::{self, ExplainError};
use crate::gateways::Gateways;
use crate::leader::{self, LeaderError};
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::probes::{self, Health};
use crate::reconcile::build::Defaults;
use crate::stores::{Changes, Stores};
use futures::future;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use std::io::IsTerminal;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The reason why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No configuration, or no connection to the API server.
    #[error("connect to the api server: {0}")]
    Connect(kube::Error),
    /// The first look at the API server failed.
    #[error("begin to watch: {0}")]
    Watch(kube::Error),
    /// The port of the probes.
    #[error("serve the probes: {0}")]
    Probes(std::io::Error),
    /// The lease is gone.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// The process cannot be told to stop.
    #[error("listen for signals: {0}")]
    Signals(std::io::Error),
    /// A controller ended without being told.
    #[error("the controller ended unexpectedly")]
    ControllerEnded,
}

/// Logging and cryptography, once per process.
pub fn prepare_process() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    // Another part of the process may have installed it already; then theirs serves as well.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
}

/// Runs until the process is told to stop, or until something that must not end ends.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let client = Client::try_default().await.map_err(RunError::Connect)?;
    let signal = stop_signal().map_err(RunError::Signals)?;
    let stop = CancellationToken::new();
    let told = async {
        signal.await;
        tracing::info!("told to stop");
        stop.cancel();
        future::pending::<()>().await;
    };
    tokio::select! {
        result = operate(client, settings, stop.clone()) => result,
        () = told => Ok(()),
    }
}

/// Explains a ChatRoom of the cluster that the environment names.
pub async fn explain(settings: Settings, room: RoomName) -> Result<String, ExplainError> {
    explain::explain(Client::try_default().await?, settings.gateway_image, room).await
}

/// Runs as a leader with its probes until `stop`.
pub async fn operate(client: Client, settings: Settings, stop: CancellationToken) -> Result<(), RunError> {
    let Settings { watch_namespaces, gateway_image, listen, lease_namespace } = settings;
    let (metrics, health) = (Metrics::default(), Health::default());
    let server = probes::serve(listen, metrics.clone(), health.clone()).await.map_err(RunError::Probes)?;
    let lead = async {
        // Whoever is told to stop before it leads has nothing to finish.
        let lease = tokio::select! {
            lease = leader::Lease::wait(client.clone(), &lease_namespace, &health) => lease?,
            () = stop.cancelled() => return Ok(()),
        };
        metrics.leading.set(1);
        health.leads();
        let defaults = Defaults { gateway_image, namespace: lease_namespace.clone() };
        let controllers = controllers(&client, &watch_namespaces, defaults, &metrics, &health, &stop).await?;
        let result = tokio::select! {
            _ = controllers => if stop.is_cancelled() { Ok(()) } else { Err(RunError::ControllerEnded) },
            lost = lease.lost() => Err(RunError::Leader(lost)),
        };
        lease.release().await;
        result
    };
    tokio::select! {
        result = lead => result,
        result = server => result.map_err(RunError::Probes),
    }
}

fn stop_signal() -> Result<impl Future<Output = ()>, std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One controller for each namespace to watch, or one for all.
async fn controllers(
    client: &Client,
    namespaces: &[String],
    defaults: Defaults,
    metrics: &Metrics,
    health: &Health,
    stop: &CancellationToken,
) -> Result<impl Future<Output = Vec<()>>, RunError> {
    let scopes: Vec<Option<String>> = match namespaces {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let reporter = Reporter { controller: "parlor-operator".into(), instance: std::env::var("POD_NAME").ok() };
    let recorder = Recorder::new(client.clone(), reporter);
    let memories = Arc::new(Memories::default());
    let (nodes, watch_nodes) = Nodes::watch(client);
    let mut running = Vec::new();
    for scope in scopes {
        let (stores, changes): (Stores, Changes) =
            Stores::watch(client, scope.as_deref()).await.map_err(RunError::Watch)?;
        let ctx = Context {
            client: client.clone(),
            gateways: Gateways::default(),
            stores,
            nodes: nodes.clone(),
            memories: memories.clone(),
            defaults: defaults.clone(),
            recorder: recorder.clone(),
            metrics: metrics.clone(),
        };
        running.push(controller::run(ctx, scope, changes, health.clone(), stop.clone()));
    }
    let running = future::join_all(running);
    Ok(async move {
        tokio::select! {
            ended = running => ended,
            () = watch_nodes => Vec::new(),
        }
    })
}
