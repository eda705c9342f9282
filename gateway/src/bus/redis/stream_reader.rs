//! StreamReader: from which server a partition is read, and following its stream.
//!
//! Decides when to choose another server. Reads replicas, so that nobody is shown what only one copy holds; a primary
//! with a WAIT behind each read, while no replica can be read or the slot is still moving there; and as it is only while
//! its shard has no other copy. Positions are always explicit.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use parlor_redis::Address;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    super::{Batch, Offset, Record, TAIL_WAIT},
    epoch_hints::EpochHints,
    lag::{BEHIND, Reads},
    stream_codec,
};
use crate::{
    deadlines::ANSWER,
    redis::{
        Servers,
        connection::{Command, Fault, Node, number},
        health::Reader,
        lane::asking,
    },
    rooms::{Cause, PARTITIONS, Partition},
};

/// How long a short read may take.
pub(super) const READ: Duration = Duration::from_secs(2);

/// How long a primary is read after an epoch was opened in it.
const AGAIN: Duration = Duration::from_millis(200);

/// How what a server says is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// As it is: a copy, or the only one that there is.
    Copy,
    /// Once another server holds it too.
    Primary,
    /// As a primary's, and asked for with ASKING: the slot is not there yet.
    Moving,
}

/// The server that a partition is read from; reads of history go there too, so that they agree with the stream.
#[derive(Debug, Default)]
struct Source {
    server: Option<Address>,
    /// This primary is read until then, although replicas may look well.
    passed_over: Option<(Address, Instant)>,
}

/// What a partition's reader holds on to.
#[derive(Debug, Default)]
struct Tail {
    node: Option<Node>,
    /// A call was dropped before its answer came; the next one comes behind it.
    unanswered: bool,
    /// Replica that was left because it lay behind, and when; others come first.
    shunned: Option<(Address, Instant)>,
    /// The newest epoch that a hint named and it has looked for: one that is not there makes it look only once.
    heard: u64,
}

/// The reading half of the bus.
#[derive(Debug)]
pub(super) struct StreamReader {
    pub(super) servers: Arc<Servers>,
    epoch_hints: Arc<EpochHints>,
    readers: Vec<Mutex<Tail>>,
    sources: Vec<parking_lot::Mutex<Source>>,
    /// Where a partition's keys have gone ahead to while its slot moves.
    ahead: Vec<parking_lot::Mutex<Option<Address>>>,
    pub(super) reads: Vec<parking_lot::Mutex<Reads>>,
}

impl StreamReader {
    pub(super) fn new(servers: Arc<Servers>, epoch_hints: Arc<EpochHints>) -> Self {
        let readers = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        let sources = (0..PARTITIONS).map(|_| parking_lot::Mutex::default()).collect();
        let ahead = (0..PARTITIONS).map(|_| parking_lot::Mutex::default()).collect();
        let reads = (0..PARTITIONS).map(|_| parking_lot::Mutex::default()).collect();
        Self { servers, epoch_hints, readers, sources, ahead, reads }
    }

    /// Reads a partition where its keys have gone ahead to, by the words of an ASK.
    pub(super) fn follow(&self, partition: Partition, ask: &str) {
        *self.ahead(partition) = self.servers.cluster.redirection(ask);
    }

