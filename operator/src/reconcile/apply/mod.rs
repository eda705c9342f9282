//! Carries a plan out (client required).
//!
//! Server-side apply with one field manager per concern: objects, sizes, drains. Nothing is sent that was sent before and
//! stands unchanged. A failure is noted and the rest still done; the next pass sees what is missing. Decides nothing.

mod covers;
mod fleet;
mod objects;
mod redis;

use super::build::Objects;
use super::decide::Plan;
use super::observed::Observed;
use crate::context::Context;
use crate::memory::RoomKey;
use crate::redis::client;
use k8s_openapi::jiff::Timestamp;

/// What is to be done, and what it was decided on.
#[derive(Debug)]
pub struct Prepared {
    /// Everything that is to exist.
    pub objects: Objects,
    /// What to do.
    pub plan: Plan,
    /// What was seen.
    pub observed: Observed,
}

/// What was done. A status can be made of nothing else.
#[derive(Debug)]
pub struct Applied {
    /// What was decided.
    pub plan: Plan,
    /// What was seen before.
    pub observed: Observed,
    /// Changes worth an Event.
    pub deeds: Vec<Deed>,
    /// What the API server did not do.
    pub failures: Vec<ApplyError>,
    /// What a gateway or a Redis server did not do: most likely it is starting or ending, and the next pass tries again.
    pub setbacks: Vec<ApplyError>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Reason of the Event, in CamelCase.
    pub reason: &'static str,
    /// One sentence.
    pub note: String,
}

/// The reason why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object.
    #[error("apply {0}: {1}")]
    Object(String, kube::Error),
    /// An object as JSON.
    #[error("write {0}: {1}")]
    Json(String, serde_json::Error),
    /// The number of gateways.
    #[error("size {0}: {1}")]
    Size(String, kube::Error),
    /// Something that is asked for no more.
    #[error("delete {0}: {1}")]
    Delete(String, kube::Error),
    /// A pod's drain marks.
    #[error("mark pod {0}: {1}")]
    Mark(String, kube::Error),
    /// A gateway.
    #[error(transparent)]
    Gateway(#[from] crate::gateways::GatewayError),
    /// A Redis server.
    #[error(transparent)]
    Redis(#[from] client::ClientError),
}

/// Carries everything out.
pub async fn apply(ctx: &Context, key: &RoomKey, prepared: Prepared) -> Applied {
    let Prepared { objects, plan, observed } = prepared;
    let mut run = Run { ctx, key, now: observed.now, deeds: Vec::new(), failures: Vec::new(), setbacks: Vec::new() };
    let token = run.objects(objects, &plan.fleet, &observed).await;
    run.sizes(&plan.fleet, &observed).await;
    for order in &plan.fleet.orders {
        run.order(order, token.as_deref()).await;
    }
    if let Some(redis) = &plan.redis {
        run.redis(redis, &observed).await;
    }
    for orphan in &plan.orphans {
        run.delete_orphan(orphan).await;
    }
    let Run { deeds, failures, setbacks, .. } = run;
    Applied { plan, observed, deeds, failures, setbacks }
}

struct Run<'a> {
    ctx: &'a Context,
    key: &'a RoomKey,
    now: Timestamp,
    deeds: Vec<Deed>,
    failures: Vec<ApplyError>,
    setbacks: Vec<ApplyError>,
}

impl Run<'_> {
    fn did(&mut self, reason: &'static str, note: String) {
        tracing::info!(namespace = %self.key.0, room = %self.key.1, reason, "{note}");
        self.deeds.push(Deed { reason, note });
    }

    fn tried(&mut self, result: Result<(), ApplyError>) -> bool {
        let done = result.is_ok();
        self.failures.extend(result.err());
        done
    }

    /// Like `tried`, for those who may be starting or ending.
    fn asked(&mut self, result: Result<(), impl Into<ApplyError>>) -> bool {
        let Err(error) = result.map_err(Into::into) else { return true };
        tracing::warn!(namespace = %self.key.0, room = %self.key.1, %error, "not done yet");
        self.setbacks.push(error);
        false
    }
}
