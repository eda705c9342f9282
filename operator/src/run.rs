//! Wires the operator together and owns its tasks.
//!
//! Everything that runs is joined here: whatever ends unexpectedly ends the process, and its successor begins with what the
//! API server holds.

use std::{io::IsTerminal, sync::Arc};

use futures::future::{self, BoxFuture, FutureExt};
use kube::Client;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    api_error::ApiError,
    args::{LogFormat, OperatorSettings},
    chat_room_name::ChatRoomName,
    context::Context,
    controller,
    events::Events,
    explain::{self, ExplainError},
    gateways::Gateways,
    leader::{self, LeaderError},
    metrics::Metrics,
    nodes::{self, Nodes},
    probes::{self, Health},
    reconcile::{build::Defaults, pass_cache::PassCaches},
    resource::{self, ResourceError},
    signals::Signals,
    stores::Stores,
};

/// The reason why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No configuration, or no connection to the API server.
    #[error("failed to connect to the API server: {0}")]
    Connect(#[source] ApiError),
    /// The ChatRoom resource is not installed, or too old.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The port of the probes.
    #[error("failed to serve the probes: {0}")]
    Probes(#[source] std::io::Error),
    /// The lease is gone.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// A controller ended without being asked to.
    #[error("the controller ended unexpectedly")]
    ControllerEnded,
}

/// Logging and cryptography, once per process.
pub fn prepare_process(format: Option<LogFormat>) {
    let filter = EnvFilter::try_from_env("PARLOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let default = if in_pod && !is_terminal { LogFormat::Json } else { LogFormat::Text };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr);
    match format.unwrap_or(default) {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
    // Another part of the process may have installed it already; then theirs serves as well.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
}

/// Runs until the process is asked to stop, or until something that must not end ends.
pub async fn run(settings: OperatorSettings, signals: Signals) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let told = async {
        signals.received().await;
        tracing::info!("received a signal: stopping");
        stop.cancel();
        future::pending::<()>().await;
    };
    let work = async {
        let client = tokio::select! {
            client = Client::try_default() => client.map_err(|error| RunError::Connect(error.into()))?,
            () = stop.cancelled() => return Ok(()),
        };
        operate(client, settings, stop.clone()).await
    };
    tokio::select! {
        result = work => result,
        () = told => Ok(()),
    }
}

/// Explains a ChatRoom of the cluster that the environment names.
pub async fn explain(settings: OperatorSettings, room: ChatRoomName) -> Result<String, ExplainError> {
    let client = Client::try_default().await.map_err(ApiError::from)?;
    explain::explain(client, settings.defaults(), room).await
}

/// Runs as a leader with its probes until `stop`.
pub async fn operate(client: Client, settings: OperatorSettings, stop: CancellationToken) -> Result<(), RunError> {
    let defaults = settings.defaults();
    let OperatorSettings { watch_namespaces, listen, lease_namespace, .. } = settings;
    let (metrics, health) = (Metrics::default(), Health::default());
    let server = probes::serve(listen, metrics.clone(), health.clone()).await.map_err(RunError::Probes)?;
    let lead = async {
        let begin = async {
            resource::check(&client, watch_namespaces.first().map(String::as_str)).await?;
            let name = leader::lease_name(&watch_namespaces);
            let leads_all = watch_namespaces.is_empty();
            let elsewhere = leads_all.then(|| leader::Elsewhere::new(client.clone(), &lease_namespace));
            Ok(leader::Lease::wait(client.clone(), &lease_namespace, name, elsewhere, &health).await)
        };
        // A process that is to stop before it leads has nothing to finish.
        let mut lease = tokio::select! {
            lease = begin => lease.map_err(RunError::Resource)?,
            () = stop.cancelled() => return Ok(()),
        };
        metrics.leading.set(1);
        let controllers = controllers(&client, &watch_namespaces, defaults, &metrics, &health, &stop);
        let result = tokio::select! {
            () = controllers => if stop.is_cancelled() { Ok(()) } else { Err(RunError::ControllerEnded) },
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

/// One controller for each namespace to watch, or one for all. Ends when the first of them ends, and when asked to stop, when
/// all have.
async fn controllers(
    client: &Client,
    namespaces: &[String],
    defaults: Defaults,
    metrics: &Metrics,
    health: &Health,
    stop: &CancellationToken,
) {
    let scopes: Vec<Option<String>> = match namespaces {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let caches = Arc::new(PassCaches::default());
    let events = Events::new(client.clone(), std::env::var("POD_NAME").ok());
    let (nodes, watch_nodes) = Nodes::watch(client, namespaces.is_empty());
    if !namespaces.is_empty() {
        tracing::info!("only some namespaces are watched, and nodes are in none: {}", nodes::UNKNOWN);
    }
    let mut running: Vec<BoxFuture<'static, ()>> = Vec::new();
    for scope in scopes {
        health.beat(&scope);
        let (stores, changes) = Stores::watch(client, scope.as_deref(), metrics);
        let ctx = Context {
            client: client.clone(),
            gateways: Gateways::default(),
            stores,
            nodes: nodes.clone(),
            caches: caches.clone(),
            defaults: defaults.clone(),
            events: events.clone(),
            metrics: metrics.clone(),
        };
        running.push(controller::run(ctx, scope, changes, health.clone(), stop.clone()).boxed());
    }
    let ended = async {
        let ((), _, others) = future::select_all(running).await;
        if stop.is_cancelled() {
            future::join_all(others).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = watch_nodes => {}
    }
}
