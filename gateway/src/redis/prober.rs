//! Asks every Redis server twice per second how it is, each over a connection of its own.
//!
//! Decides nothing: [`HealthView`] does, from the answers. Nothing that reads or writes messages waits for a probe.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use parlor_redis::Address;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::Instrument;

use super::{
    cluster::Cluster,
    connection::{Command, Fault, Node, list},
    followers::Followers,
    health::{Answer, Health, HealthView, Reader, Role},
    server_time::micros,
    steady_time::{SteadyTime, since_boot},
    topology::Member,
};
use crate::deadlines::{PROBE, PROBE_PERIOD};

/// How often the list of servers is brought up to date.
const LIST: std::time::Duration = std::time::Duration::from_secs(1);

/// Keeps the health view.
#[derive(Debug)]
pub(crate) struct Prober {
    cluster: Arc<Cluster>,
    view: Mutex<HealthView>,
    time: Mutex<SteadyTime>,
}

impl Prober {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, view: Mutex::default(), time: Mutex::default() }
    }

    fn view(&self) -> MutexGuard<'_, HealthView> {
        self.view.lock()
    }

    /// True while only this primary holds its shard's data, and a majority agrees.
    pub(crate) fn unreplicated(&self, primary: &Address) -> bool {
        self.view().unreplicated(&self.cluster.topology(), primary, Instant::now())
    }

    /// How many copies a write to `primary` waits for; see [`HealthView::copies`].
    pub(crate) fn copies(&self, primary: &Address) -> usize {
        self.view().copies(&self.cluster.topology(), primary, Instant::now())
    }

    /// What time it is in Redis, in milliseconds since the Unix epoch; None before a server has said it.
    pub(crate) fn time(&self) -> Option<u64> {
        self.time.lock().at(since_boot())
    }

    /// The worst of the shards.
    pub(crate) fn overall(&self) -> Health {
        self.view().overall(&self.cluster.topology(), Instant::now())
    }

    /// Since when `server` has been silent, if it counts as dead.
    pub(crate) fn silent_since(&self, server: &Address) -> Option<Instant> {
        self.view().silent_since(server, Instant::now())
    }

    /// Where to read what `primary` holds; see [`HealthView::reader`].
    pub(crate) fn reader(
        &self,
        primary: &Member,
        in_use: Option<&Address>,
        shunned: Option<&Address>,
        turn: usize,
    ) -> Reader {
        self.view().reader(&self.cluster.topology(), primary, in_use, (shunned, turn), Instant::now())
    }

    /// Waits until `server` counts as dead.
    pub(crate) async fn silent(&self, server: &Address) {
        loop {
            let silent_at = self.view().silent_at(server);
            match silent_at {
                Some(silent) if silent <= Instant::now() => return,
                Some(silent) => sleep_until(silent).await,
                // It is not a member yet, or no longer.
                None => sleep(PROBE_PERIOD).await,
            }
        }
    }

    fn servers(&self) -> Vec<Address> {
        self.cluster.topology().members().map(|member| member.server.clone()).collect()
    }

    /// Asks every server once.
    pub(crate) async fn look(&self) {
        let probes = self
            .servers()
            .into_iter()
            .map(async |server| self.probe(&mut None, &mut Followers::default(), &server).await);
        futures::future::join_all(probes).await;
    }

    /// Asks every server again and again, for as long as it is part of the cluster.
    pub(crate) async fn run(self: Arc<Self>) {
        let (mut tasks, mut probed) = (JoinSet::new(), HashMap::<Address, AbortHandle>::new());
        loop {
            if let Err(fault) = self.cluster.refresh().await {
                tracing::debug!(%fault, "failed to refresh the cluster topology");
            }
            let servers = self.servers();
            probed.retain(|server, probe| {
                servers.contains(server) || {
                    probe.abort();
                    false
                }
            });
            self.view().keep(|server| servers.contains(server));
            for server in servers {
                let span = tracing::info_span!("redis", %server);
                probed
                    .entry(server.clone())
                    .or_insert_with(|| tasks.spawn(Arc::clone(&self).keep_asking(server).instrument(span)));
            }
            while tasks.try_join_next().is_some() {}
            sleep(LIST).await;
        }
    }

    async fn keep_asking(self: Arc<Self>, server: Address) {
        let (mut node, mut followers, mut well) = (None, Followers::default(), true);
        loop {
            let answered = self.probe(&mut node, &mut followers, &server).await;
            let reachable = self.view().reachable(&server, Instant::now());
            match answered {
                Err(fault) if well && !reachable => tracing::warn!(%fault, "the server has stopped answering"),
                Ok(()) if !well => tracing::info!("the server answers again"),
                _ => {}
            }
            well = reachable;
            sleep(PROBE_PERIOD).await;
        }
    }

    async fn probe(&self, node: &mut Option<Node>, followers: &mut Followers, server: &Address) -> Result<(), Fault> {
        self.view().asked(server, Instant::now());
        let silent = |_| Fault::Gone(format!("{server} does not answer").into());
        let answer = timeout(PROBE, self.ask(node, followers, server)).await.map_err(silent).flatten();
        match answer {
            Ok(answer) => {
                let now = Instant::now();
                self.view().answered(server, answer, now);
                let clock = self.view().clock(now);
                if let Some(clock) = clock {
                    self.time.lock().tell(clock, since_boot());
                }
            }
            Err(fault) => {
                *node = None;
                return Err(fault);
            }
        }
        Ok(())
    }

    async fn ask(&self, node: &mut Option<Node>, followers: &mut Followers, server: &Address) -> Result<Answer, Fault> {
        let node = match node.take().filter(Node::alive) {
            Some(open) => node.insert(open),
            None => node.insert(Node::open(server, self.cluster.access()).await?),
        };
        let (info, nodes) = (Command::new("INFO").arg("replication"), Command::new("CLUSTER").arg("NODES"));
        let mut answers = node.all(vec![info, nodes, Command::new("TIME")], PROBE).await?;
        let (time, view, info) = (answers.pop(), answers.pop(), answers.pop().transpose()?);
        let clock = time.and_then(Result::ok).and_then(|time| Some(micros(&list(time))? / 1000));
        let text = |value: &fred::types::Value| value.as_str().map(|text| text.to_string()).unwrap_or_default();
        let view = view.and_then(Result::ok).and_then(|view| self.cluster.read_view(&text(&view), server).ok());
        let role = info.as_ref().map(text).and_then(|info| Role::parse(&info, followers, Instant::now()));
        Ok(Answer { role, view, clock })
    }
}
