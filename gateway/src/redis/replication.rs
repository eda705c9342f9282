//! Which shards have only one copy now, and how the bus is doing.
//!
//! Decides from what a majority of the primaries says, never from one server's word: a primary that was cut off would
//! call itself unreplicated and lose what it acknowledges. Runs once a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use super::{
    cluster::Cluster,
    connection::{Command, Fault, Server},
    topology::Topology,
};

/// How long a replica's link may be down before its shard counts as unreplicated.
const LINK_DOWN: Duration = Duration::from_secs(5);

/// How long a primary may stay silent before the bus counts as away.
const SILENT: Duration = Duration::from_secs(3);

const EVERY: Duration = Duration::from_secs(1);

/// How long a server may take to say how it is; with its connection, twice as long.
const ANSWER: Duration = Duration::from_millis(500);

/// How the servers are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Replicated,
    Unreplicated,
    Unavailable,
}

/// What is known of a primary.
#[derive(Clone, Copy, Debug)]
struct Primary {
    answered: Instant,
    linked: Instant,
    unreplicated: bool,
}

/// The state of all shards.
#[derive(Debug)]
pub(crate) struct Replication {
    cluster: Arc<Cluster>,
    primaries: Mutex<HashMap<Server, Primary>>,
}

/// Does this view name `server` as a primary with slots whose replicas have all failed (or never were)?
fn lonely(view: &Topology, server: &Server, any_link: bool) -> bool {
    let Some(primary) = view.voters().find(|member| member.server == *server) else { return false };
    !primary.failed && (!any_link || view.replicas(primary).all(|replica| replica.failed))
}

/// Replicas that follow online, by `INFO replication` of a primary; None when it is no primary.
pub fn followers(info: &str) -> Option<usize> {
    let mut lines = info.lines();
    lines.any(|line| line.trim() == "role:master").then_some(())?;
    Some(lines.filter(|line| line.starts_with("slave") && line.contains("state=online")).count())
}

impl Replication {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, primaries: Mutex::default() }
    }

    /// True while only this primary holds its shard's data, and a majority agrees.
    pub(crate) fn unreplicated(&self, primary: &Server) -> bool {
        self.cluster.alone() || self.known(primary).is_some_and(|known| known.unreplicated)
    }

    fn known(&self, primary: &Server) -> Option<Primary> {
        self.primaries.lock().unwrap_or_else(PoisonError::into_inner).get(primary).copied()
    }

    /// The worst of the shards.
    pub(crate) fn health(&self) -> Health {
        let topology = self.cluster.topology();
        let mut health = Health::Replicated;
        for member in topology.voters() {
            match self.known(&member.server) {
                Some(known) if known.answered.elapsed() > SILENT => return Health::Unavailable,
                Some(known) if known.unreplicated => health = Health::Unreplicated,
                _ => {}
            }
        }
        if self.cluster.alone() && health == Health::Replicated { Health::Unreplicated } else { health }
    }

    /// Looks at every shard once a second, for ever.
    pub(crate) async fn watch(&self) {
        let mut turns = interval(EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.look().await;
        }
    }

    /// Looks at every shard once.
    pub(crate) async fn look(&self) {
        let refreshed = self.cluster.refresh().await;
        if let Err(fault) = refreshed {
            tracing::debug!(%fault, "the topology is not to be had");
        }
        let topology = self.cluster.topology();
        let servers: Vec<_> = topology.voters().map(|member| member.server.clone()).collect();
        join_all(servers.iter().map(async |server| self.judge(server, self.info(server).await).await)).await;
        let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
        primaries.retain(|server, _| servers.contains(server));
    }

    async fn info(&self, server: &Server) -> Result<Option<usize>, Fault> {
        let info = self.cluster.call(server, Command::new("INFO").arg("replication"), ANSWER);
        // Opening a connection to a frozen server takes longer, and the next look must not wait for that.
        let silent = |_| Fault::Gone(format!("{server} does not answer"));
        let info = timeout(2 * ANSWER, info).await.map_err(silent)??;
        Ok(followers(info.as_str().as_deref().unwrap_or_default()))
    }

    async fn judge(&self, server: &Server, followers: Result<Option<usize>, Fault>) {
        let now = Instant::now();
        let fresh = Primary { answered: now, linked: now, unreplicated: false };
        let mut known = self.known(server).unwrap_or(fresh);
        match followers {
            Ok(Some(0)) => {
                known.answered = now;
                known.unreplicated = self.alone_by_majority(server, known.linked.elapsed() < LINK_DOWN).await;
            }
            Ok(Some(_)) => known = fresh,
            Ok(None) => known.unreplicated = false,
            Err(fault) => tracing::debug!(%server, %fault, "a primary does not answer"),
        }
        self.primaries.lock().unwrap_or_else(PoisonError::into_inner).insert(server.clone(), known);
    }

    async fn alone_by_majority(&self, server: &Server, linked_lately: bool) -> bool {
        if self.cluster.alone() {
            return true;
        }
        let topology = self.cluster.topology();
        let voters: Vec<_> = topology.voters().map(|member| member.server.clone()).collect();
        let mut views: FuturesUnordered<_> = voters.iter().map(|voter| self.cluster.ask(voter)).collect();
        let (deadline, mut agreeing) = (Instant::now() + ANSWER, 0);
        while agreeing <= voters.len() / 2
            && let Ok(Some(view)) = timeout_at(deadline, views.next()).await
        {
            agreeing += usize::from(view.is_ok_and(|view| lonely(&view, server, linked_lately)));
        }
        agreeing > voters.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        slave0:ip=127.0.0.1,port=7003,state=online,offset=5,lag=0\r\n\
        slave1:ip=127.0.0.1,port=7004,state=wait_bgsave,offset=0,lag=0\r\n";

    #[test]
    fn only_replicas_that_are_online_count() {
        assert_eq!(followers(INFO), Some(1));
        assert_eq!(followers("# Replication\r\nrole:slave\r\n"), None);
    }

    fn view(replica_flags: &str, owner: &str) -> Topology {
        let (a, b) = if owner == "a" { ("0-16383", "") } else { ("", "0-16383") };
        let text = format!(
            "a 10.0.0.1:1@2 master - 0 0 1 connected {a}\nb 10.0.0.2:1@2 master - 0 0 2 connected {b}\n\
             c 10.0.0.3:1@2 {replica_flags} a 0 0 1 connected\n"
        );
        Topology::parse(&text, &Server::parse("x:1").unwrap()).unwrap()
    }

    #[test]
    fn a_primary_is_alone_when_its_replica_failed_and_it_still_owns_the_slots() {
        let server = Server::parse("10.0.0.1:1").unwrap();
        assert!(lonely(&view("slave,fail", "a"), &server, true));
        assert!(!lonely(&view("slave,fail?", "a"), &server, true));
        assert!(!lonely(&view("slave", "a"), &server, true));
        assert!(lonely(&view("slave", "a"), &server, false));
        assert!(!lonely(&view("slave,fail", "b"), &server, true));
    }
}
