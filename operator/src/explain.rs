//! `explain`: why a ChatRoom has as many gateways as it has, and what it is waiting for.
//!
//! Sees what a pass would see, decides what it would decide, and says it; writes nothing.

use std::{fmt::Write, sync::Arc};

use futures::StreamExt;
use kube::{Api, Client, ResourceExt};
use parlor_crds::{ChatRoom, ManifestError};

use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    context::Context,
    events::Events,
    gateways::Gateways,
    metrics::Metrics,
    nodes::Nodes,
    reconcile::{
        apply::Applied,
        build::{self, BuildError, Defaults},
        conditions,
        decide::{self, size},
        observe,
        observed::{self, Observed},
        pass_cache::PassCaches,
        recall,
        validate::ValidRoom,
    },
    stores::Stores,
};

/// The reason why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The API server, or the ChatRoom in it.
    #[error("failed to read the ChatRoom: {0}")]
    Read(#[from] ApiError),
    /// It breaks its own rules.
    #[error("the ChatRoom is invalid, so the operator does nothing for it: {0}")]
    Invalid(#[from] Box<ManifestError>),
    /// Its objects.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A watch ended before its first list.
    #[error("failed to read what exists: the watches ended")]
    Watch,
    /// Text could not be put together.
    #[error("failed to write the answer: {0}")]
    Write(#[from] std::fmt::Error),
}

/// Explains the ChatRoom in a few lines.
pub async fn explain(client: Client, defaults: Defaults, name: ChatRoomName) -> Result<String, ExplainError> {
    let api = Api::<ChatRoom>::namespaced(client.clone(), &name.namespace);
    let room = api.get(&name.name).await.map_err(ApiError::from)?;
    let metrics = Metrics::default();
    let (stores, changes) = Stores::watch(&client, Some(&name.namespace), &metrics);
    let (nodes, watch_nodes) = Nodes::watch(&client, false);
    let ctx = Context {
        events: Events::new(client.clone(), None),
        client,
        gateways: Gateways::default(),
        stores,
        nodes,
        caches: Arc::new(PassCaches::default()),
        defaults,
        metrics,
    };
    tokio::select! {
        said = say(&ctx, &room, &name) => said,
        () = watch_nodes => Err(ExplainError::Watch),
        () = changes.for_each(|_| std::future::ready(())) => Err(ExplainError::Watch),
    }
}

async fn say(ctx: &Context, room: &ChatRoom, name: &ChatRoomName) -> Result<String, ExplainError> {
    ctx.stores.ready().await.map_err(|_| ExplainError::Watch)?;
    let valid = ValidRoom::check(room)?;
    let mut observed = observe::observe(ctx, valid, name).await?;
    recall::recall(&ctx.caches, name, &room.spec, &mut observed);
    let objects = build::build(valid, &ctx.defaults, observed.secret.as_ref(), &observed.fresh, &observed.named_keys)?;
    let plan = decide::decide(valid, &objects, &observed);
    Ok(text(room, &Applied::nothing(plan, observed))?)
}

/// The explanation, from data alone.
pub fn text(room: &ChatRoom, applied: &Applied) -> Result<String, std::fmt::Error> {
    let Applied { plan, observed, .. } = applied;
    let mut out = String::new();
    let because = size::explain(&room.spec, &plan.size);
    writeln!(out, "{} gateways wanted: {because}", plan.size.wanted)?;
    if let Some(said) = room.status.as_ref().and_then(|status| status.scaling.as_ref()) {
        writeln!(out, "last decision: {} ({})", said.wanted, said.reason)?;
    }
    gateways(&mut out, observed)?;
    for (name, size) in &plan.fleet.sizes {
        writeln!(out, "ReplicaSet {name}: {size} gateways, counting those that drain")?;
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
        let trouble = observed.trouble(pod).map_or(String::new(), |trouble| format!(", {trouble}"));
        writeln!(out, "gateway {}: {ready}, {connections}{since}{trouble}", pod.name_any())?;
    }
    Ok(())
}
