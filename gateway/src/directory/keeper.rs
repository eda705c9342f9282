//! Keeps a directory: calls it once per second, and posts the notices for people whose partner has left.
//!
//! Decides when. How a notice is written and posted is the caller's. Runs on every gateway: telling twice is harmless,
//! because the caller posts each notice under a key of its own.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::{Directory, pairs};

/// Pause between two ticks.
const EVERY: Duration = Duration::from_secs(1);

/// Tells people what the directory found out.
pub trait Notices: Send + Sync + 'static {
    /// Tells `exit.partner` that the other end of a session is gone. False: that failed, and is to be tried again.
    fn tell(&self, exit: pairs::Exit) -> BoxFuture<'_, bool>;
}

/// Ticks until it is dropped. What fails because Redis is unavailable is done by the next tick.
pub async fn keep(directory: Arc<dyn Directory>, notices: impl Notices) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = directory.hurry() => {}
        }
        let Ok(exits) = directory.tick().await else { continue };
        let mut announced = Vec::with_capacity(exits.len());
        for exit in exits {
            if notices.tell(exit).await {
                announced.push(exit);
            }
        }
        if !announced.is_empty()
            && let Err(unavailable) = directory.announced(&announced).await
        {
            tracing::debug!(%unavailable, "failed to note that exits were announced; they are announced once more");
        }
    }
}
