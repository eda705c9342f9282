//! Appending: one script call and its WAIT a group, again by key until the outcome is known.
//!
//! Decides what counts as acknowledged: two copies hold it, said on the connection that ran the script; or one, while a
//! majority says that there is no other. Everything else is tried again until the call's time is over.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::sleep};

use super::{
    super::{AppendError, Appended, History, Offset},
    answers::{self, Adopted, Unwritten},
    dataset::Dataset,
    epoch_hints::EpochHints,
    formats::Formats,
    gc::GarbageCollector,
    scripts::{self, Caller, ScriptGroup},
};
use crate::{
    deadlines::{ANSWER, APPEND},
    redis::{
        Fault, Servers,
        lane::{Answer, Connection, Failed, Lane, Repeat, Request},
    },
    rooms::{Cause, Partition, Post, RoomName},
};

/// Rooms whose history has more than one segment, remembered per partition; forgetting costs one round trip.
const SEGMENTS: usize = 4096;

/// Pause between two attempts while others may give back what was lost: they are often done before the time is over.
const HELD: Duration = Duration::from_millis(100);

/// What the writing half keeps of a partition between groups. Held for as long as a group or a restore is under way, so
/// that a WAIT blocks nobody else.
#[derive(Debug, Default)]
pub(super) struct Writer {
    segments: HashMap<RoomName, u32>,
    /// The last group's name and mark, while its outcome is unknown. A group from elsewhere in between makes it forgotten:
    /// then its keys count as duplicates.
    unanswered: Option<(u64, u32)>,
}

/// A partition as the writing half sees it.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) lane: Lane,
    pub(super) writer: Mutex<Writer>,
    dataset: Dataset,
}

/// The writing half of the bus.
#[derive(Debug)]
pub(super) struct Appending {
    pub(super) servers: Arc<Servers>,
    epoch_hints: Arc<EpochHints>,
    gc: Arc<GarbageCollector>,
    formats: Formats,
    pub(super) history: History,
    partitions: Vec<Writing>,
}

impl Appending {
    pub(super) fn new(
        servers: Arc<Servers>,
        epoch_hints: Arc<EpochHints>,
        gc: Arc<GarbageCollector>,
        history: History,
    ) -> Self {
        let writing = |partition| Writing {
            lane: Lane::new(Arc::clone(&servers), partition),
            writer: Mutex::default(),
            dataset: Dataset::default(),
        };
        let partitions = Partition::all().map(writing).collect();
        let formats = Formats::new(Arc::clone(&servers));
        Self { servers, epoch_hints, gc, formats, history, partitions }
    }

    pub(super) fn writing(&self, partition: Partition) -> &Writing {
        &self.partitions[partition.index()]
    }

    /// What this gateway knows of a partition's data.
    pub(super) fn dataset(&self, partition: Partition) -> &Dataset {
        &self.writing(partition).dataset
    }

    /// Appends a group; see [`super::super::Bus::append`].
    pub(super) async fn append(
        &self,
        partition: Partition,
        posts: &[Post],
    ) -> Result<Vec<Result<Appended, AppendError>>, AppendError> {
        let one_copy =
            self.servers.cluster.primary(partition).is_ok_and(|p| self.servers.health.unreplicated(&p.server));
        let amends = posts.iter().any(|post| post.amends.is_some());
        let unread = if amends { self.formats.check().await.err() } else { None };
        let refused = |post: &Post| match &unread {
            _ if one_copy && post.durable => Some(AppendError::NotDurable),
            Some(error) if post.amends.is_some() => Some(error.clone()),
            _ => None,
        };
        let group = ScriptGroup::new(posts.iter().filter(|post| refused(post).is_none()));
        let written = if group.rooms.is_empty() { Vec::new() } else { self.write(partition, &group).await? };
        let mut written = written.into_iter();
        let no_answer = || Err(AppendError::Unavailable("the script did not answer for every post".into()));
        let next = |post| match refused(post) {
            Some(error) => Err(error),
            None => written.next().map_or_else(no_answer, |fate| fate.map_err(AppendError::from)),
        };
        Ok(posts.iter().map(next).collect())
    }

    async fn write(
        &self,
        partition: Partition,
        group: &ScriptGroup<'_>,
    ) -> Result<Vec<Result<Appended, Unwritten>>, AppendError> {
        let Writing { lane, writer, .. } = self.writing(partition);
        let mut writer = writer.lock().await;
        let name = group.name();
        let same = writer.unanswered.filter(|(last, _)| *last == name);
        let mark = same.map_or_else(rand::random, |(_, mark)| mark);
        writer.unanswered = Some((name, mark));
        let append = Append { appending: self, writer: &mut writer, partition, group, mark };
        match lane.carry_out(append, APPEND).await {
            Ok(None) => Err(AppendError::Lost),
            Ok(Some(mut written)) => {
                writer.unanswered = None;
                group.settle(&mut written);
                Ok(written)
            }
            Err(Fault::Denied(reason)) => Err(AppendError::Denied(reason)),
            Err(fault) => Err(AppendError::Unavailable(Cause::because("failed to append posts", fault))),
        }
    }

