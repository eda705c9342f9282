//! The actor of a partition: one task that owns the partition's rooms and talks to the bus for them.
//!
//! Decides nothing itself; takes what happens, one thing after the other, and hands it to the part it concerns. All that
//! a round brought to the reactors leaves at its end, so a reactor wakes once a round.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    pin::Pin,
    sync::Arc,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Shared,
    append::{Appender, Flown, Reply},
    asks::Pages,
    delivery::Delivery,
    members::{Counts, Sums},
    restore::Restoring,
    room::Room,
    signals::Signals,
    sweep::RoomIds,
    tail::{Tail, TailRead},
    timers::{Due, Timers},
};
use crate::{
    bus::{Bus, Offset, Page},
    directory::{self, Directory},
    fanout::{
        link::{ConnectionId, ToHub},
        session::Ask,
    },
    rooms::{Entry, Epoch, Partition, RoomName, Unavailable, follow::Reading},
};

/// Commands taken in one round.
const ROUND: usize = 256;

/// How long the actor goes on answering posts after it was told to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Older entries as they were read, and whether nothing older exists.
pub(super) type Older = (Vec<Arc<Entry>>, bool);

/// What comes back from the bus.
pub(super) enum Done {
    End { run: u64, result: Result<Offset, Unavailable> },
    Tail { run: u64, read: TailRead },
    Appended(Flown),
    Restored { result: Result<Epoch, Unavailable> },
    Newest { room: RoomName, result: Result<Reading, Unavailable> },
    Older { room: RoomName, result: Result<Older, Unavailable> },
    Page { key: super::asks::Key, result: Result<Page, Unavailable> },
    Sum { room: RoomName, result: Result<u64, Unavailable> },
    Directory { from: ConnectionId, result: Result<directory::Reply, Unavailable> },
    Counted { counts: Vec<(RoomName, u32)>, result: Result<(), Unavailable> },
    Signalled,
    Unwatched,
    Watched,
}

pub(super) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Everything that one partition has in memory.
pub(super) struct Actor {
    pub(super) partition: Partition,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) shared: Arc<Shared>,
    pub(super) delivery: Delivery,
    /// At most: one tail, one group, one return of what was lost, one batch of counts and one of signals, and the bounded reads.
    pub(super) work: FuturesUnordered<Work>,
    pub(super) rooms: HashMap<RoomName, Room>,
    pub(super) ids: RoomIds,
    pub(super) tail: Tail,
    pub(super) appender: Appender,
    pub(super) restoring: Restoring,
    pub(super) pages: Pages,
    pub(super) sums: Sums,
    pub(super) counts: Counts,
    pub(super) signals: Signals,
    pub(super) timers: Timers,
    /// Rooms whose joins should be looked at in this round; at most one entry a room.
    pub(super) unsettled: VecDeque<RoomName>,
    /// Rooms whose history must be read, and reads under way.
    pub(super) unread: VecDeque<RoomName>,
    pub(super) reads: usize,
    pub(super) sweep: Option<Instant>,
}

impl Actor {
    pub(super) fn new(
        partition: Partition,
        bus: Arc<dyn Bus>,
        directory: Arc<dyn Directory>,
        shared: Arc<Shared>,
        delivery: Delivery,
    ) -> Self {
        Self {
            partition,
            bus,
            directory,
            shared,
            delivery,
            work: FuturesUnordered::new(),
            rooms: HashMap::new(),
            ids: RoomIds::new(partition),
            tail: Tail::default(),
            appender: Appender::default(),
            restoring: Restoring::default(),
            pages: Pages::default(),
            sums: Sums::default(),
            counts: Counts::default(),
            signals: Signals::default(),
            timers: Timers::default(),
            unsettled: VecDeque::new(),
            unread: VecDeque::new(),
            reads: 0,
            sweep: None,
        }
    }

