//! Whether a gateway takes one more connection.
//!
//! A full gateway stays ready: it refuses upgrades with 503, and the client tries again elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Counts upgrades on their way to a reactor, so that a burst of them cannot pass the limit together.
#[derive(Clone, Debug)]
pub struct Gate {
    limit: usize,
    pending: Arc<AtomicUsize>,
    refused: Arc<AtomicU64>,
}

/// Room for one connection; given back when dropped, by which time a reactor counts the connection.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<AtomicUsize>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gate {
    /// Lets `limit` connections in.
    pub fn new(limit: usize) -> Self {
        Self { limit, pending: Arc::default(), refused: Arc::default() }
    }

    /// The limit it was made with.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A permit beside the `open` connections, or None when the gateway is full.
    pub fn enter(&self, open: usize) -> Option<ConnectionPermit> {
        let permit = ConnectionPermit(Arc::clone(&self.pending));
        let before = self.pending.fetch_add(1, Ordering::AcqRel);
        let has_room = open.saturating_add(before) < self.limit;
        if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room.then_some(permit)
    }

    /// Connections refused so far because the gateway was full.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_pending_upgrades_together_stay_within_the_limit() {
        let gate = Gate::new(3);
        let first = gate.enter(1).expect("one is open");
        let second = gate.enter(1).expect("one is open, one pending");
        assert!(gate.enter(1).is_none(), "one is open, two pending");
        drop((first, second));
        assert!(gate.enter(2).is_some());
        assert!(gate.enter(3).is_none());
    }

    #[test]
    fn a_refused_upgrade_holds_no_permit() {
        let gate = Gate::new(1);
        assert!(gate.enter(1).is_none());
        assert_eq!(gate.refused(), 1);
        assert!(gate.enter(0).is_some());
    }
}
