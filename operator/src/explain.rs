//! `explain`: why a ChatRoom has as many gateways as it has, and what it is waiting for.
//!
//! Sees what a pass would see, decides what it would decide, and says it; writes nothing.

use crate::args::RoomName;
use crate::context::Context;
use crate::gateways::Gateways;
use crate::memory::{Memories, RoomKey};
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::reconcile::apply::Applied;
use crate::reconcile::build::{self, BuildError, Defaults};
use crate::reconcile::decide::{self, size};
use crate::reconcile::observed::{self, Observed};
use crate::reconcile::{conditions, observe};
use crate::stores::Stores;
use futures::StreamExt;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, ResourceExt};
use parlor_crds::ChatRoom;
use std::fmt::Write;
use std::sync::Arc;

/// The reason why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The API server, or the ChatRoom in it.
    #[error("read the chatroom: {0}")]
    Read(#[from] kube::Error),
    /// Its objects.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A watch ended before its first list.
    #[error("the watches ended")]
    Watch,
    /// Text could not be put together.
    #[error("write the answer: {0}")]
    Write(#[from] std::fmt::Error),
}

/// Explains the ChatRoom in a few lines.
pub async fn explain(client: Client, gateway_image: String, name: RoomName) -> Result<String, ExplainError> {
    let room = Api::<ChatRoom>::namespaced(client.clone(), &name.namespace).get(&name.name).await?;
    let (stores, changes) = Stores::watch(&client, Some(&name.namespace)).await?;
    let (nodes, watch_nodes) = Nodes::watch(&client);
    let reporter = Reporter { controller: "parlor-operator-explain".into(), instance: None };
    let ctx = Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        gateways: Gateways::default(),
        stores,
        nodes,
        memories: Arc::new(Memories::default()),
        defaults: Defaults { gateway_image, namespace: String::new() },
        metrics: Metrics::default(),
    };
    tokio::select! {
        said = say(&ctx, &room) => said,
        () = watch_nodes => Err(ExplainError::Watch),
        () = changes.for_each(|_| std::future::ready(())) => Err(ExplainError::Watch),
    }
}

async fn say(ctx: &Context, room: &ChatRoom) -> Result<String, ExplainError> {
    ctx.stores.ready().await.map_err(|_| ExplainError::Watch)?;
    let key: RoomKey = (room.namespace().unwrap_or_default(), room.name_any());
    let observed = observe::observe(ctx, room, &key).await?;
    let objects = build::build(room, &ctx.defaults, observed.secret.as_ref(), &observed.fresh)?;
    let plan = decide::decide(room, &objects, &observed);
    let applied = Applied { plan, observed, deeds: Vec::new(), failures: Vec::new(), setbacks: Vec::new() };
    Ok(text(room, &applied)?)
}

/// The explanation, from data alone.
pub fn text(room: &ChatRoom, applied: &Applied) -> Result<String, std::fmt::Error> {
    let Applied { plan, observed, .. } = applied;
    let mut out = String::new();
    let because = size::explain(&room.spec, &plan.size, observed.connections());
    writeln!(out, "{} gateways wanted: {because}", plan.size.wanted)?;
    if let Some(said) = room.status.as_ref().and_then(|status| status.scaling.as_ref()) {
        writeln!(out, "last decision: {} ({})", said.wanted, said.reason)?;
    }
    gateways(&mut out, observed)?;
    for (name, size) in &plan.fleet.sizes {
        writeln!(out, "ReplicaSet {name}: {size} gateways, counting those that are being emptied")?;
    }
    for claim in conditions::claims(room, applied) {
        writeln!(out, "{}: {:?}, {}: {}", claim.kind, claim.truth, claim.reason, claim.message)?;
    }
    Ok(out)
}

fn gateways(out: &mut String, observed: &Observed) -> std::fmt::Result {
    for pod in observed.living() {
        let report = observed.reports.get(&pod.name_any());
        let ready = if observed::is_ready(pod) { "ready" } else { "not ready" };
        let connections =
            report.map_or("does not report".into(), |report| format!("{} connections", report.connections));
        let since = observed::draining_since(pod).map_or(String::new(), |since| format!(", draining since {since}"));
        let trouble = observed::trouble(pod).map_or(String::new(), |trouble| format!(", {trouble}"));
        writeln!(out, "gateway {}: {ready}, {connections}{since}{trouble}", pod.name_any())?;
    }
    Ok(())
}