    /// Lives until `stop`, then answers the posts that it has taken.
    pub(super) async fn run(mut self, mut mailbox: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut commands = Vec::new();
        while !stop.is_cancelled() {
            let alarm = self.alarm();
            let ready = !self.unsettled.is_empty();
            tokio::select! {
                count = mailbox.recv_many(&mut commands, ROUND) => if count == 0 { break },
                Some(done) = self.work.next() => self.all_done(done),
                () = sleep_or_wait(alarm) => self.due(),
                () = stop.cancelled() => {}
                () = std::future::ready(()), if ready => {}
            }
            commands.drain(..).for_each(|command| self.command(command));
            self.finish_round().await;
        }
        self.part(mailbox).await;
    }

    async fn finish_round(&mut self) {
        self.read_next();
        self.settle_all();
        self.append_next();
        self.count_next();
        self.publish_next();
        self.delivery.flush().await;
    }

    /// Answers the posts that were taken, for a while.
    async fn part(mut self, mut mailbox: mpsc::Receiver<Command>) {
        mailbox.close();
        while let Ok(command) = mailbox.try_recv() {
            if let Command::Reactor(ToHub::Post { .. } | ToHub::Tell { .. }) = command {
                self.command(command);
            }
        }
        let end = Instant::now() + FAREWELL;
        while !self.appender.is_empty() {
            self.append_next();
            tokio::select! {
                Some(done) = self.work.next() => self.done(done),
                () = sleep_until(end) => return,
            }
            self.delivery.flush().await;
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Reactor(ToHub::Join { from, protocol, join }) => self.join(from, protocol, join),
            Command::Reactor(ToHub::Leave { from, room, asked }) => self.leave(from, &room, asked),
            Command::Reactor(ToHub::Post { from, tag, post }) => self.post(Reply { to: from, tag }, post),
            Command::Reactor(ToHub::Signal { room, signal }) => self.publish(room, signal),
            Command::Reactor(ToHub::Ask { from, ask: Ask::History { room, before, limit } }) => {
                self.ask_page(from, room, before, limit);
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::Members { room } }) => self.ask_members(from, room),
            Command::Reactor(ToHub::Ask { from, ask: Ask::Directory(query) }) => self.ask_directory(from, query),
            Command::Reactor(ToHub::Tell { query, at, .. }) => self.directory.tell(query, at),
            Command::Heard { room, signal } => self.heard(&room, &signal),
        }
    }

    /// Takes what has come back, and what else is there already: an answer and what it leads to share a round.
    fn all_done(&mut self, first: Done) {
        self.done(first);
        for _ in 0..ROUND {
            let Some(Some(done)) = self.work.next().now_or_never() else { return };
            self.done(done);
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::End { run, result } => self.tail_starts(run, result),
            Done::Tail { run, read } => self.tail_read(run, read),
            Done::Appended(flown) => self.appended(flown),
            Done::Restored { result } => self.restored(result),
            Done::Newest { room, result } => self.read_newest(&room, result),
            Done::Older { room, result } => self.read_older(&room, result),
            Done::Page { key, result } => self.page_read(key, result),
            Done::Directory { from, result } => self.directory_answered(from, result),
            Done::Sum { room, result } => self.summed(&room, result),
            Done::Counted { counts, result } => self.counted(counts, result),
            Done::Signalled => self.signals.flying = false,
            Done::Unwatched => self.unwatched(),
            Done::Watched => {}
        }
    }

    /// When something must be done though nothing comes in.
    fn alarm(&self) -> Option<Instant> {
        [self.timers.next(), self.sweep, self.counts.due()].into_iter().flatten().min()
    }

    fn due(&mut self) {
        let now = Instant::now();
        while let Some((due, room)) = self.timers.take(now) {
            match due {
                Due::Joins => self.joins_due(&room),
                Due::Presence => self.presence_due(&room),
            }
        }
        if self.sweep.is_some_and(|at| at <= now) {
            self.sweep_rooms(now);
        }
    }
}

async fn sleep_or_wait(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
