//! Reading: from which server a partition is read, and following its stream.
//!
//! Decides when to choose another server. Reads replicas, so that nobody is shown what only one copy holds; a primary
//! only while its shard has no other copy. Positions are always explicit.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    super::{Batch, Offset, PARTITIONS, Partition, Record, TAIL_WAIT},
    cluster::Cluster,
    node::{Command, Fault, Node, Server, number},
    record,
    replication::Replication,
    tags::Keys,
};

/// How long a server may take for a read that waits up to a second.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a reader may lie behind the primary's head before it tries another replica.
const BEHIND: Duration = Duration::from_secs(1);

/// How long a short read may take.
pub(super) const READ: Duration = Duration::from_secs(2);

/// What a partition's reader holds on to.
#[derive(Debug, Default)]
struct Reader {
    node: Option<Node>,
    /// The primary's head and when it was seen.
    ahead: Option<(Offset, Instant)>,
    compared: Option<Instant>,
    /// A call was dropped before its answer came; the next one comes behind it.
    unanswered: bool,
    /// Replica that was left because it lay behind; others come first.
    shunned: Option<Server>,
}

/// The reading half of the bus.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) cluster: Arc<Cluster>,
    replication: Arc<Replication>,
    pub(super) keys: Keys,
    readers: Vec<Mutex<Reader>>,
    /// The server that each partition is read from; reads of history go there too, so that they agree with the stream.
    sources: Vec<std::sync::Mutex<Option<Server>>>,
    /// Where a partition's keys have gone ahead to while its slot moves.
    ahead: Vec<std::sync::Mutex<Option<Server>>>,
}

impl Reading {
    pub(super) fn new(cluster: Arc<Cluster>, replication: Arc<Replication>, keys: Keys) -> Self {
        let readers = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        let sources = (0..PARTITIONS).map(|_| std::sync::Mutex::default()).collect();
        let ahead = (0..PARTITIONS).map(|_| std::sync::Mutex::default()).collect();
        Self { cluster, replication, keys, readers, sources, ahead }
    }

    /// Reads a partition where its keys have gone ahead to, by the words of an ASK.
    pub(super) fn follow(&self, partition: Partition, ask: &str) {
        *self.ahead(partition) = ask.rsplit(' ').next().and_then(Server::parse);
    }

    fn ahead(&self, partition: Partition) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.ahead[partition.index()].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The server that a partition's keys have gone ahead to, until the slot itself is there.
    fn moving(&self, partition: Partition) -> Option<Server> {
        let arrived = self.cluster.primary(partition).ok().map(|primary| primary.server);
        let mut ahead = self.ahead(partition);
        if *ahead == arrived {
            *ahead = None;
        }
        ahead.clone()
    }

    /// Sends reads; where the slot is moving, with ASKING before each and WAIT behind them, because that server is a
    /// primary and nobody may be shown what only it holds.
    async fn send(
        &self,
        node: &Node,
        commands: Vec<Command>,
        moving: bool,
        limit: Duration,
    ) -> Result<Vec<Value>, Fault> {
        if !moving {
            return node.all(commands, limit).await?.into_iter().collect();
        }
        let asking = commands.into_iter().flat_map(|command| [Command::new("ASKING"), command]);
        let wait = Command::new("WAIT").arg(1_u32).arg(READ.as_millis() as u32 / 4);
        let answers = node.all(asking.chain([wait]).collect(), limit).await?;
        let mut answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let copies = answers.pop().as_ref().and_then(number);
        if copies == Some(0) && !self.replication.unreplicated(&node.server) {
            return Err(Fault::Refused("only one copy holds what was read".into()));
        }
        Ok(answers.into_iter().skip(1).step_by(2).collect())
    }

    fn source(&self, partition: Partition) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.sources[partition.index()].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The server to read a partition from: the one in use, or an in-sync replica, or a primary that is alone.
    async fn choose(&self, partition: Partition, shunned: Option<&Server>) -> Result<Server, Fault> {
        if let Some(target) = self.moving(partition) {
            return Ok(target);
        }
        let primary = self.cluster.primary(partition)?;
        let alone = self.replication.unreplicated(&primary.server);
        let topology = self.cluster.topology();
        let in_use = self.source(partition).clone();
        if alone {
            *self.source(partition) = Some(primary.server.clone());
            return Ok(primary.server);
        }
        let mut replicas: Vec<_> =
            topology.replicas(&primary).filter(|r| !r.failed && !r.suspected).map(|r| r.server.clone()).collect();
        if let Some(server) = in_use.filter(|server| replicas.contains(server)) {
            return Ok(server);
        }
        let turn = partition.index() % replicas.len().max(1);
        replicas.rotate_left(turn);
        replicas.sort_by_key(|server| Some(server) == shunned);
        for server in replicas {
            if self.in_sync(&server).await {
                *self.source(partition) = Some(server.clone());
                return Ok(server);
            }
        }
        Err(Fault::Refused("no replica of the partition is in sync".into()))
    }

    async fn in_sync(&self, server: &Server) -> bool {
        let info = self.cluster.call(server, Command::new("INFO").arg("replication"), READ).await;
        let info = info.ok().and_then(|info| info.as_str().map(|text| text.to_string())).unwrap_or_default();
        info.lines().any(|line| line.trim() == "role:slave")
            && info.lines().any(|line| line.trim() == "master_link_status:up")
    }

