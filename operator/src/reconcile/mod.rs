//! One pass over a ChatRoom.
//!
//! ```text
//! validate ─► observe (client) ─► recall ─► build ─► decide ─► apply (client) ─► status (client)
//! ```
//!
//! Only the three marked steps hold a client; `apply` turns [`apply::Prepared`] into [`apply::Applied`], and a status can be
//! made of nothing else. A pass that is cut short is continued by the next: no step relies on an earlier pass.

pub mod apply;
pub mod build;
pub mod conditions;
pub mod decide;
pub mod kind;
pub mod observe;
pub mod observed;
pub mod pass_cache;
pub mod recall;
mod redis_access;
mod secrets;
pub mod status;
pub mod validate;

use std::time::Duration;

use apply::{Applied, Prepared};
use decide::{redis::RedisPlan, rotation::Rotation};
use kube::ResourceExt;
use parlor_crds::ChatRoom;

use crate::{
    api_error::ApiError,
    chat_room_name::ChatRoomName,
    context::Context,
    deadlines::{AT_REST, UNDER_WAY},
    redis::{plan::Step, upgrade::Upgrade},
};

/// The reason why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The world could not be seen.
    #[error("failed to read the generated Secret: {0}")]
    Observe(#[source] ApiError),
    /// An object could not be built.
    #[error(transparent)]
    Build(#[from] build::BuildError),
    /// The status could not be written.
    #[error("failed to write the status: {0}")]
    Status(#[source] ApiError),
    /// Something did not come to an end.
    #[error("failed to finish the pass within {} s", crate::deadlines::PASS.as_secs())]
    Stuck,
    /// The watches have ended, because the process is ending.
    #[error("failed to read the stores: the watches have ended")]
    Ending,
    /// The ChatRoom cannot be read as one.
    #[error("failed to read the ChatRoom: {0}")]
    Unreadable(String),
}

impl PassError {
    /// The step that failed, as a label.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Build(_) => "build",
            Self::Status(_) => "status",
            Self::Stuck => "stuck",
            Self::Ending => "ending",
            Self::Unreadable(_) => "read",
        }
    }
}

/// How a pass ended that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// When the next is due.
    pub due: Duration,
    /// Some object could not be applied; the status says which.
    pub incomplete: bool,
}

/// Makes one pass.
pub async fn pass(ctx: &Context, room: &ChatRoom, name: &ChatRoomName) -> Result<Passed, PassError> {
    ctx.caches.reset_if_recreated(name, room.metadata.uid.as_deref());
    let rests = Passed { due: AT_REST, incomplete: false };
    if room.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it. Making any of it again would only hold that up.
        return Ok(rests);
    }
    let valid = match validate::validate(&ctx.caches, room, name) {
        Ok(valid) => valid,
        Err(error) => {
            status::write_claims(ctx, name, room, conditions::invalid(&error)).await.map_err(PassError::Status)?;
            return Ok(rests);
        }
    };
    if conditions::is_paused(room) {
        status::write_claims(ctx, name, room, conditions::paused()).await.map_err(PassError::Status)?;
        return Ok(rests);
    }
    let mut observed = observe::observe(ctx, valid, name).await.map_err(PassError::Observe)?;
    recall::recall(&ctx.caches, name, &room.spec, &mut observed);
    let mut objects =
        build::build(valid, &ctx.defaults, observed.kept_secret(), &observed.fresh, &observed.named_keys)?;
    let plan = decide::decide(valid, &objects, &observed);
    if let Some(redis) = &plan.redis {
        objects.adjust_redis(redis.servers, redis.rotation.turn());
    }
    let uid = room.uid().unwrap_or_default();
    let applied = apply::apply(ctx, name, uid, Prepared { objects, plan, observed }).await;
    status::write(ctx, name, room, &applied).await.map_err(PassError::Status)?;
    let due = if is_at_rest(&applied) { AT_REST } else { UNDER_WAY };
    Ok(Passed { due, incomplete: !applied.failures.is_empty() })
}

/// Nothing moves. A refused object does not count: it is tried again at its own pace and slows nothing else.
fn is_at_rest(applied: &Applied) -> bool {
    let Applied { plan, changes, retryable, .. } = applied;
    let redis_rests =
        plan.redis.as_ref().is_none_or(|RedisPlan { shape, step, upgrade, servers, rotation, abandoned, gates }| {
            *step == Step::Settled
                && *servers == shape.servers()
                && matches!(upgrade, None | Some(Upgrade::Hold(_)))
                && *rotation == Rotation::Idle
                && abandoned.is_empty()
                && gates.is_empty()
        });
    changes.is_empty() && retryable.is_empty() && redis_rests && plan.fleet.outdated == 0 && plan.fleet.draining == 0
}