    fn ahead(&self, partition: Partition) -> parking_lot::MutexGuard<'_, Option<Address>> {
        self.ahead[partition.index()].lock()
    }

    /// The server that a partition's keys have gone ahead to, until the slot itself is there.
    fn moving(&self, partition: Partition) -> Option<Address> {
        let arrived = self.servers.cluster.primary(partition).ok().map(|primary| primary.server);
        let mut ahead = self.ahead(partition);
        if *ahead == arrived {
            *ahead = None;
        }
        ahead.clone()
    }

    /// Sends reads; to a primary with WAIT behind them, because nobody may be shown what only it holds. WAIT asks for
    /// what was there when the command before it began, and one that blocks begins too early: hence a PING between them.
    async fn send(
        &self,
        node: &Node,
        commands: Vec<Command>,
        trust: Trust,
        limit: Duration,
    ) -> Result<Vec<Value>, Fault> {
        if trust == Trust::Copy {
            return node.all(commands, limit).await?.into_iter().collect();
        }
        let moving = trust == Trust::Moving;
        let reads = commands.into_iter().flat_map(|read| asking(moving, read));
        let wait = Command::new("WAIT").arg(1_u32).arg(READ.as_millis() as u32 / 4);
        let answers = node.all(reads.chain([Command::new("PING"), wait]).collect(), limit).await?;
        let mut answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let copied = answers.pop().as_ref().and_then(number) > Some(0);
        answers.pop();
        let asked = usize::from(moving);
        let answers: Vec<_> = answers.into_iter().skip(asked).step_by(1 + asked).collect();
        let nothing = answers.iter().all(Value::is_null);
        if !copied && !nothing && !self.servers.health.unreplicated(&node.server) {
            return Err(Fault::Refused("only one copy holds what was read".into()));
        }
        Ok(answers)
    }

    fn source(&self, partition: Partition) -> parking_lot::MutexGuard<'_, Source> {
        self.sources[partition.index()].lock()
    }

    /// The server to read a partition from, as the health view chooses it; nothing is asked for that.
    fn choose(&self, partition: Partition, shunned: Option<&Address>) -> Result<(Address, Trust), Fault> {
        if let Some(target) = self.moving(partition) {
            return Ok((target, Trust::Moving));
        }
        let primary = self.servers.cluster.primary(partition)?;
        let mut source = self.source(partition);
        // What a new primary copied from has yet to become its replica.
        let new = |(server, until): &(Address, Instant)| *server == primary.server && Instant::now() < *until;
        let passed_over = source.passed_over.as_ref().is_some_and(new);
        let reader = self.servers.health.reader(&primary, source.server.as_ref(), shunned, partition.index());
        let (server, trust) = match reader {
            Reader::Replica(server) if !passed_over => (server, Trust::Copy),
            Reader::Replica(_) => (primary.server, Trust::Primary),
            Reader::Primary => (primary.server, Trust::Primary),
            Reader::OnlyCopy => (primary.server, Trust::Copy),
        };
        source.server = (trust == Trust::Copy).then(|| server.clone());
        Ok((server, trust))
    }

    /// Lets go of the server that a partition is read from.
    fn leave(&self, partition: Partition, server: &Address) {
        *self.ahead(partition) = None;
        let mut source = self.source(partition);
        source.passed_over = None;
        source.server.take_if(|known| known == server);
    }

    /// Short commands at the server that the partition is read from; one attempt, another server the next time.
    pub(super) async fn ask(&self, partition: Partition, commands: Vec<Command>) -> Result<Vec<Value>, Fault> {
        let (server, trust) = match self.choose(partition, None) {
            Ok(chosen) => chosen,
            Err(fault) => {
                self.servers.cluster.refresh().await?;
                self.choose(partition, None).map_err(|_| fault)?
            }
        };
        let answer = if trust == Trust::Moving {
            self.ask_both(partition, &server, commands).await
        } else {
            self.ask_one(&server, commands, trust).await
        };
        if answer.is_err() {
            self.leave(partition, &server);
            self.servers.cluster.refresh().await?;
        }
        answer
    }

    async fn ask_one(&self, server: &Address, commands: Vec<Command>, trust: Trust) -> Result<Vec<Value>, Fault> {
        let node = self.servers.cluster.node(server).await?;
        let answers = self.send(&node, commands, trust, READ).await;
        self.servers.cluster.note(&node, answers)
    }

    /// While a slot moves, some of its keys are still where it comes from, a room's history perhaps: only of a key that
    /// is no more there does the server where it goes to know.
    async fn ask_both(
        &self,
        partition: Partition,
        target: &Address,
        commands: Vec<Command>,
    ) -> Result<Vec<Value>, Fault> {
        let source = self.servers.cluster.primary(partition)?.server;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            answers.push(match self.ask_one(&source, vec![command.clone()], Trust::Primary).await {
                Err(Fault::Ask(_)) => self.ask_one(target, vec![command], Trust::Moving).await?,
                answer => answer?,
            });
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Follows a partition's stream; see [`super::super::Bus::tail`].
    pub(super) async fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Result<Batch, Fault> {
        let mut reader = self.readers[partition.index()].lock().await;
        self.begins(partition, from);
        let read = self.read(&mut reader, partition, from, limit).await;
        if let Err(fault) = &read {
            tracing::debug!(partition = partition.index(), %fault, "failed to read the stream of a partition");
            self.give_up(&mut reader, partition);
            // Sockets stay open and nothing is lost: the next read starts at the same position.
            if let Err(fault) = self.servers.cluster.refresh().await {
                tracing::debug!(%fault, "failed to refresh the cluster topology");
            }
        }
        read
    }

    fn give_up(&self, reader: &mut Tail, partition: Partition) {
        if let Some(node) = reader.node.take() {
            self.leave(partition, &node.server);
        }
        *reader = Tail { shunned: reader.shunned.take(), heard: reader.heard, ..Tail::default() };
    }

    async fn read(&self, reader: &mut Tail, partition: Partition, from: Offset, max: u32) -> Result<Batch, Fault> {
        let (server, trust) = self.choose(partition, reader.shunned.as_ref().map(|(server, _)| server))?;
        let node = match reader.node.take().filter(|node| node.server == server && node.alive()) {
            Some(node) => reader.node.insert(node),
            None => reader.node.insert(self.servers.cluster.open(&server).await?),
        };
        let read = Command::new("XREAD")
            .arg("COUNT")
            .arg(max.max(1))
            .arg("BLOCK")
            .arg(TAIL_WAIT.as_millis() as u32)
            .arg("STREAMS")
            .arg(self.servers.keys.log(partition))
            .arg(stream_codec::id(from));
        let limit = if reader.unanswered { ANSWER + TAIL_WAIT } else { ANSWER };
        reader.unanswered = true;
        let mut answers = tokio::select! {
            biased;
            answers = self.send(node, vec![read], trust, limit) => answers?,
            () = self.servers.health.silent(&server) => {
                return Err(Fault::Gone(format!("{server} has stopped answering").into()));
            }
            heard = self.epoch_hints.elsewhere(partition, from.epoch.max(reader.heard), &server) => {
                reader.heard = heard;
                self.look_around(reader, partition).await?;
                return Ok(Batch { records: Vec::new(), next: from });
            }
        };
        reader.unanswered = false;
        let value = answers.pop().unwrap_or(Value::Null);
        let batch = stream_codec::batch(value, from)
            .map_err(|error| Fault::Unfit(Cause::because("failed to read the stream", error)))?;
        self.compare(reader, partition, &batch, batch.records.len() < max as usize)?;
        if let Some(Record::Boundary { .. }) = batch.records.last()
            && trust != Trust::Moving
        {
            // Another process writes now, perhaps the very one that was read: choose again before reading on.
            self.leave(partition, &server);
            self.servers.cluster.refresh().await?;
            if self.servers.cluster.primary(partition).is_ok_and(|primary| primary.server == server) {
                self.source(partition).passed_over = Some((server.clone(), Instant::now() + AGAIN));
            }
        }
        Ok(batch)
    }

    /// The stream may continue elsewhere: asks the primary where.
    async fn look_around(&self, reader: &mut Tail, partition: Partition) -> Result<(), Fault> {
        self.give_up(reader, partition);
        match timeout(READ, self.head(partition)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Fault::Ask(ask))) => {
                self.follow(partition, &ask);
                Ok(())
            }
            Ok(Err(_)) | Err(_) => self.servers.cluster.refresh().await,
        }
    }

    /// Does the reader lie behind the primary, although its server gave `all` that it had? Then its replica is left, at most
    /// once in as long as it may lie behind: there may be no other.
    fn compare(&self, reader: &mut Tail, partition: Partition, batch: &Batch, all: bool) -> Result<(), Fault> {
        let now = Instant::now();
        let Some(mut lag) = self.lag(partition) else { return Ok(()) };
        lag.has_read(batch.next, now);
        let (absent, behind) = (batch.records.is_empty() && lag.take_absent(), lag.lies_behind(now));
        drop(lag);
        if absent {
            return Err(Fault::Absent);
        }
        if !behind {
            if !batch.records.is_empty() {
                reader.shunned = None;
            }
            return Ok(());
        }
        let left_lately = reader.shunned.as_ref().is_some_and(|(_, left)| left.elapsed() < BEHIND);
        if all
            && !left_lately
            && let Some(node) = &reader.node
        {
            tracing::debug!(partition = partition.index(), server = %node.server, "a replica lags: reading from another server");
            reader.shunned = Some((node.server.clone(), now));
            self.give_up(reader, partition);
        }
        Ok(())
    }

    async fn head(&self, partition: Partition) -> Result<Offset, Fault> {
        let primary = self.servers.cluster.primary(partition)?.server;
        stream_codec::head(self.servers.cluster.call(&primary, self.head_of(partition), READ).await?)
    }

    /// The end of the stream where it is read; see [`super::super::Bus::end`].
    pub(super) async fn end(&self, partition: Partition) -> Result<Offset, Fault> {
        let answers = self.ask(partition, vec![self.head_of(partition)]).await?;
        stream_codec::head(answers.into_iter().next().unwrap_or(Value::Null))
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        for reader in &self.readers {
            reader.lock().await.node = None;
        }
    }
}
