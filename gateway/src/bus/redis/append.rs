//! Appending: one script call and its WAIT a group, again by key until the outcome is known.
//!
//! Decides what counts as acknowledged: two copies hold it, said on the connection that ran the script; or one, while a
//! majority says that there is no other. Everything else is tried again until the call's time is over.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    super::{AppendError, Appended, History},
    dataset::Dataset,
    epoch_hints::EpochHints,
    gc::GarbageCollector,
    scripts::{self, Adopted, Answer, Caller, Group},
};
use crate::{
    redis::{
        Servers,
        connection::{Command, Fault, Node, Server, number},
        lane::{asking, last, wait},
    },
    rooms::{PARTITIONS, Partition, Post, RoomName},
};

/// How long a call tries: a failover with a node timeout of 3 s takes about 5; the caller sends the group again.
const TRYING: Duration = Duration::from_secs(6);

/// How long a server may take for a group: the script and a WAIT.
const ANSWER: Duration = Duration::from_secs(2);

/// The first attempt after a fault follows at once: what most faults tell is that there is a better server.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Longest pause while a partition's keys are on their way: each of them takes some milliseconds.
const MOVING_PAUSE: Duration = Duration::from_millis(20);

/// Rooms whose history has more than one segment, remembered per partition; forgetting costs one round trip.
const SEGMENTS: usize = 4096;

/// A partition's own connection, so that a WAIT blocks nobody else.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) node: Option<Node>,
    /// The run id of the process at its other end: a connection does not outlive that.
    run: String,
    /// The server that a moving slot's keys have gone ahead to.
    pub(super) ask: Option<Server>,
    segments: HashMap<RoomName, u32>,
    /// The last group's name and mark, while its fate is unknown. A group from elsewhere in between makes it forgotten:
    /// then its keys count as duplicates.
    unanswered: Option<(u64, u32)>,
}

/// The writing half of the bus.
#[derive(Debug)]
pub(super) struct Appending {
    pub(super) servers: Arc<Servers>,
    epoch_hints: Arc<EpochHints>,
    gc: Arc<GarbageCollector>,
    pub(super) history: History,
    pub(super) lanes: Vec<Mutex<Lane>>,
    datasets: Vec<Dataset>,
}

impl Appending {
    pub(super) fn new(
        servers: Arc<Servers>,
        epoch_hints: Arc<EpochHints>,
        gc: Arc<GarbageCollector>,
        history: History,
    ) -> Self {
        let lanes = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        let datasets = (0..PARTITIONS).map(|_| Dataset::default()).collect();
        Self { servers, epoch_hints, gc, history, lanes, datasets }
    }

    /// What this gateway knows of a partition's data.
    pub(super) fn dataset(&self, partition: Partition) -> &Dataset {
        &self.datasets[partition.index()]
    }

    /// Appends a group; see [`super::super::Bus::append`].
    pub(super) async fn append(
        &self,
        partition: Partition,
        posts: &[Post],
    ) -> Result<Vec<Result<Appended, AppendError>>, AppendError> {
        let one_copy =
            self.servers.cluster.primary(partition).is_ok_and(|p| self.servers.replication.unreplicated(&p.server));
        let refused = |post: &Post| one_copy && post.durable;
        let group = Group::new(posts.iter().filter(|post| !refused(post)));
        let written = if group.rooms.is_empty() { Vec::new() } else { self.write(partition, &group).await? };
        let mut written = written.into_iter();
        let no_place = || AppendError::Unavailable("the partition has no place for another room".into());
        let next = |post| match refused(post) {
            true => Err(AppendError::NotDurable),
            false => written.next().flatten().ok_or_else(no_place),
        };
        Ok(posts.iter().map(next).collect())
    }

