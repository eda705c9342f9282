//! Signals between gateways: published at any server, heard by all.
//!
//! Decides nothing about their meaning. Both directions are bounded and conflated; what Redis drops is gone.

use std::{collections::HashSet, sync::Arc, time::Duration};

use fred::{
    interfaces::{EventInterface, PubsubInterface},
    types::Message,
};
use futures::FutureExt;
use parking_lot::Mutex;
use parlor_redis::Address;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{sleep, timeout},
};

use super::{
    super::signals::Signals,
    epoch_hints::{EpochHints, Opening},
};
use crate::{
    redis::{
        Servers,
        connection::{Command, Fault, Node},
    },
    rooms::{Cause, PARTITIONS, Partition, RoomName, Signal},
};

/// Pause after the connection was lost.
const PAUSE: Duration = Duration::from_millis(200);

/// How long subscribing may take, and how often the connection is proved.
const ANSWER: Duration = Duration::from_secs(2);

/// Signals published in one go.
const BURST: usize = 256;

/// A signal on the wire. Unknown kinds of a newer release are skipped.
#[derive(Debug, Serialize, Deserialize)]
struct Wire<'a> {
    room: std::borrow::Cow<'a, str>,
    signal: Signal,
}

/// On the same channel: an epoch was opened. Older releases skip it.
#[derive(Debug, Serialize, Deserialize)]
struct WireOpening {
    partition: u16,
    /// Called as in the stored metadata, see [`Keys::meta`].
    #[serde(rename = "generation")]
    epoch: u64,
    /// `host:port`, as the gateway knows it that opened the epoch.
    server: String,
}

/// Both directions of signals.
#[derive(Debug)]
pub(super) struct Signalling {
    pub(super) servers: Arc<Servers>,
    epoch_hints: Arc<EpochHints>,
    pub(super) heard: Signals,
    said: Signals,
    watched: watch::Sender<HashSet<Partition>>,
    /// Channels that the current connection is subscribed to.
    subscribed: Mutex<HashSet<Partition>>,
}

impl Signalling {
    pub(super) fn new(servers: Arc<Servers>, epoch_hints: Arc<EpochHints>) -> Self {
        let (heard, said, watched) = Default::default();
        Self { servers, epoch_hints, heard, said, watched, subscribed: Mutex::default() }
    }

    /// Queues a signal for publishing.
    pub(super) fn say(&self, room: &RoomName, signal: &Signal) {
        self.said.push(room.clone(), signal.clone());
    }

