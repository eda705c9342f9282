//! Keeps a directory: once a second, and tells the people whom someone has left.
//!
//! Runs on every gateway; telling twice is harmless, because the message has one key.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::pairs;
use crate::{
    bus::{AppendError, Bus, Partition},
    rooms::{Author, Content, Origin, Post, ProtocolId},
};

/// Pause between two ticks.
const EVERY: Duration = Duration::from_secs(1);

/// How a family's protocol writes what people are told.
pub trait Notices: Send + Sync + 'static {
    /// What an inbox gets when the other end of a session is gone.
    fn exit(&self, exit: &pairs::Exit) -> Content;
}

/// Ticks until it is dropped. An error means that the bus is away: the next tick does what this one could not.
pub async fn keep(bus: Arc<dyn Bus>, notices: Arc<dyn Notices>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let directory = bus.directory();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = directory.hurry() => {}
        }
        let Ok(exits) = directory.tick().await else { continue };
        let mut told = Vec::with_capacity(exits.len());
        for exit in exits {
            if tell(bus.as_ref(), &exit, notices.exit(&exit)).await.is_ok() {
                told.push(exit);
            }
        }
        if !told.is_empty()
            && let Err(away) = directory.told(&told).await
        {
            tracing::debug!(%away, "exits will be told once more");
        }
    }
}

async fn tell(bus: &dyn Bus, exit: &pairs::Exit, content: Content) -> Result<(), AppendError> {
    let room = pairs::inbox(exit.partner);
    let post = Post {
        from: Author { id: "0".into(), name: "system".into(), extra: None },
        protocol: ProtocolId::Match,
        key: format!("exit-{}-{}", exit.session, exit.account).into(),
        content,
        durable: false,
        origin: Origin::default(),
        room: room.clone(),
    };
    let mut fates = bus.append(Partition::of(&room), std::slice::from_ref(&post)).await?;
    fates.pop().unwrap_or(Err(AppendError::Away("no answer".to_owned()))).map(drop)
}
