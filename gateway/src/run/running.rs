//! A gateway that runs: serves until a signal or a fault ends it, drains first if there is time, and closes its parts in
//! order. Starts nothing; `gateway` does.

use std::{sync::Arc, time::Duration};

use parlor_crds::chatroom::Drain as DrainSettings;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{error::RunError, signals::Signals};
use crate::{
    bus::Bus,
    directory::Directory,
    fanout::{hub::Hub, reactor::Reactors},
    http::drain::Drain,
};

/// How long the end may take after the last connection went.
const CLOSING: Duration = Duration::from_secs(2);

/// What runs.
pub(super) struct Running {
    pub(super) reactors: Arc<Reactors>,
    pub(super) hub: Hub,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) drain: Drain,
    pub(super) stop: CancellationToken,
    /// Every task is owned here: one that ends before the stop ends the process.
    pub(super) tasks: JoinSet<()>,
}

impl Running {
    /// Serves until a signal. SIGTERM drains first; SIGINT, then or at once, ends without asking anyone to leave.
    pub(super) async fn until_ended(
        mut self,
        settings: impl Fn() -> DrainSettings,
        mut signals: Signals,
    ) -> Result<(), RunError> {
        tokio::select! {
            _ = signals.terminate.recv() => {
                tracing::info!("SIGTERM: draining, then ending");
                let settings = settings();
                self.drain.start_last(settings.rate);
                let drain = self.drain.clone();
                tokio::select! {
                    () = drain.emptied(settings.deadline.as_duration()) => {}
                    _ = signals.interrupt.recv() => {}
                    error = self.failed() => return Err(error),
                }
            }
            _ = signals.interrupt.recv() => tracing::info!("SIGINT: ending"),
            error = self.failed() => return Err(error),
        }
        self.close().await;
        Ok(())
    }

    /// Waits for what must not happen while the gateway serves.
    async fn failed(&mut self) -> RunError {
        tokio::select! {
            () = self.reactors.ended() => RunError::ReactorEnded,
            () = self.hub.failed() => RunError::ActorEnded,
            ended = self.tasks.join_next() => RunError::TaskEnded(ended.and_then(Result::err)),
        }
    }

    async fn close(self) {
        let Self { reactors, hub, bus, directory, drain: _, stop, tasks: _ } = self;
        stop.cancel();
        // Joins threads: off the runtime's workers, which the hub still needs.
        if tokio::task::spawn_blocking(move || reactors.shutdown()).await.is_err() {
            tracing::error!("failed to close the reactors");
        }
        hub.stop(CLOSING).await;
        directory.close(CLOSING).await;
        bus.close(CLOSING).await;
    }
}
