//! Epochs that were opened, as gateways tell one another: a reader that waits at a server where nothing comes any
//! more looks around at once.
//!
//! Only a hint: the stream has the truth. One that is wrong or late costs a reader one look, one that is
//! lost costs it the time until it compares itself with the primary.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use parlor_redis::Address;
use tokio::sync::{Notify, watch};

use crate::rooms::{PARTITIONS, Partition};

/// An epoch, and the server that it was opened in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) epoch: u64,
    /// None: the server has another name here.
    pub(super) server: Option<Address>,
}

/// What was opened here and what was heard.
#[derive(Debug)]
pub(super) struct EpochHints {
    /// The newest of each partition.
    heard: Vec<watch::Sender<Opening>>,
    /// Not published yet. Of a partition, only the newest is kept: it makes the older ones useless.
    untold: Mutex<BTreeMap<Partition, Opening>>,
    arrived: Notify,
}

impl Default for EpochHints {
    fn default() -> Self {
        let heard = (0..PARTITIONS).map(|_| watch::Sender::default()).collect();
        Self { heard, untold: Mutex::default(), arrived: Notify::default() }
    }
}

impl EpochHints {
    /// An epoch was opened by this gateway.
    pub(super) fn here(&self, partition: Partition, epoch: u64, server: &Address) {
        let opening = Opening { epoch, server: Some(server.clone()) };
        self.hear(partition, opening.clone());
        self.untold.lock().insert(partition, opening);
        self.arrived.notify_one();
    }

    /// An epoch was opened by some gateway.
    pub(super) fn hear(&self, partition: Partition, opening: Opening) {
        self.heard[partition.index()].send_if_modified(|newest| {
            let newer = opening.epoch > newest.epoch;
            if newer {
                *newest = opening;
            }
            newer
        });
    }

    /// Waits until an epoch above `known` was heard of that was opened elsewhere than in `server`, whose readers see
    /// it by themselves; answers the newest.
    pub(super) async fn elsewhere(&self, partition: Partition, known: u64, server: &Address) -> u64 {
        let mut heard = self.heard[partition.index()].subscribe();
        let elsewhere = |newest: &Opening| newest.epoch > known && newest.server.as_ref() != Some(server);
        // An error would say that this bus is gone.
        heard.wait_for(elsewhere).await.map_or(known, |newest| newest.epoch)
    }

    /// The next hint for the other gateways; waits for one. Cancel-safe.
    pub(super) async fn untold(&self) -> BTreeMap<Partition, Opening> {
        loop {
            let untold = std::mem::take(&mut *self.untold.lock());
            if !untold.is_empty() {
                return untold;
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn server(port: u16) -> Address {
        Address { host: "h".into(), port }
    }

    #[tokio::test]
    async fn an_epoch_is_noted_unless_it_is_old_or_was_opened_on_the_server_that_is_read() {
        let opened = EpochHints::default();
        let partition = Partition::nth(5);
        for (epoch, port) in [(7, 1), (6, 2)] {
            opened.hear(partition, Opening { epoch, server: Some(server(port)) });
        }
        assert_eq!(opened.elsewhere(partition, 5, &server(2)).await, 7);
        assert_eq!(opened.elsewhere(partition, 5, &server(1)).now_or_never(), None);
        assert_eq!(opened.elsewhere(partition, 7, &server(2)).now_or_never(), None);
        assert_eq!(opened.elsewhere(Partition::nth(6), 0, &server(2)).now_or_never(), None);
        opened.hear(partition, Opening { epoch: 8, server: None });
        assert_eq!(opened.elsewhere(partition, 7, &server(1)).await, 8);
    }

    #[tokio::test]
    async fn an_epoch_opened_here_is_published_to_the_others_once() {
        let opened = EpochHints::default();
        let partition = Partition::nth(1);
        opened.here(partition, 8, &server(1));
        opened.here(partition, 9, &server(2));
        let newest = Opening { epoch: 9, server: Some(server(2)) };
        assert_eq!(opened.untold().await, BTreeMap::from([(partition, newest)]));
        assert_eq!(opened.untold().now_or_never(), None);
        assert_eq!(opened.elsewhere(partition, 8, &server(1)).await, 9);
    }
}