    /// Subscribes to a partition or ends that; returns when the server knows, or after two seconds.
    pub(super) async fn watch(&self, partition: Partition, on: bool) {
        self.watched
            .send_if_modified(|watched| if on { watched.insert(partition) } else { watched.remove(&partition) });
        let told = async {
            while on && !self.subscribed.lock().contains(&partition) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        // Signals may be lost anyway; a slow server must not hold up a join.
        if timeout(ANSWER, told).await.is_err() {
            tracing::debug!(partition = partition.index(), "still subscribing to signals");
        }
    }

    /// Publishes what was said, for ever.
    pub(super) async fn publish(&self) {
        loop {
            let words: Vec<_> = tokio::select! {
                opened = self.epoch_hints.untold() => opened.into_iter().map(|opened| self.opening(opened)).collect(),
                said = self.said.take() => said.iter().map(|said| self.signal(said)).collect(),
            };
            self.send_all(&words).await;
        }
    }

    async fn send_all(&self, words: &[Command]) {
        for burst in words.chunks(BURST) {
            if let Err(fault) = self.send(burst).await {
                tracing::debug!(%fault, "signals were dropped");
            }
        }
    }

    /// Publishes what waits now.
    pub(super) async fn flush(&self) {
        let said = self.said.take().now_or_never().unwrap_or_default();
        let words: Vec<_> = said.iter().map(|said| self.signal(said)).collect();
        self.send_all(&words).await;
    }

    fn signal(&self, (room, signal): &(RoomName, Signal)) -> Command {
        self.word(Partition::of(room), &Wire { room: room.as_str().into(), signal: signal.clone() })
    }

    fn opening(&self, (partition, Opening { epoch, server }): (Partition, Opening)) -> Command {
        let server = server.map(|server| server.to_string()).unwrap_or_default();
        self.word(partition, &WireOpening { partition: partition.index() as u16, epoch, server })
    }

    fn word(&self, partition: Partition, wire: &impl Serialize) -> Command {
        let text = serde_json::to_string(wire).unwrap_or_default();
        Command::new("PUBLISH").arg(self.servers.keys.signals(partition)).arg(text)
    }

    async fn send(&self, burst: &[Command]) -> Result<(), Fault> {
        let topology = self.servers.cluster.topology();
        let mut fault = Fault::Refused("no server is known".into());
        for member in topology.voters() {
            let sent = async {
                let node = self.servers.cluster.node(&member.server).await?;
                let answers = node.all(burst.to_vec(), ANSWER).await;
                self.servers.cluster.note(&node, answers)
            };
            match sent.await {
                Ok(_) => return Ok(()),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// Hears the watched partitions, for ever; opens another connection when one is lost.
    pub(super) async fn hear(&self) {
        for turn in 0_usize.. {
            let topology = self.servers.cluster.topology();
            let servers: Vec<_> = topology.members().filter(|member| member.is_well()).collect();
            if let Some(member) = servers.get(turn % servers.len().max(1))
                && let Err(fault) = self.hear_at(&member.server).await
            {
                tracing::debug!(%fault, "failed to listen to signals");
            }
            self.subscribed.lock().clear();
            sleep(PAUSE).await;
        }
    }

    async fn hear_at(&self, server: &Address) -> Result<(), Fault> {
        let node = Node::open_to_hear(server, self.servers.cluster.access()).await?;
        let mut messages = node.client().message_rx();
        let mut watched = self.watched.subscribe();
        watched.mark_changed();
        let mut proof = tokio::time::interval(ANSWER);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) => self.take(&message),
                    Err(RecvError::Lagged(number)) => tracing::debug!(number, "signals were dropped"),
                    Err(RecvError::Closed) => return Ok(()),
                },
                changed = watched.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let wanted = watched.borrow_and_update().clone();
                    self.subscribe(&node, wanted).await?;
                }
                _ = proof.tick() => {
                    node.call(Command::new("PING"), ANSWER).await?;
                }
            }
        }
    }

    async fn subscribe(&self, node: &Node, wanted: HashSet<Partition>) -> Result<(), Fault> {
        let known = self.subscribed.lock().clone();
        let channels = |partitions: Vec<&Partition>| -> Vec<String> {
            partitions.into_iter().map(|partition| self.servers.keys.signals(*partition)).collect()
        };
        let (more, less) =
            (channels(wanted.difference(&known).collect()), channels(known.difference(&wanted).collect()));
        let client = node.client();
        let told = async {
            if !more.is_empty() {
                client.subscribe(more).await?;
            }
            if !less.is_empty() {
                client.unsubscribe(less).await?;
            }
            Ok::<(), fred::error::Error>(())
        };
        match timeout(ANSWER, told).await {
            Ok(Ok(())) => *self.subscribed.lock() = wanted,
            Ok(Err(error)) => return Err(Fault::Gone(Cause::because("failed to subscribe", error))),
            Err(_) => return Err(Fault::Gone("a server does not answer".into())),
        }
        Ok(())
    }

    fn take(&self, message: &Message) {
        let text = message.value.as_str();
        let text = text.as_deref().unwrap_or_default();
        if let Some((room, signal)) = read(text) {
            self.heard.push(room, signal);
        } else if let Some((partition, opening)) = opening(text) {
            self.epoch_hints.hear(partition, opening);
        }
    }
}

/// What was published, and for which room; None for what this release does not know.
pub fn read(text: &str) -> Option<(RoomName, Signal)> {
    let wire: Wire<'_> = serde_json::from_str(text).ok()?;
    Some((RoomName::stored(&wire.room).ok()?, wire.signal))
}

/// Which epoch was opened where; None for anything else.
fn opening(text: &str) -> Option<(Partition, Opening)> {
    let WireOpening { partition, epoch, server } = serde_json::from_str(text).ok()?;
    let partition = (partition < PARTITIONS).then(|| Partition::nth(partition.into()))?;
    Some((partition, Opening { epoch, server: server.parse().ok() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_read_only_if_it_is_whole_and_names_a_partition() {
        let whole = r#"{"partition":63,"generation":7,"server":"h:1"}"#;
        let server = "h:1".parse().ok();
        assert_eq!(opening(whole), Some((Partition::nth(63), Opening { epoch: 7, server })));
        let unnamed = opening(r#"{"partition":0,"generation":7,"server":"?"}"#).map(|(_, opening)| opening);
        assert_eq!(unnamed, Some(Opening { epoch: 7, server: None }));
        for other in [
            "",
            r#"{"partition":64,"generation":7,"server":"h:1"}"#,
            r#"{"partition":63,"generation":-7,"server":"h:1"}"#,
            r#"{"partition":63,"generation":7}"#,
            r#"{"room":"lobby","signal":"Count"}"#,
        ] {
            assert_eq!(opening(other), None, "{other}");
        }
        assert_eq!(read(whole), None);
    }
}
