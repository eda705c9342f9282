//! The bus: an ordered, replicated log of entries, split into partitions, with history, signals and presence.
//!
//! Decides how entries are kept and what an acknowledgement means. Knows nothing of connections or protocols.
//! Two implementations with the same semantics: [`memory`] for one gateway, [`redis`] for a fleet.
//! Called by the hub in `fanout` alone.

mod histograms;
pub mod memory;
pub mod redis;
mod signals;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::Instant;

pub use self::histograms::Histograms;
pub use crate::deadlines::{DEDUPE, EARLY, TAIL_WAIT};
use crate::rooms::{
    Cause, Entry, Epoch, Partition, Post, RoomName, Signal, Unavailable, amendments::Refused, log::Window,
};

/// Bytes of entries that a partition's stream keeps for its readers (payload; at most one group more).
pub const LOG_BYTES: usize = 8 << 20;

/// Bytes of entries that one key of a room's history keeps (payload; at most one group more).
pub const HISTORY_BYTES: usize = 16 << 20;

/// How much of a room is given back after its data was lost: one script call of some milliseconds.
pub const RESTORE_WINDOW: Window = Window { entries: 2048, bytes: 2 << 20 };

/// Seqs that are left out behind what is given back: others may have been shown more than who gives it back holds, and
/// nobody's seqs should step back. A shard takes some tenths of a second for as many entries.
pub const RESTORE_SKIP: u64 = 1 << 16;

/// Messages of a room that goes early where there are too many rooms: what a stranger makes by the thousand has no more.
pub const FEW: u64 = 4;

/// Most posts in one group: 64 partitions of them at 10 KiB are what a gateway may have on its way.
pub const GROUP_POSTS: usize = 512;

/// What a bus keeps of each room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Entries kept per room, at least; 0 keeps none.
    pub messages: u64,
    /// Entries older than this are not shown.
    pub age: Duration,
}

/// A place in a partition's stream: everything up to and with it has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset {
    pub epoch: u64,
    pub offset: u64,
}

/// One message of a partition, addressed to its room.
#[derive(Clone, Debug)]
pub struct Routed {
    pub room: RoomName,
    pub entry: Arc<Entry>,
}

/// What a tail read brings, in stream order.
#[derive(Clone, Debug)]
pub enum Record {
    Entry(Routed),
    /// A new epoch opened here; what follows is of `epoch`.
    Boundary {
        epoch: Epoch,
        /// The reader was shown entries that the new branch does not hold: rooms learn their place by comparing
        /// heads ([`Bus::head`]). False: what was read is part of the new branch, and seqs continue.
        lost: bool,
    },
    /// The stream no longer holds what came after the position asked for: rooms must be read again from history.
    Trimmed,
}

/// Answer of [`Bus::tail`].
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Where to continue; the position asked for when nothing came.
    pub next: Offset,
}

/// The head of a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the partition now.
    pub epoch: Epoch,
    /// Of the newest entry; 0 in a room without entries.
    pub seq: u64,
}

/// The fate of one post in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub seq: u64,
    pub epoch: Epoch,
    pub time: u64,
    /// The key was known: `seq` is the one it got the first time. False where an earlier attempt at the same group, whose
    /// answer was lost, had written it: this is its first answer.
    pub duplicate: bool,
}

/// Why a post, or a whole group, was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// `durable` was asked for while only one copy exists.
    #[error("only one copy of the room exists")]
    NotDurable,
    /// The partition's data is gone and began again, which the caller, who holds rooms of it, did not know: nothing was written.
    /// After [`Bus::restore`] the same posts may be sent again.
    #[error("the data of the partition was lost")]
    Lost,
    /// The post changes an earlier message, and may not.
    #[error(transparent)]
    Amendment(#[from] Refused),
    /// A gateway of an older release is running, which cannot read changes of earlier messages. Nothing was written.
    #[error("a gateway of an older release is running, which cannot show changes of messages")]
    OlderGateway,
    /// Redis refuses writes, with the reason that it gives. Nothing was written, and sending it again at once does not help.
    #[error("{0}")]
    Denied(String),
    /// The outcome is unknown or nothing was written; the same posts may be sent again.
    #[error("the bus is unavailable: {0}")]
    Unavailable(#[source] Cause),
}

/// What a gateway holds of a room whose data is gone.
#[derive(Clone, Debug)]
pub struct HeldRoom {
    pub room: RoomName,
    /// The newest seq that it knows of; above 0.
    pub head: u64,
    /// The newest entries up to `head`, ascending, with holes only where data was lost before, at most [`RESTORE_WINDOW`];
    /// none when it holds none.
    pub entries: Vec<Arc<Entry>>,
}

/// A page of a room's history, ascending; contiguous, except where data was lost and given back ([`Bus::restore`]).
#[derive(Clone, Debug)]
pub struct Page {
    pub head: Head,
    pub entries: Vec<Arc<Entry>>,
    /// Older entries exist.
    pub more: bool,
}

/// Some of the rooms in which something was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRooms {
    /// Each with the seq of its newest entry. A room may come twice while rooms are made.
    pub rooms: Vec<(RoomName, u64)>,
    /// Where to continue; None: there are no more.
    pub next: Option<String>,
}

