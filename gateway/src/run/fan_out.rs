//! Starts the part that delivers: reactors, the hub that feeds them, and what asks all of them at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{bus::Stores, error::RunError, served::Configured};
use crate::{
    fanout::{
        asker::{Asker, Desk},
        hub::{Hub, HubSettings},
        reactor::{self, Reactors},
    },
    moderation::Moderator,
};

/// What delivers.
pub(super) struct FanOut {
    pub(super) reactors: Arc<Reactors>,
    pub(super) hub: Hub,
    pub(super) asker: Asker,
    pub(super) moderator: Moderator,
}

impl FanOut {
    /// Starts the reactors' threads and the hub's tasks, for the encodings of `protocols`.
    pub(super) fn start(
        reactors: reactor::ReactorSettings,
        hub: HubSettings,
        protocols: &[Configured],
        stores: &Stores,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, RunError> {
        let Stores { bus, directory, moderation, shared_keys: _ } = stores;
        let prepared = Reactors::prepare(reactors, Arc::clone(moderation))?;
        let encodings = protocols.iter().flat_map(|protocol| protocol.served.protocol.encodings()).collect();
        let mut answered = prepared.senders();
        let (place, desk) = Desk::prepare(&answered);
        answered.push(place);
        let moderator = Moderator::new(Arc::clone(moderation));
        let hub = Hub::start(Arc::clone(bus), Arc::clone(directory), moderator.clone(), answered, encodings, hub);
        let (asker, answers) = desk.open(hub.clone());
        tasks.spawn(answers);
        let queue = hub.clone();
        let reactors = Arc::new(prepared.start(move |message| queue.try_send(message))?);
        Ok(Self { reactors, hub, asker, moderator })
    }
}