    /// Lets go of the server that a partition is read from.
    fn leave(&self, partition: Partition, server: &Server) {
        *self.ahead(partition) = None;
        let mut source = self.source(partition);
        if source.as_ref() == Some(server) {
            *source = None;
        }
    }

    /// Short commands at the server that the partition is read from; one attempt, another server the next time.
    pub(super) async fn ask(&self, partition: Partition, commands: Vec<Command>) -> Result<Vec<Value>, Fault> {
        let server = match self.choose(partition, None).await {
            Ok(server) => server,
            Err(fault) => {
                self.cluster.refresh().await?;
                self.choose(partition, None).await.map_err(|_| fault)?
            }
        };
        let answer = async {
            let node = self.cluster.node(&server).await?;
            let moving = self.moving(partition).is_some();
            let answers = self.send(&node, commands, moving, READ).await;
            self.cluster.note(&node, answers)
        };
        let answer = answer.await;
        if answer.is_err() {
            self.leave(partition, &server);
            self.cluster.refresh().await?;
        }
        answer
    }

    /// Follows a partition's stream; see [`super::super::Bus::tail`].
    pub(super) async fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Result<Batch, Fault> {
        let mut reader = self.readers[partition.index()].lock().await;
        let read = self.read(&mut reader, partition, from, limit).await;
        if let Err(fault) = &read {
            tracing::debug!(partition = partition.index(), %fault, "a read failed");
            self.give_up(&mut reader, partition, None);
            // Sockets stay open and nothing is lost: the next read starts at the same position.
            if let Err(fault) = self.cluster.refresh().await {
                tracing::debug!(%fault, "the topology is not to be had");
            }
        }
        read
    }

    fn give_up(&self, reader: &mut Reader, partition: Partition, shunned: Option<Server>) {
        if let Some(node) = reader.node.take() {
            self.leave(partition, &node.server);
        }
        *reader = Reader { shunned, ..Reader::default() };
    }

    async fn read(&self, reader: &mut Reader, partition: Partition, from: Offset, limit: u32) -> Result<Batch, Fault> {
        let server = self.choose(partition, reader.shunned.as_ref()).await?;
        let node = match reader.node.take().filter(|node| node.server == server && node.alive()) {
            Some(node) => reader.node.insert(node),
            None => reader.node.insert(self.cluster.open(&server).await?),
        };
        let read = Command::new("XREAD")
            .arg("COUNT")
            .arg(limit.max(1))
            .arg("BLOCK")
            .arg(TAIL_WAIT.as_millis() as u32)
            .arg("STREAMS")
            .arg(self.keys.log(partition))
            .arg(record::id(from));
        let limit = if reader.unanswered { ANSWER + TAIL_WAIT } else { ANSWER };
        reader.unanswered = true;
        let moving = self.moving(partition).is_some();
        let mut answers = self.send(node, vec![read], moving, limit).await?;
        reader.unanswered = false;
        let value = answers.pop().unwrap_or(Value::Null);
        let batch = record::batch(value, from).map_err(|error| Fault::Unfit(error.to_string()))?;
        if batch.records.is_empty() {
            self.compare(reader, partition, from).await?;
            return Ok(batch);
        }
        reader.ahead = None;
        if let Some(Record::Boundary { .. }) = batch.records.last() {
            // Another process writes now, perhaps the very one that was read: choose again before reading on.
            self.give_up(reader, partition, None);
            self.cluster.refresh().await?;
        }
        Ok(batch)
    }

    /// Once a second: does the reader lie behind the primary without moving? Then its replica is left.
    async fn compare(&self, reader: &mut Reader, partition: Partition, at: Offset) -> Result<(), Fault> {
        if reader.compared.is_some_and(|last| last.elapsed() < BEHIND) {
            return Ok(());
        }
        reader.compared = Some(Instant::now());
        if let Some((head, seen)) = reader.ahead
            && seen.elapsed() >= BEHIND
            && at < head
        {
            let shunned = reader.node.as_ref().map(|node| node.server.clone());
            tracing::debug!(partition = partition.index(), ?shunned, "a replica lies behind");
            self.give_up(reader, partition, shunned);
            return Ok(());
        }
        match timeout(READ, self.head(partition)).await {
            Ok(Ok(head)) => reader.ahead = (at < head).then_some((head, Instant::now())),
            Ok(Err(Fault::Ask(ask))) => self.follow(partition, &ask),
            Ok(Err(Fault::Absent)) => return Err(Fault::Absent),
            // A primary that does not answer is no reason to leave its replica.
            Ok(Err(_)) | Err(_) => {}
        }
        Ok(())
    }

    async fn head(&self, partition: Partition) -> Result<Offset, Fault> {
        let primary = self.cluster.primary(partition)?.server;
        let command = Command::new("HMGET").arg(self.keys.meta(partition)).arg("generation").arg("offset");
        record::head(self.cluster.call(&primary, command, READ).await?)
    }

    /// The end of the stream where it is read; see [`super::super::Bus::end`].
    pub(super) async fn end(&self, partition: Partition) -> Result<Offset, Fault> {
        let command = Command::new("HMGET").arg(self.keys.meta(partition)).arg("generation").arg("offset");
        let answers = self.ask(partition, vec![command]).await?;
        record::head(answers.into_iter().next().unwrap_or(Value::Null))
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        for reader in &self.readers {
            reader.lock().await.node = None;
        }
    }
}
