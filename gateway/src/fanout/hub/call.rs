//! A call of the bus as data: a mechanism decides on it, the partition's actor starts it, and what comes back is handed
//! to the same mechanism.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::counters::{Counters, tick};
use crate::{
    bus::{Bus, Page},
    deadlines::hub::CALL,
    directory::Directory,
    moderation::Moderator,
    rooms::{Partition, RoomName, Unavailable},
};

/// After this long, what the bus could not answer is worth another try.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// What calls of one partition are made with.
pub(crate) struct BusAccess {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) moderator: Moderator,
    pub(crate) partition: Partition,
    counters: Arc<Counters>,
}

/// A call that has been decided on.
pub(crate) trait BusCall: Send + 'static {
    /// What comes back.
    type Done: Failure + Send + 'static;

    /// Makes the call.
    fn run(self, access: &BusAccess) -> impl Future<Output = Self::Done> + Send;
}

/// What came back from the bus, which may be that it could not answer.
pub(crate) trait Failure {
    /// What failed in words for the log, and why; `None` if nothing did.
    fn failure(&self) -> Option<(&'static str, &Unavailable)>;
}

impl BusAccess {
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        directory: Arc<dyn Directory>,
        moderator: Moderator,
        partition: Partition,
        counters: Arc<Counters>,
    ) -> Self {
        Self { bus, directory, moderator, partition, counters }
    }

    /// Reads a page of a room's history.
    pub(crate) async fn page(&self, room: &RoomName, before: Option<u64>, limit: u32) -> Result<Page, Unavailable> {
        tick(&self.counters.reads);
        within(self.bus.history(room, before, limit)).await
    }

    /// Counts and logs a call that failed.
    pub(crate) fn note(&self, done: &impl Failure) {
        if let Some((action, error)) = done.failure() {
            tick(&self.counters.unavailable);
            tracing::debug!(partition = self.partition.index(), %error, "{action}");
        }
    }
}

/// Awaits a call of the bus for at most [`CALL`].
pub(crate) async fn within<T>(call: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
    within_limit(CALL, call).await
}

/// Awaits a call of the bus for at most `limit`.
pub(crate) async fn within_limit<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    let late = || Unavailable(format!("no answer within {} ms", limit.as_millis()).into());
    timeout(limit, call).await.unwrap_or_else(|_| Err(late()))
}
