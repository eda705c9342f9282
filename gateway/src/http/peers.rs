//! The peers that are talking HTTP, as many as there is room for.
//!
//! Decides who gives way when there is no more: the one that came first. A peer that is honest is done in a moment, so
//! the oldest are those that hold their place for its own sake; and accepting never waits for anyone.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The places for peers; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    limit: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

/// A peer's place; given up when dropped.
#[derive(Debug)]
pub(super) struct PeerPermit {
    number: u64,
    held: Arc<Mutex<Held>>,
    /// Cancelled when another peer needs the place, and when accepting stops.
    pub(super) ended: CancellationToken,
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        self.held.lock().by_age.remove(&self.number);
    }
}

impl Peers {
    /// Places for `limit` peers.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), held: Arc::default() }
    }

    /// A place, and whether the oldest peer had to give way for it. It ends with `stop` at the latest.
    pub(super) fn enter(&self, stop: &CancellationToken) -> (PeerPermit, bool) {
        let ended = stop.child_token();
        let mut held = self.held.lock();
        let oldest = (held.by_age.len() >= self.limit).then(|| held.by_age.pop_first()).flatten();
        let number = held.next;
        held.next += 1;
        held.by_age.insert(number, ended.clone());
        drop(held);
        let gave_way = oldest.map(|(_, oldest)| oldest.cancel()).is_some();
        (PeerPermit { number, held: Arc::clone(&self.held), ended }, gave_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_peer_gives_way_when_there_is_no_place() {
        let (peers, stop) = (Peers::new(2), CancellationToken::new());
        let (first, gave_way) = peers.enter(&stop);
        assert!(!gave_way);
        let (second, _) = peers.enter(&stop);
        let (third, gave_way) = peers.enter(&stop);
        assert!(gave_way && first.ended.is_cancelled());
        assert!(!second.ended.is_cancelled() && !third.ended.is_cancelled());
    }

    #[test]
    fn a_place_that_was_given_up_is_free() {
        let (peers, stop) = (Peers::new(1), CancellationToken::new());
        drop(peers.enter(&stop));
        let (second, gave_way) = peers.enter(&stop);
        assert!(!gave_way && !second.ended.is_cancelled());
        stop.cancel();
        assert!(second.ended.is_cancelled());
    }
}
