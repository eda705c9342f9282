//! Calls a pass for each ChatRoom that changed or is due, a few at a time.
//!
//! Decides when passes happen and what follows a failed one; never what a pass does.

use crate::context::Context;
use crate::memory::RoomKey;
use crate::metrics::Outcome;
use crate::probes::Health;
use crate::reconcile::{self, PassError};
use crate::stores::{Changes, Guarded};
use futures::StreamExt;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::Store;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt};
use rand::Rng;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// ChatRooms worked on at the same time: a pass mostly waits for others, and a stuck one must not hold up the rest.
const CONCURRENCY: u16 = 16;
/// Changes that come together are worked on together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Longest pass: every single exchange has a shorter deadline, so one that takes longer is stuck.
const LONGEST_PASS: Duration = Duration::from_secs(120);
/// Longest pause after failures in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often memories of deleted ChatRooms are dropped.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Works on the ChatRooms of `scope` until told to stop.
pub async fn run(ctx: Context, scope: Option<String>, changes: Changes, health: Health, stop: CancellationToken) {
    let rooms: Api<Guarded> = match &scope {
        Some(namespace) => Api::namespaced(ctx.client.clone(), namespace),
        None => Api::all(ctx.client.clone()),
    };
    let controller = Controller::new(rooms, watcher::Config::default());
    let store = controller.store();
    let ctx = Arc::new(ctx);
    let tidy = tidy(ctx.clone(), scope, store, health.clone());
    let passes = controller
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(changes)
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(pass, after_failure, ctx)
        .for_each(|_| {
            health.beat();
            std::future::ready(())
        });
    tokio::select! {
        () = passes => {}
        () = tidy => {}
    }
}

async fn pass(room: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, PassError> {
    let started = Instant::now();
    let result = match &room.0 {
        Ok(room) => tokio::time::timeout(LONGEST_PASS, bounded_pass(&ctx, room)).await.unwrap_or(Err(PassError::Stuck)),
        Err(invalid) => Err(PassError::Unreadable(invalid.error.to_string())),
    };
    let outcome = Outcome { result: result.as_ref().map_or_else(PassError::step, |_| "ok") };
    ctx.metrics.passes.get_or_create(&outcome).inc();
    ctx.metrics.seconds.observe(started.elapsed().as_secs_f64());
    result.map(|due| {
        ctx.memories.with(&key(&room), |memory| memory.failures = 0);
        Action::requeue(jittered(due))
    })
}

async fn bounded_pass(ctx: &Context, room: &parlor_crds::ChatRoom) -> Result<Duration, PassError> {
    // Absence in a store means absence only once its first list is complete.
    ctx.stores.ready().await.map_err(|_| PassError::Stuck)?;
    reconcile::pass(ctx, room).await
}

/// Waits longer after each failure in a row.
fn after_failure(room: Arc<Guarded>, error: &PassError, ctx: Arc<Context>) -> Action {
    let failures = ctx.memories.with(&key(&room), |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    tracing::warn!(room = %room.name_any(), namespace = ?room.namespace(), failures, %error, "a pass failed");
    let pause = Duration::from_secs(1) * 2_u32.pow(failures.min(7) - 1);
    Action::requeue(jittered(pause.min(LONGEST_PAUSE)))
}

fn key(room: &Guarded) -> RoomKey {
    (room.namespace().unwrap_or_default(), room.name_any())
}

/// A fifth more or less, so that ChatRooms that began together do not stay together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}

async fn tidy(ctx: Arc<Context>, scope: Option<String>, rooms: Store<Guarded>, health: Health) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        let existing: BTreeSet<RoomKey> = rooms.state().iter().map(|room| key(room)).collect();
        if existing.is_empty() {
            health.beat();
        }
        for (namespace, name) in ctx.memories.keep(scope.as_deref(), &existing) {
            ctx.metrics.forget(&namespace, &name);
        }
    }
}
