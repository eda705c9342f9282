//! What this gateway knows of the Redis servers: who holds which slot, and one shared connection to each.
//!
//! Decides whom to believe about the topology. Never sends a command of the bus itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use parlor_redis::{Address, Prefer};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, timeout_at},
};

use super::{
    access::Access,
    connection::{Command, Fault, Node},
    keys,
    topology::{Member, Topology},
};
use crate::rooms::{Cause, Partition};

/// Longest wait for a server's view.
const VIEW: Duration = Duration::from_secs(1);

/// How long the others have once one has answered: a frozen server costs no more than this.
const GRACE: Duration = Duration::from_millis(100);

/// Pause between two looks at the topology, while they show something new.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Pause while they show nothing new, whatever fails.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Most servers asked for their view at once.
const ASKED: usize = 16;

/// Shared connections are for short commands: reads, topology, presence.
type Shared = Arc<AsyncMutex<Opening>>;

/// How long those who queue for a connection share the failure to open it, so that they do not wait one by one.
const FAILED: Duration = Duration::from_secs(1);

/// A shared connection, or why the last attempt to open it failed.
#[derive(Debug, Default)]
struct Opening {
    node: Option<Arc<Node>>,
    failed: Option<(Instant, Fault)>,
}

/// The last look at the topology, and how long the next one waits.
#[derive(Debug, Default)]
struct Refreshed {
    last: Option<Instant>,
    pause: Duration,
}

impl Refreshed {
    /// Notes a look that has ended. Those that find nothing new come less and less often, unless it has been a while.
    fn note(&mut self, new: bool) {
        let lately = self.last.is_some_and(|last| last.elapsed() < 2 * LONGEST_PAUSE);
        let longer = (self.pause * 2).min(LONGEST_PAUSE);
        *self = Self { last: Some(Instant::now()), pause: if lately && !new { longer } else { FIRST_PAUSE } };
    }
}

/// The servers of one ChatRoom.
#[derive(Debug)]
pub(crate) struct Cluster {
    access: Access,
    /// Under which of its addresses a server is dialled.
    prefer: Prefer,
    seeds: Vec<Address>,
    topology: watch::Sender<Arc<Topology>>,
    refreshed: AsyncMutex<Refreshed>,
    shared: Mutex<HashMap<Address, Shared>>,
}

/// A view that was answered, or the word that there is no cluster.
async fn view(node: &Node, prefer: Prefer) -> Result<Topology, Fault> {
    match node.call(Command::new("CLUSTER").arg("NODES"), VIEW).await {
        Ok(value) => Topology::parse(value.as_str().as_deref().unwrap_or_default(), &node.server, prefer)
            .map_err(|error| Fault::Refused(Cause::because("failed to read CLUSTER NODES", error))),
        Err(Fault::Refused(cause) | Fault::Gone(cause)) if cause.to_string().contains("cluster support disabled") => {
            Ok(Topology::alone(&node.server))
        }
        Err(fault) => Err(fault),
    }
}

