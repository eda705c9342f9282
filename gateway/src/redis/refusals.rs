//! Why Redis refuses writes, as it says itself, since when, and for which partitions.
//!
//! Decides when a failure is one that lasts. Kept by the lanes, shown in status and metrics. Each new refusal is logged
//! once.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::Fault;
use crate::{deadlines::SILENT, rooms::Partition};

/// Why writing fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What Redis said, as `OOM …`, or what kept it from answering.
    pub(crate) reason: String,
    /// When it was said first without a success since.
    pub(crate) since: Instant,
    /// Redis refuses by name, and will until somebody changes something there.
    denied: bool,
}

impl Refusal {
    fn of(fault: &Fault) -> Option<Self> {
        let (reason, denied) = match fault {
            Fault::Denied(reason) => (reason.clone(), true),
            Fault::Refused(reason) | Fault::Gone(reason) => (reason.to_string(), false),
            // The request continues at another server, or in a moment.
            Fault::Moved(_) | Fault::Ask(_) | Fault::TryAgain | Fault::NoScript | Fault::Absent | Fault::Unfit(_) => {
                return None;
            }
        };
        Some(Self { reason, since: Instant::now(), denied })
    }

    /// The word by which Redis names what is wrong.
    fn word(&self) -> &str {
        self.reason.split(' ').next().unwrap_or_default()
    }

    fn same(&self, other: &Self) -> bool {
        self.denied == other.denied && (!self.denied || self.word() == other.word())
    }

    /// Whether a write that asks for no more rights than others can find out that it is over.
    fn can_be_tried(&self) -> bool {
        self.word() != "NOPERM"
    }
}

/// The partitions whose last request failed.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Partition, Refusal>>);

impl Refusals {
    /// A request failed.
    pub(crate) fn noted(&self, partition: Partition, fault: &Fault) {
        let Some(refusal) = Refusal::of(fault) else { return };
        let mut refusals = self.0.lock();
        if refusals.get(&partition).is_some_and(|known| known.same(&refusal)) {
            return;
        }
        if refusal.denied && !refusals.values().any(|known| known.same(&refusal)) {
            tracing::error!(partition = partition.index(), reason = %refusal.reason, "Redis refuses writes");
        }
        refusals.insert(partition, refusal);
    }

    /// A request succeeded.
    pub(crate) fn cleared(&self, partition: Partition) {
        let mut refusals = self.0.lock();
        let was_denied = refusals.remove(&partition).is_some_and(|refusal| refusal.denied);
        if was_denied && !refusals.values().any(|refusal| refusal.denied) {
            tracing::info!("Redis accepts writes again");
        }
    }

    /// The oldest refusal by name that lasts.
    pub(crate) fn oldest(&self) -> Option<Refusal> {
        self.0.lock().values().filter(|refusal| refusal.denied).min_by_key(|refusal| refusal.since).cloned()
    }

    /// Why a partition takes no writes: a refusal, or a failure for longer than a server may be silent.
    pub(crate) fn of(&self, partition: Partition, now: Instant) -> Option<Refusal> {
        let lasts = |refusal: &&Refusal| refusal.denied || now.saturating_duration_since(refusal.since) >= SILENT;
        self.0.lock().get(&partition).filter(lasts).cloned()
    }

    /// The partitions that are worth another try.
    pub(crate) fn to_try(&self) -> Vec<Partition> {
        let refusals = self.0.lock();
        refusals.iter().filter(|(_, refusal)| refusal.can_be_tried()).map(|(partition, _)| *partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(reason: &str) -> Fault {
        Fault::Denied(reason.into())
    }

    #[test]
    fn a_refusal_is_kept_until_a_request_succeeds_and_the_oldest_is_shown() {
        let refusals = Refusals::default();
        refusals.noted(Partition::nth(1), &denied("OOM command not allowed"));
        let first = refusals.oldest().unwrap();
        refusals.noted(Partition::nth(1), &denied("OOM command not allowed again"));
        refusals.noted(Partition::nth(2), &denied("MISCONF disk"));
        assert_eq!(refusals.oldest(), Some(first));
        refusals.cleared(Partition::nth(1));
        assert_eq!(refusals.oldest().unwrap().reason, "MISCONF disk");
        refusals.cleared(Partition::nth(2));
        assert_eq!(refusals.oldest(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_without_a_name_counts_once_it_has_lasted_and_a_request_that_moves_on_does_not() {
        let (refusals, partition) = (Refusals::default(), Partition::nth(1));
        refusals.noted(partition, &Fault::Moved("1 h:1".into()));
        assert_eq!(refusals.to_try(), []);
        refusals.noted(partition, &Fault::Gone("no answer".into()));
        assert_eq!((refusals.of(partition, Instant::now()), refusals.oldest()), (None, None));
        tokio::time::advance(SILENT).await;
        refusals.noted(partition, &Fault::Refused("still none".into()));
        assert_eq!(refusals.of(partition, Instant::now()).unwrap().reason, "no answer");
        refusals.noted(partition, &denied("MISCONF disk"));
        assert_eq!(refusals.of(partition, Instant::now()).unwrap().reason, "MISCONF disk");
        assert_eq!(refusals.to_try(), [partition]);
        refusals.noted(partition, &denied("NOPERM this user"));
        assert_eq!(refusals.to_try(), [], "what is tried needs fewer rights than a post");
    }
}
