//! Giving back what the bus has lost: rooms that it no longer knows, from the logs that are held here.
//!
//! Decides when: a room's history fell short of its log, or posts were refused because data was lost. All rooms of the
//! partition are given back at once, before any is compared with its history again and before any post continues.

use std::time::Duration;

use super::super::{
    backoff::{Backoff, rest},
    call::{BusAccess, BusCall, Failure, within},
};
use crate::{
    bus::HeldRoom,
    rooms::{Epoch, Unavailable},
};

/// Whether rooms are being given back.
#[derive(Debug, Default)]
pub(crate) struct Restore {
    under_way: bool,
    /// The newest epoch in which rooms were given back: in it and before, what falls short is lost.
    restored: Epoch,
    backoff: Backoff,
}

/// What is given back.
#[derive(Debug)]
pub(crate) struct RestoreCall {
    rooms: Vec<HeldRoom>,
    pause: Duration,
}

/// The epoch in which it was given back.
#[derive(Debug)]
pub(crate) struct RestoreDone(Result<Epoch, Unavailable>);

/// What follows.
#[derive(Debug)]
pub(crate) enum RestoreNext {
    /// Posts and reads continue.
    Restored,
    /// Tried again with what is held then.
    Failed { error: Unavailable, again: RestoreCall },
}

impl Restore {
    /// True while histories must not be read: they would be compared with what is about to come back.
    pub(crate) fn under_way(&self) -> bool {
        self.under_way
    }

    /// True if what fell short in `epoch` can still be given back.
    pub(crate) fn helps(&self, epoch: Epoch) -> bool {
        epoch > self.restored
    }

    /// Gives back what is held, unless that is under way.
    pub(crate) fn begin(&mut self, held: impl FnOnce() -> Vec<HeldRoom>) -> Option<RestoreCall> {
        let begin = !std::mem::replace(&mut self.under_way, true);
        begin.then(|| RestoreCall { rooms: held(), pause: Duration::ZERO })
    }

    /// Takes what came back.
    pub(crate) fn done(&mut self, done: RestoreDone, held: impl FnOnce() -> Vec<HeldRoom>) -> RestoreNext {
        match done {
            RestoreDone(Ok(epoch)) => {
                *self = Self { restored: epoch, ..Self::default() };
                RestoreNext::Restored
            }
            RestoreDone(Err(error)) => {
                let again = RestoreCall { rooms: held(), pause: self.backoff.failed() };
                RestoreNext::Failed { error, again }
            }
        }
    }
}

impl BusCall for RestoreCall {
    type Done = RestoreDone;

    async fn run(self, BusAccess { bus, partition, .. }: &BusAccess) -> RestoreDone {
        rest(self.pause).await;
        RestoreDone(within(bus.restore(*partition, &self.rooms)).await)
    }
}

impl Failure for RestoreDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        Some(("failed to restore the rooms that the bus has lost; will retry", self.0.as_ref().err()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_given_back_once_in_an_epoch_and_until_it_has_worked() {
        let mut restore = Restore::default();
        assert!(restore.helps(Epoch(3)));
        assert!(restore.begin(Vec::new).is_some());
        assert!(restore.begin(Vec::new).is_none(), "it is under way");
        let failed = RestoreDone(Err(Unavailable("as the test wants".into())));
        let RestoreNext::Failed { again, .. } = restore.done(failed, Vec::new) else { panic!("tried again") };
        assert!(!again.pause.is_zero() && restore.under_way());
        assert!(matches!(restore.done(RestoreDone(Ok(Epoch(3))), Vec::new), RestoreNext::Restored));
        assert_eq!((restore.under_way(), restore.helps(Epoch(3)), restore.helps(Epoch(4))), (false, false, true));
    }
}