    async fn write(&self, partition: Partition, group: &Group<'_>) -> Result<Vec<Option<Appended>>, AppendError> {
        let deadline = Instant::now() + TRYING;
        let mut lane = self.lanes[partition.index()].lock().await;
        let name = group.name();
        let same = lane.unanswered.filter(|(last, _)| *last == name);
        let mark = same.map_or_else(rand::random, |(_, mark)| mark);
        lane.unanswered = Some((name, mark));
        let mut pause = Duration::ZERO;
        loop {
            let fault = match self.attempt_here(&mut lane, partition, group, mark).await {
                Ok(None) => return Err(AppendError::Lost),
                Ok(Some(mut written)) => {
                    lane.unanswered = None;
                    group.settle(&mut written);
                    return Ok(written);
                }
                Err(fault) => fault,
            };
            tracing::debug!(partition = partition.index(), %fault, "a group was not acknowledged");
            if Instant::now() + pause > deadline || matches!(fault, Fault::Unfit(_)) {
                return Err(AppendError::Unavailable(fault.to_string()));
            }
            // A timer takes a millisecond even for no time at all.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let longest = if fault == Fault::TryAgain { MOVING_PAUSE } else { LONGEST_PAUSE };
            pause = (pause * 2).clamp(FIRST_PAUSE, longest);
            self.recover(&mut lane, fault).await;
        }
    }

    /// Makes ready for another attempt: most faults mean that the slot's server is another one now.
    pub(super) async fn recover(&self, lane: &mut Lane, fault: Fault) {
        match fault {
            Fault::TryAgain | Fault::NoScript | Fault::Absent | Fault::Unfit(_) => return,
            Fault::Ask(text) => {
                lane.ask = text.rsplit(' ').next().and_then(Server::parse);
                lane.node = None;
                return;
            }
            Fault::Moved(_) | Fault::Refused(_) | Fault::Gone(_) => {
                lane.ask = None;
                lane.node = None;
            }
        }
        if let Err(fault) = self.servers.cluster.refresh().await {
            tracing::debug!(%fault, "the topology is not to be had");
        }
    }

    /// Opens the lane's connection to the partition's server unless it is open.
    pub(super) async fn connect(&self, lane: &mut Lane, partition: Partition) -> Result<Server, Fault> {
        let primary = self.servers.cluster.primary(partition)?.server;
        // The slot itself has arrived.
        lane.ask.take_if(|target| *target == primary);
        let server = lane.ask.clone().unwrap_or(primary);
        if lane.node.as_ref().is_none_or(|node| node.server != server || !node.alive()) {
            lane.node = None;
            let node = Node::open(&server, self.servers.cluster.access()).await?;
            lane.run = node.run_id(ANSWER).await?;
            lane.node = Some(node);
        }
        Ok(server)
    }

    /// Opens the epoch of a partition in the lane's server if none is open.
    pub(super) async fn adopt(&self, node: &Node, partition: Partition, ask: bool) -> Result<Adopted, Fault> {
        let dataset = self.dataset(partition);
        let answers =
            node.all(asking(ask, scripts::adopt(&self.servers.keys, partition, dataset.seen())), ANSWER).await?;
        let adopted = scripts::adopted(last(answers)?)?;
        dataset.see(adopted.epoch);
        self.epoch_hints.here(partition, adopted.epoch, &node.server);
        Ok(adopted)
    }

    /// One attempt, given up when another server takes the slot over: a frozen one would take its time to say nothing.
    async fn attempt_here(
        &self,
        lane: &mut Lane,
        partition: Partition,
        group: &Group<'_>,
        mark: u32,
    ) -> Result<Option<Vec<Option<Appended>>>, Fault> {
        let server = self.servers.cluster.primary(partition)?.server;
        if lane.ask.is_some() {
            return self.attempt(lane, partition, group, mark).await;
        }
        tokio::select! {
            biased;
            done = self.attempt(lane, partition, group, mark) => done,
            () = self.servers.cluster.left(partition, &server) => Err(Fault::Moved(format!("{server} was replaced"))),
        }
    }