/// How the bus is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Replicated,
    Unreplicated,
    Memory,
    Unavailable,
}

/// Why posts are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In Redis' own words: `OOM …`, `MISCONF …`, `NOREPLICAS …`, `NOPERM …`, `WRONGPASS …`; or why it does not answer.
    pub reason: String,
    /// The first refusal since a post succeeded.
    pub since: Instant,
}

/// How a shard of Redis does, as this gateway finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// `host:port` of its primary, as it is dialled here.
    pub primary: String,
    /// For how long reading has not shown what the primary held, over the partitions that are read here.
    pub behind: Duration,
    /// Why it takes no posts, if it does not.
    pub refusal: Option<Refusal>,
}

/// A future of the bus.
pub type Task<'a, T> = BoxFuture<'a, T>;

/// What the fan-out needs of a bus. One call per group or read, never one per connection, so boxing costs nothing.
pub trait Bus: Send + Sync + 'static {
    /// Appends a group of posts of one partition, in order, and answers each one in the same order once two copies
    /// hold it. The caller keeps one group in flight a partition and, on [`AppendError::Unavailable`] for the group, sends
    /// the same group again: dedupe makes that safe. The outer error concerns every post.
    fn append<'a>(
        &'a self,
        partition: Partition,
        group: &'a [Post],
    ) -> Task<'a, Result<Vec<Result<Appended, AppendError>>, AppendError>>;

    /// Gives back what was lost with a partition's data. A room that is not known gets the entries with their seqs and
    /// epochs, the keys of those of the last ten minutes, and a head [`RESTORE_SKIP`] above what is held; a room that is
    /// known stays as it is, so the first of several gateways decides. Two copies hold it when this answers with the
    /// epoch of the partition. On an error it may have been done in part, and may be done again.
    fn restore<'a>(&'a self, partition: Partition, rooms: &'a [HeldRoom]) -> Task<'a, Result<Epoch, Unavailable>>;

    /// The end of a partition's stream, as the server that [`Bus::tail`] reads knows it.
    fn end(&self, partition: Partition) -> Task<'_, Result<Offset, Unavailable>>;

    /// Waits up to a second for what comes after `from`, at most `limit` records. Cancel-safe.
    fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Task<'_, Result<Batch, Unavailable>>;

    /// The head of a room; two copies hold everything up to it.
    fn head<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<Head, Unavailable>>;

    /// The newest `limit` entries of a room below `before` (exclusive; None: the newest).
    fn history<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        limit: u32,
    ) -> Task<'a, Result<Page, Unavailable>>;

    /// Some hundred rooms of a partition in which something was said and that were not forgotten since, private ones left
    /// out. `after`: where the call before ended. A room that is there all the time is found, unless a failover comes
    /// between two calls.
    fn rooms<'a>(&'a self, partition: Partition, after: Option<&'a str>) -> Task<'a, Result<KnownRooms, Unavailable>>;

    /// Tells every gateway with members in the room, this one included. May be dropped while the bus is unavailable.
    fn signal<'a>(&'a self, room: &'a RoomName, signal: &'a Signal) -> Task<'a, ()>;

    /// The next signals of rooms in `watch`ed partitions; waits. Bounded: the oldest are dropped when not read.
    fn signals(&self) -> Task<'_, Vec<(RoomName, Signal)>>;

    /// Starts (true) or stops (false) hearing a partition's signals. Meanwhile the caller may hold rooms of it: when
    /// their data is lost, posts wait for [`Bus::restore`].
    fn watch(&self, partition: Partition, on: bool) -> Task<'_, ()>;

    /// Sets this gateway's member counts (0 removes); kept under a lease that the bus renews by itself.
    fn count<'a>(&'a self, partition: Partition, counts: &'a [(RoomName, u32)]) -> Task<'a, Result<(), Unavailable>>;

    /// Members of a room over all gateways whose lease lives.
    fn members<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<u64, Unavailable>>;

    /// The time by which entries are dated, in milliseconds since the Unix epoch; 0 while it is not known.
    fn now(&self) -> u64;

    /// How the bus is doing now, from what its calls have seen.
    fn health(&self) -> Health;

    /// Why the bus refuses posts now, if it does.
    fn refusal(&self) -> Option<Refusal> {
        None
    }

    /// How each of its shards does, by their lowest slot; none in memory.
    fn shards(&self) -> Vec<Shard> {
        Vec::new()
    }

    /// How long its calls take; of a bus that waits for nobody, nothing.
    fn histograms(&self) -> Histograms {
        Histograms::default()
    }

    /// Gives the lease back and stops background work; waits at most `limit`.
    fn close(&self, limit: Duration) -> Task<'_, ()>;
}
