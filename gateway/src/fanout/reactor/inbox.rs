//! The queue from the hub to one reactor: bounded, in order, and silent while the reactor is awake.
//!
//! Decides when a sender has to wake the reactor. Called by the hub (sending) and by the reactor's loop (taking).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
};

use tokio::sync::mpsc;

use crate::fanout::messages::{ReactorId, ToReactor};

/// The reactor has ended; what was sent is dropped with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reactor has ended")]
pub struct Ended;

/// Whether the reactor sleeps, and how to end that.
pub(crate) struct Wake {
    sleeping: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Wake {
    pub(crate) fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self { sleeping: AtomicBool::new(false), ring: Box::new(ring) }
    }

    /// Called after something was queued. Rings at most once for each time the reactor went to sleep.
    pub(crate) fn queued(&self) {
        // Pairs with the fence in `may_sleep`: either the reactor sees what was queued, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed) {
            (self.ring)();
        }
    }

    /// Announces sleep; true when `empty` still holds afterwards, so that nothing can be missed.
    pub(crate) fn may_sleep(&self, empty: impl FnOnce() -> bool) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if empty() {
            return true;
        }
        self.awake();
        false
    }

    /// The reactor runs: senders need not ring.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// The hub's end of a reactor's inbox. Batches of one sender arrive in order. Cheap to clone.
#[derive(Clone)]
pub struct ReactorSender {
    id: ReactorId,
    queue: mpsc::Sender<Vec<ToReactor>>,
    wake: Arc<Wake>,
}

impl ReactorSender {
    /// The reactor at the other end.
    pub fn id(&self) -> ReactorId {
        self.id
    }

    /// Queues `batch`, or gives it back when the inbox is full or the reactor has ended.
    pub fn try_send(&self, batch: Vec<ToReactor>) -> Result<(), Vec<ToReactor>> {
        self.queue.try_send(batch).map_err(mpsc::error::TrySendError::into_inner)?;
        self.wake.queued();
        Ok(())
    }

    /// Queues `batch`, waiting while the inbox is full. Cancel-safe, in that nothing is queued unless it returns.
    pub async fn send(&self, batch: Vec<ToReactor>) -> Result<(), Ended> {
        self.queue.send(batch).await.map_err(|_| Ended)?;
        self.wake.queued();
        Ok(())
    }
}

impl fmt::Debug for ReactorSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReactorSender").field(&self.id).finish()
    }
}

/// The reactor's end of its inbox.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Receiver<Vec<ToReactor>>,
}

impl Inbox {
    /// The next batch, if one is queued.
    pub fn try_recv(&mut self) -> Option<Vec<ToReactor>> {
        self.queue.try_recv().ok()
    }

    /// The next batch, waiting for it; None when every sender is gone. Reactors never wait here; stand-ins for them do.
    pub async fn recv(&mut self) -> Option<Vec<ToReactor>> {
        self.queue.recv().await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// An inbox of `batches` batches; `ring` is called when something is queued while its reactor sleeps.
pub fn inbox(id: ReactorId, batches: usize, ring: impl Fn() + Send + Sync + 'static) -> (ReactorSender, Inbox) {
    connect(id, batches, Arc::new(Wake::new(ring)))
}

pub(crate) fn connect(id: ReactorId, batches: usize, wake: Arc<Wake>) -> (ReactorSender, Inbox) {
    let (sender, queue) = mpsc::channel(batches);
    (ReactorSender { id, queue: sender, wake }, Inbox { queue })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn a_sleeping_reactor_is_woken_once_and_an_awake_one_never() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rings);
        let wake = Arc::new(Wake::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let (sender, mut inbox) = connect(ReactorId(0), 8, Arc::clone(&wake));
        sender.try_send(Vec::new()).unwrap();
        assert_eq!(rings.load(Ordering::Relaxed), 0);
        assert!(!wake.may_sleep(|| inbox.is_empty()), "something is queued");
        inbox.try_recv().unwrap();
        assert!(wake.may_sleep(|| inbox.is_empty()));
        sender.try_send(Vec::new()).unwrap();
        sender.try_send(Vec::new()).unwrap();
        assert_eq!(rings.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_inbox_gives_the_batch_back() {
        let (sender, inbox) = inbox(ReactorId(0), 1, || {});
        sender.try_send(Vec::new()).unwrap();
        assert!(sender.try_send(Vec::new()).is_err());
        drop(inbox);
        assert!(sender.try_send(Vec::new()).is_err());
    }
}
