//! The queue of signals that a bus heard and the hub has not read yet.
//!
//! Decides what is conflated and what is dropped when nobody reads. Used by both buses.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::rooms::{RoomName, Signal};

/// Signals kept unread. A hub reads them all at once, so this is a burst of a few milliseconds at full load.
const UNREAD: usize = 4096;

/// What makes two pending signals the same. Joining and leaving are told apart by their order, so only these two kinds
/// are conflated.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Same {
    Typing(RoomName, Arc<str>),
    Count(RoomName),
}

#[derive(Debug, Default)]
struct Pending {
    signals: VecDeque<(RoomName, Signal)>,
    same: HashSet<Same>,
}

/// Bounded, conflating queue: the oldest signal is dropped when it is full.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pending: Mutex<Pending>,
    arrived: Notify,
}

fn same(room: &RoomName, signal: &Signal) -> Option<Same> {
    match signal {
        Signal::Typing { from } => Some(Same::Typing(room.clone(), from.id.clone())),
        Signal::Count => Some(Same::Count(room.clone())),
        Signal::Joined { .. } | Signal::Left { .. } | Signal::WhoIsHere { .. } | Signal::Here { .. } => None,
    }
}

impl Signals {
    /// Adds a signal unless the same one waits already.
    pub(super) fn push(&self, room: RoomName, signal: Signal) {
        let mut pending = self.pending.lock();
        if let Some(same) = same(&room, &signal)
            && !pending.same.insert(same)
        {
            return;
        }
        if pending.signals.len() == UNREAD
            && let Some((room, signal)) = pending.signals.pop_front()
            && let Some(same) = same(&room, &signal)
        {
            pending.same.remove(&same);
        }
        pending.signals.push_back((room, signal));
        drop(pending);
        self.arrived.notify_one();
    }

    /// All signals that wait; waits for the first. Cancel-safe.
    pub(super) async fn take(&self) -> Vec<(RoomName, Signal)> {
        loop {
            {
                let mut pending = self.pending.lock();
                if !pending.signals.is_empty() {
                    pending.same.clear();
                    return pending.signals.drain(..).collect();
                }
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Author, ProtocolId};

    fn author(id: &str) -> Author {
        Author { id: id.into(), name: "ada".into(), extra: None }
    }

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    #[tokio::test]
    async fn typing_of_one_person_is_conflated_while_unread() {
        let signals = Signals::default();
        for id in ["a", "a", "b"] {
            signals.push(room(), Signal::Typing { from: author(id) });
        }
        assert_eq!(signals.take().await.len(), 2);
        signals.push(room(), Signal::Typing { from: author("a") });
        assert_eq!(signals.take().await.len(), 1);
    }

    #[tokio::test]
    async fn joins_and_leaves_keep_their_order_and_number() {
        let signals = Signals::default();
        let joined = Signal::Joined { who: author("a"), protocol: ProtocolId::Native, first: true };
        let left = Signal::Left { who: author("a"), protocol: ProtocolId::Native, asked: true };
        for signal in [&joined, &left, &joined] {
            signals.push(room(), signal.clone());
        }
        let read: Vec<_> = signals.take().await.into_iter().map(|(_, signal)| signal).collect();
        assert_eq!(read, [joined.clone(), left, joined]);
    }

    #[tokio::test]
    async fn the_oldest_signal_goes_when_nobody_reads() {
        let signals = Signals::default();
        for id in 0..UNREAD + 3 {
            signals.push(room(), Signal::Typing { from: author(&id.to_string()) });
        }
        let read = signals.take().await;
        assert_eq!(read.len(), UNREAD);
        assert_eq!(read[0].1, Signal::Typing { from: author("3") });
    }
}
