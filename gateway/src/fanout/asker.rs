//! Asks the hub without a connection, for HTTP endpoints.
//!
//! Takes a place among the reactors: the hub answers it as it answers one. Decides how long an answer is waited for;
//! never looks into it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::{
    hub::Hub,
    messages::{ConnectionId, ReactorId, ToHub, ToReactor},
    reactor::{Inbox, ReactorSender, inbox},
    session::{Answer, Ask},
};

/// Batches of answers that the hub may queue; they are taken at once.
const BATCHES: usize = 512;
/// How long an answer is waited for: longer than a sum of members and the first read of a partition take together.
const PATIENCE: Duration = Duration::from_secs(5);

type Waiting = Arc<Mutex<HashMap<(u32, u32), oneshot::Sender<Answer>>>>;

/// The end that the hub answers to, before there is a hub.
#[derive(Debug)]
pub struct Desk {
    id: ReactorId,
    inbox: Inbox,
}

/// Asks the hub. Clones share the questions.
#[derive(Clone)]
pub struct Asker {
    id: ReactorId,
    hub: Hub,
    waiting: Waiting,
    asked: Arc<AtomicU64>,
}

impl Desk {
    /// A desk, and the place that goes behind those of the `reactors` when the hub is started.
    pub fn prepare(reactors: &[ReactorSender]) -> (ReactorSender, Self) {
        let last = reactors.iter().map(|reactor| reactor.id().0).max();
        let id = ReactorId(last.map_or(0, |last| last.saturating_add(1)));
        let (sender, inbox) = inbox(id, BATCHES, || {});
        (sender, Self { id, inbox })
    }

    /// Asks `hub`; the second is to be run until the hub ends.
    pub fn open(self, hub: Hub) -> (Asker, impl Future<Output = ()> + Send + use<>) {
        let Self { id, inbox } = self;
        let waiting = Waiting::default();
        (Asker { id, hub, waiting: Arc::clone(&waiting), asked: Arc::default() }, hand_out(inbox, waiting))
    }
}

/// Hands answers to those who wait for them.
async fn hand_out(mut inbox: Inbox, waiting: Waiting) {
    while let Some(batch) = inbox.recv().await {
        for message in batch {
            if let ToReactor::Answer { to, answer } = message
                && let Some(asker) = waiting.lock().remove(&(to.slot, to.generation))
            {
                // One that no longer waits has gone.
                let _ = asker.send(answer);
            }
        }
    }
}

impl Asker {
    /// The answer; None if none came in time, or the hub takes no more questions.
    pub async fn ask(&self, ask: Ask) -> Option<Answer> {
        let asked = self.asked.fetch_add(1, Relaxed);
        let (slot, generation) = (asked as u32, (asked >> 32) as u32);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert((slot, generation), answer);
        let _question = Question { waiting: &self.waiting, number: (slot, generation) };
        let from = ConnectionId { reactor: self.id, slot, generation };
        self.hub.try_send(ToHub::Ask { from, ask }).ok()?;
        timeout(PATIENCE, answered).await.ok()?.ok()
    }
}

/// Forgets a question that nobody waits for any longer.
struct Question<'a> {
    waiting: &'a Waiting,
    number: (u32, u32),
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}
