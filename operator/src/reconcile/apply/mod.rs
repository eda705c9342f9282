//! Carries a plan out (client required).
//!
//! Server-side apply with one field manager per concern: objects, sizes, drains. Nothing is sent that was sent before and is
//! still current. An object that belongs to someone else is left alone. A failure is noted and the rest still done; the next
//! pass sees what is missing. Decides nothing. Called by the pass.

mod covers;
mod fleet;
mod objects;
mod redis;
mod run;
mod volumes;

use run::Run;
pub use run::{Applied, ApplyError, Change, Prepared};

use crate::{chat_room_name::ChatRoomName, context::Context};

/// Carries everything out.
pub async fn apply(ctx: &Context, name: &ChatRoomName, uid: String, prepared: Prepared) -> Applied {
    let Prepared { objects, plan, observed } = prepared;
    let mut run = Run::new(ctx, name, uid, observed.now);
    let token = run.objects(objects, &plan.fleet, &observed).await;
    run.sizes(&plan.fleet, &observed).await;
    for order in &plan.fleet.orders {
        run.order(order, token.as_deref(), &observed).await;
    }
    if let Some(redis) = &plan.redis {
        run.redis(redis, &observed).await;
    }
    for orphan in &plan.orphans {
        run.delete(orphan).await;
    }
    run.finish(plan, observed)
}
