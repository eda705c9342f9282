//! One pass over a ChatRoom.
//!
//! ```text
//! observe (client) ──► validate ──► build ──► decide ──► apply (client) ──► status (client)
//! ```
//!
//! Only the three marked steps hold a client; `apply` turns [`apply::Prepared`] into [`apply::Applied`], and a status can be
//! made of nothing else. A pass that is cut short is continued by the next: no step relies on an earlier pass.

pub mod apply;
pub mod build;
pub mod conditions;
pub mod decide;
pub mod observe;
pub mod observed;
pub mod status;
pub mod validate;

use crate::context::Context;
use crate::memory::RoomKey;
use crate::redis::plan::Step;
use crate::redis::upgrade::Upgrade;
use apply::{Applied, Prepared};
use decide::redis::RedisPlan;
use kube::ResourceExt;
use parlor_crds::ChatRoom;
use std::time::Duration;

/// Between passes over a ChatRoom at rest: as often as gateways are asked for their load.
const AT_REST: Duration = Duration::from_secs(5);
/// Between passes while something is under way.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The reason why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The world could not be seen.
    #[error("observe the chatroom: {0}")]
    Observe(kube::Error),
    /// An object could not be built.
    #[error("build the objects: {0}")]
    Build(#[from] build::BuildError),
    /// Some of it could not be applied; the status says what.
    #[error("apply the plan: {0}")]
    Apply(apply::ApplyError),
    /// The status could not be written.
    #[error("write the status: {0}")]
    Status(kube::Error),
    /// Something did not come to an end, or the stores ended.
    #[error("finish the pass in time")]
    Stuck,
    /// The ChatRoom cannot be read as one.
    #[error("read the chatroom: {0}")]
    Unreadable(String),
}

impl PassError {
    /// The step that failed, as a label.
    pub fn step(&self) -> &'static str {
        match self {
            Self::Observe(_) => "observe",
            Self::Build(_) => "build",
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
            Self::Stuck => "stuck",
            Self::Unreadable(_) => "read",
        }
    }
}

/// Makes one pass, and says when the next is due.
pub async fn pass(ctx: &Context, room: &ChatRoom) -> Result<Duration, PassError> {
    let key: RoomKey = (room.namespace().unwrap_or_default(), room.name_any());
    ctx.memories.meet(&key, room.metadata.uid.as_deref());
    let observed = observe::observe(ctx, room, &key).await.map_err(PassError::Observe)?;
    if let Err(error) = validate::validate(&ctx.memories, room, &key) {
        status::write_invalid(ctx, &key, room, error.to_string()).await.map_err(PassError::Status)?;
        return Ok(AT_REST);
    }
    let objects = build::build(room, &ctx.defaults, observed.secret.as_ref(), &observed.fresh)?;
    let plan = decide::decide(room, &objects, &observed);
    let applied = apply::apply(ctx, &key, Prepared { objects, plan, observed }).await;
    status::write(ctx, &key, room, &applied).await.map_err(PassError::Status)?;
    finish(applied)
}

fn finish(applied: Applied) -> Result<Duration, PassError> {
    let at_rest = is_at_rest(&applied);
    match applied.failures.into_iter().next() {
        Some(failure) => Err(PassError::Apply(failure)),
        None => Ok(if at_rest { AT_REST } else { UNDER_WAY }),
    }
}

fn is_at_rest(applied: &Applied) -> bool {
    let Applied { plan, deeds, setbacks, .. } = applied;
    let redis_rests = plan.redis.as_ref().is_none_or(|RedisPlan { shape: _, step, upgrade, gates }| {
        *step == Step::Settled && matches!(upgrade, None | Some(Upgrade::Hold(_))) && gates.is_empty()
    });
    deeds.is_empty() && setbacks.is_empty() && redis_rests && plan.fleet.outdated == 0 && plan.fleet.draining == 0
}
