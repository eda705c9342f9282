//! Why Redis refuses to write, in its own words, since when, and for which partitions.
//!
//! Decides nothing; kept by the lanes, shown in status and metrics. Each new reason is logged once.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::rooms::Partition;

/// A refusal that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What Redis said: `OOM …`, `MISCONF …`, `NOREPLICAS …`, `NOPERM …`, `WRONGPASS …`.
    pub(crate) reason: String,
    /// When it was said first without a success since.
    pub(crate) since: Instant,
}

/// The partitions whose last request was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Partition, Refusal>>);

impl Refusals {
    /// A request was refused.
    pub(crate) fn noted(&self, partition: Partition, reason: &str) {
        let mut refusals = self.0.lock();
        let word = |reason: &str| reason.split(' ').next().map(str::to_owned);
        match refusals.get_mut(&partition) {
            Some(known) if word(&known.reason) == word(reason) => {}
            _ => {
                if !refusals.values().any(|known| word(&known.reason) == word(reason)) {
                    tracing::error!(partition = partition.index(), %reason, "Redis refuses to write");
                }
                refusals.insert(partition, Refusal { reason: reason.to_owned(), since: Instant::now() });
            }
        }
    }

    /// A request succeeded.
    pub(crate) fn cleared(&self, partition: Partition) {
        let mut refusals = self.0.lock();
        if refusals.remove(&partition).is_some() && refusals.is_empty() {
            tracing::info!("Redis accepts writes again");
        }
    }

    /// The oldest refusal that lasts.
    pub(crate) fn oldest(&self) -> Option<Refusal> {
        self.0.lock().values().min_by_key(|refusal| refusal.since).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stands_until_a_request_succeeds_and_the_oldest_is_shown() {
        let refusals = Refusals::default();
        refusals.noted(Partition::nth(1), "OOM command not allowed");
        let first = refusals.oldest().unwrap();
        refusals.noted(Partition::nth(1), "OOM command not allowed again");
        refusals.noted(Partition::nth(2), "MISCONF disk");
        assert_eq!(refusals.oldest(), Some(first));
        refusals.cleared(Partition::nth(1));
        assert_eq!(refusals.oldest().unwrap().reason, "MISCONF disk");
        refusals.cleared(Partition::nth(2));
        assert_eq!(refusals.oldest(), None);
    }
}
