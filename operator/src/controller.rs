//! Calls a pass for each ChatRoom that changed or is due, a few at a time.
//!
//! Decides when passes happen and what follows a failed one; never what a pass does.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use kube::{
    Api,
    runtime::{
        Controller,
        controller::{self, Action, Config},
        reflector::Store,
        watcher,
    },
};
use rand::Rng;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    chat_room_name::ChatRoomName,
    context::Context,
    deadlines::PASS,
    metrics::{Outcome, Watched},
    probes::Health,
    reconcile::{self, PassError, Passed, pass_cache::backoff},
    stores::{Changes, Guarded},
};

/// ChatRooms worked on at the same time: a pass mostly waits for others, and a stuck one must not hold up the rest.
const CONCURRENCY: u16 = 16;
/// Changes that come together are worked on together.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How often what is kept for deleted ChatRooms is dropped.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Works on the ChatRooms of `scope` until asked to stop.
pub async fn run(ctx: Context, scope: Option<String>, changes: Changes, health: Health, stop: CancellationToken) {
    let rooms: Api<Guarded> = match &scope {
        Some(namespace) => Api::namespaced(ctx.client.clone(), namespace),
        None => Api::all(ctx.client.clone()),
    };
    let controller = Controller::new(rooms, watcher::Config::default());
    let store = controller.store();
    let ctx = Arc::new(ctx);
    // Set while the watch of ChatRooms fails: then an empty store does not mean that there is nothing to do.
    let is_blind = Arc::new(AtomicBool::new(false));
    let tidy = tidy(ctx.clone(), scope.clone(), store, health.clone(), is_blind.clone());
    let watch_errors = ctx.metrics.watch_errors.get_or_create_owned(&Watched { kind: "ChatRoom" });
    let passes = controller
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .reconcile_on(changes)
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(pass, after_failure, ctx)
        .for_each(|ended| {
            match ended {
                Ok(_) | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {
                    is_blind.store(false, Ordering::Relaxed);
                    health.beat(&scope);
                }
                // No heartbeat: an operator that cannot see its ChatRooms is not at work.
                Err(controller::Error::QueueError(error)) => {
                    is_blind.store(true, Ordering::Relaxed);
                    watch_errors.inc();
                    tracing::warn!(kind = "ChatRoom", %error, "failed to watch; trying again");
                }
                Err(controller::Error::RunnerError(error)) => tracing::warn!(%error, "failed to run the controller"),
            }
            std::future::ready(())
        });
    tokio::select! {
        () = passes => {}
        () = tidy => {}
    }
}

async fn pass(room: Arc<Guarded>, ctx: Arc<Context>) -> Result<Action, PassError> {
    let started = Instant::now();
    let name = ChatRoomName::of(room.as_ref());
    let span = tracing::info_span!("pass", namespace = name.namespace, chatroom = name.name);
    let result = match &room.0 {
        Ok(room) => {
            let pass = bounded_pass(&ctx, room, &name).instrument(span);
            tokio::time::timeout(PASS, pass).await.unwrap_or(Err(PassError::Stuck))
        }
        Err(invalid) => Err(PassError::Unreadable(invalid.error.to_string())),
    };
    let outcome = match &result {
        Ok(passed) => {
            if passed.incomplete {
                "apply"
            } else {
                "ok"
            }
        }
        Err(error) => error.step(),
    };
    ctx.metrics.passes.get_or_create(&Outcome { result: outcome }).inc();
    ctx.metrics.seconds.observe(started.elapsed().as_secs_f64());
    result.map(|passed| {
        ctx.caches.with(&name, |cache| cache.failures = 0);
        Action::requeue(jittered(passed.due))
    })
}

async fn bounded_pass(ctx: &Context, room: &parlor_crds::ChatRoom, name: &ChatRoomName) -> Result<Passed, PassError> {
    // Absence in a store means absence only once its first list is complete.
    ctx.stores.ready().await.map_err(|_| PassError::Ending)?;
    reconcile::pass(ctx, room, name).await
}

/// Waits longer after each failure in a row.
fn after_failure(room: Arc<Guarded>, error: &PassError, ctx: Arc<Context>) -> Action {
    let name = ChatRoomName::of(room.as_ref());
    let failures = ctx.caches.with(&name, |cache| {
        cache.failures = cache.failures.saturating_add(1);
        cache.failures
    });
    tracing::warn!(namespace = name.namespace, chatroom = name.name, failures, %error, "failed to reconcile a ChatRoom");
    Action::requeue(jittered(backoff(failures)))
}

/// A fifth more or less, so that ChatRooms that began together do not stay together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..1.2))
}

async fn tidy(
    ctx: Arc<Context>,
    scope: Option<String>,
    rooms: Store<Guarded>,
    health: Health,
    is_blind: Arc<AtomicBool>,
) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        let existing: BTreeSet<ChatRoomName> =
            rooms.state().iter().map(|room| ChatRoomName::of(room.as_ref())).collect();
        if existing.is_empty() && !is_blind.load(Ordering::Relaxed) {
            health.beat(&scope);
        }
        for name in ctx.caches.keep(scope.as_deref(), &existing) {
            ctx.metrics.forget(&name);
        }
    }
}