impl Cluster {
    /// Asks the seeds who is there.
    pub(crate) async fn discover(seeds: Vec<Address>, access: Access, prefer: Prefer) -> Result<Self, Fault> {
        let cluster = Self {
            access,
            prefer,
            seeds,
            topology: watch::Sender::default(),
            refreshed: AsyncMutex::default(),
            shared: Mutex::default(),
        };
        cluster.refresh().await?;
        Ok(cluster)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.topology.borrow())
    }

    /// Waits until another server than `server` is the partition's primary.
    pub(crate) async fn left(&self, partition: Partition, server: &Address) {
        let slot = keys::slot(partition);
        let elsewhere = |view: &Arc<Topology>| view.primary(slot).is_some_and(|primary| primary.server != *server);
        // An error would say that this cluster is gone.
        self.topology.subscribe().wait_for(elsewhere).await.map(drop).unwrap_or(());
    }

    /// The primary of a partition, as last known.
    pub(crate) fn primary(&self, partition: Partition) -> Result<Member, Fault> {
        let topology = self.topology();
        let primary = topology.primary(keys::slot(partition)).cloned();
        primary.ok_or_else(|| Fault::Refused("no server holds the partition's slot".into()))
    }

    /// Where a redirection leads: the last word of `MOVED 77 10.0.0.1:6379` or `ASK …`.
    pub(crate) fn redirection(&self, text: &str) -> Option<Address> {
        let announced = text.rsplit(' ').next()?.parse().ok()?;
        Some(self.topology().reached(announced))
    }

    /// What `server` answered to `CLUSTER NODES`, read.
    pub(crate) fn read_view(&self, text: &str, server: &Address) -> Result<Topology, parlor_redis::TableError> {
        Topology::parse(text, server, self.prefer)
    }

    /// Asks known servers and seeds again; keeps the view with the newest claim.
    pub(crate) async fn refresh(&self) -> Result<(), Fault> {
        let called = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if let Some(last) = refreshed.last {
            if last > called {
                return Ok(());
            }
            tokio::time::sleep_until(last + refreshed.pause).await;
        }
        let answer = self.views().await;
        let newest = answer.inspect_err(|_| refreshed.note(false))?;
        let new = self.topology.send_if_modified(|known| {
            let newer = newest.replaces(known) && newest != **known;
            if newer {
                *known = Arc::new(newest);
            }
            newer
        });
        refreshed.note(new);
        Ok(())
    }

    /// The view with the newest claim of those that come soon after the first.
    async fn views(&self) -> Result<Topology, Fault> {
        let servers = self.known();
        let mut views: FuturesUnordered<_> = servers.iter().map(|server| self.ask(server)).collect();
        let mut fault = Fault::Gone("no seed is named".into());
        let mut newest: Option<Topology> = None;
        let mut deadline = Instant::now() + 3 * VIEW;
        while let Ok(Some(view)) = timeout_at(deadline, views.next()).await {
            match view {
                Ok(view) => {
                    deadline = deadline.min(Instant::now() + GRACE);
                    if newest.as_ref().is_none_or(|known| known.epoch() < view.epoch()) {
                        newest = Some(view);
                    }
                }
                Err(error) => fault = error,
            }
        }
        newest.ok_or(fault)
    }

    fn known(&self) -> Vec<Address> {
        let topology = self.topology();
        let members = topology.members().filter(|member| !member.node.flags.failed).map(|member| member.server.clone());
        let mut known: Vec<_> = members.collect();
        // Seeds come last: names that may lead to any server, needed when all addresses have changed.
        known.extend(self.seeds.iter().filter(|seed| !topology.members().any(|m| m.server == **seed)).cloned());
        known.truncate(ASKED);
        known
    }

    /// What one server says about the cluster.
    pub(crate) async fn ask(&self, server: &Address) -> Result<Topology, Fault> {
        let node = self.node(server).await?;
        let answer = view(&node, self.prefer).await;
        self.note(&node, answer)
    }

    /// The shared connection to a server; READONLY, so that replicas answer reads.
    pub(crate) async fn node(&self, server: &Address) -> Result<Arc<Node>, Fault> {
        let shared = {
            let mut all = self.shared.lock();
            let topology = self.topology();
            if !all.contains_key(server) {
                all.retain(|known, _| topology.members().any(|member| member.server == *known));
            }
            Arc::clone(all.entry(server.clone()).or_default())
        };
        let called = Instant::now();
        let mut shared = shared.lock().await;
        if let Some(node) = shared.node.as_ref().filter(|node| node.alive()) {
            return Ok(Arc::clone(node));
        }
        if let Some((_, fault)) = shared.failed.as_ref().filter(|(at, _)| *at > called && at.elapsed() < FAILED) {
            return Err(fault.clone());
        }
        *shared = Opening::default();
        match self.open(server).await {
            Ok(node) => Ok(Arc::clone(shared.node.insert(Arc::new(node)))),
            Err(fault) => {
                shared.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// A connection of the caller's own, READONLY.
    pub(crate) async fn open(&self, server: &Address) -> Result<Node, Fault> {
        let node = Node::open(server, &self.access).await?;
        match node.call(Command::new("READONLY"), VIEW).await {
            // A single Redis knows no READONLY and needs none.
            Ok(_) | Err(Fault::Refused(_)) => Ok(node),
            Err(fault) => Err(fault),
        }
    }

    /// Passes an answer on; a connection that did not answer is not used again.
    pub(crate) fn note<T>(&self, node: &Arc<Node>, answer: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(Fault::Gone(_)) = answer {
            let mut all = self.shared.lock();
            let same = |shared: &Shared| {
                shared.try_lock().is_ok_and(|shared| shared.node.as_ref().is_some_and(|known| Arc::ptr_eq(known, node)))
            };
            if all.get(&node.server).is_some_and(same) {
                all.remove(&node.server);
            }
        }
        answer
    }

    /// One short command at a server.
    pub(crate) async fn call(
        &self,
        server: &Address,
        command: Command,
        limit: Duration,
    ) -> Result<fred::types::Value, Fault> {
        let node = self.node(server).await?;
        let answer = node.call(command, limit).await;
        self.note(&node, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_that_find_nothing_new_come_less_and_less_often_until_it_has_been_a_while() {
        let mut refreshed = Refreshed::default();
        let mut pauses = Vec::new();
        for new in [true, false, false, false, false, false, false, true] {
            tokio::time::advance(refreshed.pause).await;
            refreshed.note(new);
            pauses.push(refreshed.pause.as_millis());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 100, 100, 5]);
        refreshed.note(false);
        tokio::time::advance(2 * LONGEST_PAUSE).await;
        refreshed.note(false);
        assert_eq!(refreshed.pause, FIRST_PAUSE);
    }
}
