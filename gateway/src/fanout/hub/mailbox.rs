//! The messages to a partition's actor, and the task that passes the bus's signals on to it.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    fanout::messages::ToHub,
    rooms::{Partition, RoomName, Signal},
};

/// Messages that may wait for one actor: a mass reconnect into one room is taken in a few rounds, and reactors keep
/// the rest.
const CAPACITY: usize = 4096;

/// Before a bus that had nothing to say is asked again: one that closes answers at once, each time.
const SILENCE: Duration = Duration::from_millis(50);

/// A message to an actor.
#[derive(Debug)]
pub(crate) enum Command {
    Reactor(ToHub),
    Heard { room: RoomName, signal: Signal },
}

/// A mailbox, and the end that its actor reads.
pub(crate) fn mailbox() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(CAPACITY)
}

/// Passes the bus's signals on to the actors until `stop`. An actor that is too busy misses some.
pub(crate) async fn listen(bus: Arc<dyn Bus>, mailboxes: Arc<[mpsc::Sender<Command>]>, stop: CancellationToken) {
    loop {
        let heard = tokio::select! {
            heard = bus.signals() => heard,
            () = stop.cancelled() => return,
        };
        if heard.is_empty() {
            sleep(SILENCE).await;
        }
        for (room, signal) in heard {
            let mailbox = &mailboxes[Partition::of(&room).index()];
            if mailbox.try_send(Command::Heard { room, signal }).is_err() {
                tracing::trace!("dropped a signal: the mailbox of its partition is full");
            }
        }
    }
}