    /// Opens the epoch of a partition at the other end of this connection if none is open.
    pub(super) async fn adopt(
        &self,
        connection: &Connection,
        partition: Partition,
        broken: Option<u64>,
    ) -> Result<Adopted, Failed> {
        let dataset = self.dataset(partition);
        let answer = connection.send(scripts::adopt(&self.servers.keys, partition, dataset.seen(), broken)).await?;
        let adopted = answers::adopted(answer).map_err(Failed::before)?;
        dataset.see(Offset { epoch: adopted.epoch, offset: adopted.offset });
        self.epoch_hints.here(partition, adopted.epoch, connection.server());
        Ok(adopted)
    }

    async fn next_segment(&self, writer: &mut Writer, room: &RoomName, segment: u32) {
        if writer.segments.len() >= SEGMENTS {
            writer.segments.clear();
        }
        writer.segments.insert(room.clone(), segment);
        if let Err(fault) = self.gc.drop_segments(room, segment).await {
            tracing::debug!(%room, %fault, "failed to drop old history; it goes when it expires");
        }
    }

    /// Opens the epoch of a partition if none is open, or says why the data cannot be used.
    pub(super) async fn check(&self, partition: Partition) -> Result<Adopted, Fault> {
        let server = self.servers.cluster.primary(partition)?.server;
        let dataset = self.dataset(partition);
        let command = scripts::adopt(&self.servers.keys, partition, dataset.seen(), None);
        let adopted = answers::adopted(self.servers.cluster.call(&server, command, ANSWER).await?)?;
        dataset.see(Offset { epoch: adopted.epoch, offset: adopted.offset });
        Ok(adopted)
    }

    /// Ends all connections.
    pub(super) async fn close(&self) {
        for Writing { lane, .. } in &self.partitions {
            lane.close().await;
        }
    }
}

impl From<Unwritten> for AppendError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::NoPlace => Self::Unavailable("the partition has no place for another room".into()),
            Unwritten::Amendment(refused) => Self::Amendment(refused),
        }
    }
}

/// A group on its way to Redis.
struct Append<'a> {
    appending: &'a Appending,
    writer: &'a mut Writer,
    partition: Partition,
    group: &'a ScriptGroup<'a>,
    mark: u32,
}

impl Request for Append<'_> {
    /// `None` if the partition was reset since this gateway loaded its rooms.
    type Done = Option<Vec<Result<Appended, Unwritten>>>;
    /// Dedupe knows the keys of what was written.
    const REPEAT: Repeat = Repeat::Always;

    async fn attempt(&mut self, connection: &Connection) -> Result<Self::Done, Failed> {
        let Self { appending, writer, partition, group, mark } = self;
        let (partition, dataset) = (*partition, appending.dataset(*partition));
        let again = || Failed::before(Fault::Refused("the script does not come to an end".into()));
        // At most: adopt, begin again, know the data, one new segment per room, and the group itself.
        for _ in 0..group.rooms.len() + 4 {
            let segment = |room: &RoomName| writer.segments.get(room).copied().unwrap_or(0);
            let caller = Caller {
                born: dataset.born(),
                mark: *mark,
                run: &connection.run,
                gave_back: dataset.has_given_back(),
                time: appending.servers.health.time(),
            };
            let command =
                group.append(&appending.servers.keys, partition, appending.history, connection.moving, caller, segment);
            let Answer { value, copied, sent } = connection.run(&scripts::APPEND, command).await?;
            match answers::answer(value, *mark).map_err(Failed::before)? {
                answers::Answer::Written(written) => {
                    if !copied {
                        connection.copied(sent).await?;
                    }
                    let epoch = written.iter().flatten().map(|answer| answer.epoch.0).max().unwrap_or(0);
                    dataset.see(Offset { epoch, offset: 0 });
                    return Ok(Some(written));
                }
                answers::Answer::Adopt => {
                    let (epoch, server) =
                        (appending.adopt(connection, partition, None).await?.epoch, connection.server());
                    tracing::info!(partition = partition.index(), epoch, %server, "opened an epoch");
                }
                answers::Answer::Broken { epoch } => {
                    let server = connection.server();
                    tracing::error!(partition = partition.index(), epoch, %server, "keys of the partition are missing; it starts over in a new epoch");
                    appending.adopt(connection, partition, Some(epoch)).await?;
                }
                answers::Answer::Hold(longest) => {
                    sleep(longest.min(HELD)).await;
                    return Err(Failed::before(Fault::TryAgain));
                }
                answers::Answer::Lost { .. } if dataset.held() => return Ok(None),
                answers::Answer::Lost { born } => dataset.accept(born),
                answers::Answer::Segment { room, segment } => {
                    let room = group.rooms.get(room).ok_or_else(again)?;
                    appending.next_segment(writer, room, segment).await;
                }
            }
        }
        Err(again())
    }
}
