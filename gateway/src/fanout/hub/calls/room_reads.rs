//! Reads of a room's history: to open a room, to heal a hole or compare branches, and to reach further back.
//!
//! Decides which rooms are read when, and how much. Single flight: one read of the newest and one of older entries for
//! a room, however many wait.

use std::sync::Arc;

use super::super::{
    backoff::rest,
    call::{BusAccess, BusCall, Failure},
    rooms::{Rooms, queue::RoomQueue, room::ReadingPlan},
};
use crate::rooms::{Entry, Position, RoomName, Unavailable, follow::ReadHistory, log::Window};

/// Entries in one read: a page as clients ask for it, and a millisecond of Redis.
const PAGE: u32 = 100;

/// Reads of the newest entries that one partition has under way at once: after a failover all rooms want one.
const READS: usize = 16;

/// Older entries as they were read, ascending, and whether nothing older exists.
type Older = (Vec<Arc<Entry>>, bool);

/// Rooms that wait to be read, and reads under way.
#[derive(Debug, Default)]
pub(crate) struct RoomReads {
    wanted: RoomQueue,
    under_way: usize,
}

/// What is read.
#[derive(Debug)]
pub(crate) enum RoomRead {
    /// The newest entries, back to the plan's floor where that is known.
    Newest { room: RoomName, plan: ReadingPlan, window: Window },
    /// The entries below `first`, back to `floor` or the window's size.
    Older { room: RoomName, first: u64, floor: u64, window: Window },
}

/// What was read.
#[derive(Debug)]
pub(crate) enum RoomReadDone {
    Newest { room: RoomName, result: Result<ReadHistory, Unavailable> },
    Older { room: RoomName, result: Result<Older, Unavailable> },
}

impl RoomReads {
    /// The room's newest entries are read when its turn comes.
    pub(crate) fn want(&mut self, room: &RoomName) {
        self.wanted.push(room);
    }

    /// The next read of newest entries, if there may be one.
    pub(crate) fn next(&mut self, rooms: &mut Rooms) -> Option<RoomRead> {
        let window = rooms.window();
        while self.under_way < READS {
            let name = self.wanted.pop()?;
            if let Some(room) = rooms.get_mut(&name).filter(|room| room.wants_reading()) {
                self.under_way += 1;
                return Some(RoomRead::Newest { plan: room.begin_reading(), room: name, window });
            }
        }
        None
    }

    /// A read back to where waiting joins resume from, unless one is under way.
    pub(crate) fn older(&self, name: &RoomName, rooms: &mut Rooms) -> Option<RoomRead> {
        let window = rooms.window();
        let (first, floor) = rooms.get_mut(name)?.begin_older()?;
        Some(RoomRead::Older { room: name.clone(), first, floor, window })
    }

    /// A read of newest entries has ended.
    pub(crate) fn ended(&mut self) {
        self.under_way -= 1;
    }
}

/// One room, as a call reads it.
struct Reader<'a> {
    access: &'a BusAccess,
    room: &'a RoomName,
    window: Window,
}

impl Reader<'_> {
    async fn newest(&self, floor: Option<u64>) -> Result<ReadHistory, Unavailable> {
        let page = self.access.page(self.room, None, PAGE).await?;
        let head = Position { epoch: page.head.epoch, seq: page.head.seq };
        let (mut entries, mut complete) = (page.entries, !page.more);
        if let (Some(floor), Some(first)) = (floor, entries.first())
            && first.seq > floor
            && !complete
        {
            let (mut older, none) = self.older(first.seq, floor).await?;
            complete = none;
            if older.last().is_some_and(|last| last.epoch > first.epoch) {
                return Err(Unavailable("the branch changed while it was read".into()));
            }
            older.append(&mut entries);
            entries = older;
        }
        Ok(ReadHistory { head, entries, complete })
    }

    async fn older(&self, before: u64, floor: u64) -> Result<Older, Unavailable> {
        let (mut pages, mut first, mut room) = (Vec::new(), before, self.window);
        let mut complete = false;
        while first > floor && first > 1 && !complete && room.entries > 0 && room.bytes > 0 {
            let page = self.access.page(self.room, Some(first), PAGE).await?;
            let Some(oldest) = contiguous(&page.entries, first) else {
                complete = page.entries.is_empty() && !page.more;
                break;
            };
            complete = !page.more;
            first = oldest;
            room.entries = room.entries.saturating_sub(page.entries.len());
            room.bytes = room.bytes.saturating_sub(page.entries.iter().map(|entry| entry.size()).sum());
            pages.push(page.entries);
        }
        Ok((pages.into_iter().rev().flatten().collect(), complete))
    }
}

/// The first seq of a page that ends right before `before`.
fn contiguous(entries: &[Arc<Entry>], before: u64) -> Option<u64> {
    let fits = entries.last().is_some_and(|last| last.seq + 1 == before);
    entries.first().filter(|_| fits).map(|first| first.seq)
}

impl BusCall for RoomRead {
    type Done = RoomReadDone;

    async fn run(self, access: &BusAccess) -> RoomReadDone {
        match self {
            Self::Newest { room, plan: ReadingPlan { floor, pause }, window } => {
                rest(pause).await;
                let result = Reader { access, room: &room, window }.newest(floor).await;
                RoomReadDone::Newest { room, result }
            }
            Self::Older { room, first, floor, window } => {
                let result = Reader { access, room: &room, window }.older(first, floor).await;
                RoomReadDone::Older { room, result }
            }
        }
    }
}

impl Failure for RoomReadDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        match self {
            Self::Newest { result, .. } => {
                Some(("failed to read the history of a room; will retry", result.as_ref().err()?))
            }
            Self::Older { result, .. } => {
                Some(("failed to read older history of a room; will retry", result.as_ref().err()?))
            }
        }
    }
}