    /// One attempt; None: the data is not that of which rooms are held.
    async fn attempt(
        &self,
        lane: &mut Lane,
        partition: Partition,
        group: &Group<'_>,
        mark: u32,
    ) -> Result<Option<Vec<Option<Appended>>>, Fault> {
        let server = self.connect(lane, partition).await?;
        let dataset = self.dataset(partition);
        // At most: adopt, know the data, load the scripts, one new segment a room, and the group itself.
        for _ in 0..group.rooms.len() + 4 {
            let one_copy = self.servers.replication.unreplicated(&server);
            let Some(node) = lane.node.as_ref() else { break };
            match self.send(lane, node, partition, (group, mark), one_copy).await {
                Ok((Answer::Written(written), copied)) => {
                    if !copied {
                        self.wait(node).await?;
                    }
                    dataset.see(written.iter().flatten().map(|answer| answer.epoch.0).max().unwrap_or(0));
                    return Ok(Some(written));
                }
                Ok((Answer::Adopt, _)) => {
                    let Adopted { epoch, .. } = self.adopt(node, partition, lane.ask.is_some()).await?;
                    tracing::info!(partition = partition.index(), epoch, %server, "an epoch is open");
                }
                Ok((Answer::Lost { .. }, _)) if dataset.held() => return Ok(None),
                Ok((Answer::Lost { born }, _)) => dataset.accept(born),
                Ok((Answer::Segment { room, segment }, _)) => {
                    if lane.segments.len() >= SEGMENTS {
                        lane.segments.clear();
                    }
                    let room = group.rooms.get(room).ok_or_else(|| Fault::Refused("no such room".into()))?;
                    lane.segments.insert((*room).clone(), segment);
                    if let Err(fault) = self.gc.drop_segments(room, segment).await {
                        tracing::debug!(%room, %fault, "old history stays until it expires");
                    }
                }
                Err(Fault::NoScript) => {
                    node.call(Command::new("SCRIPT").arg("LOAD").arg(scripts::APPEND.text), ANSWER).await?;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Refused("the script does not come to an end".into()))
    }

    /// Sends the group with its WAIT behind it; true when two copies hold it, or one must do.
    async fn send(
        &self,
        lane: &Lane,
        node: &Node,
        partition: Partition,
        (group, mark): (&Group<'_>, u32),
        one_copy: bool,
    ) -> Result<(Answer, bool), Fault> {
        let segment = |room: &RoomName| lane.segments.get(room).copied().unwrap_or(0);
        let caller = Caller { born: self.dataset(partition).born(), mark, run: &lane.run };
        let command = group.append(&self.servers.keys, partition, self.history, lane.ask.is_some(), caller, segment);
        let mut commands = asking(lane.ask.is_some(), command);
        let script = commands.len() - 1;
        if !one_copy {
            commands.push(wait());
        }
        let mut answers = node.all(commands, ANSWER).await?;
        let copied = if one_copy { true } else { answers.pop().transpose()?.as_ref().and_then(number) > Some(0) };
        answers.truncate(script + 1);
        Ok((scripts::answer(last(answers)?, mark)?, copied))
    }

    /// Waits on for the copy of what this connection has written.
    pub(super) async fn wait(&self, node: &Node) -> Result<(), Fault> {
        let deadline = Instant::now() + TRYING / 2;
        while !self.servers.replication.unreplicated(&node.server) {
            if number(&node.call(wait(), ANSWER).await?) > Some(0) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Fault::Gone("no replica has copied the group".into()));
            }
        }
        Ok(())
    }

    /// Opens the epoch of a partition if none is open, or says why the data cannot be used.
    pub(super) async fn check(&self, partition: Partition) -> Result<Adopted, Fault> {
        let server = self.servers.cluster.primary(partition)?.server;
        let dataset = self.dataset(partition);
        let command = scripts::adopt(&self.servers.keys, partition, dataset.seen());
        let adopted = scripts::adopted(self.servers.cluster.call(&server, command, ANSWER).await?)?;
        dataset.see(adopted.epoch);
        Ok(adopted)
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        for lane in &self.lanes {
            lane.lock().await.node = None;
        }
    }
}
