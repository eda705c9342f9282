//! The actor of a partition: one task that owns the partition's rooms and talks to the bus for them.
//!
//! Decides nothing itself: it takes what happens, one thing after the other, hands it to the mechanism that it concerns,
//! and carries what follows to the next one. No mechanism knows another. All that a round brought to the reactors leaves
//! at its end, so a reactor wakes once per round.

use std::{future::pending, sync::Arc};

use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    bus_calls::{BusCalls, Done},
    call::{BusAccess, RETRY},
    calls::{
        append::PostSender,
        directory::DirectoryCall,
        history_requests::{Asked, HistoryRequest, HistoryRequests},
        moderate::{ActionsCall, ModerateCall},
        room_reads::{RoomReadDone, RoomReads},
        tail::{Tail, TailNext},
    },
    counters::add,
    delivery::Delivery,
    mailbox::Command,
    people::People,
    posts::Posts,
    rooms::{Opened, Rooms, eviction::Eviction, joins::Waiter, room::Room},
    schedule::Schedule,
    shared::Shared,
};
use crate::{
    bus::{Record, Routed},
    deadlines::hub::LOOK,
    fanout::{
        messages::{ConnectionId, ToHub},
        session::{Answer, Ask, Join},
    },
    rooms::{ProtocolId, RoomName, follow::ReadHistory},
};

/// Commands, and answers of the bus, that are taken in one round.
const ROUND: usize = 256;

/// Joins that are answered in one round: some hundred kilobytes of answers.
const JOINS: usize = 1024;

/// Questions about people that wait until the partition's signals are heard. Beyond them they are unavailable.
const EARLY: usize = 256;

/// How long the actor still answers posts after it was asked to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Everything that one partition has in memory.
pub(crate) struct PartitionActor {
    shared: Arc<Shared>,
    calls: BusCalls,
    delivery: Delivery,
    rooms: Rooms,
    tail: Tail,
    posts: Posts,
    reads: RoomReads,
    history: HistoryRequests,
    people: People,
    /// Who asked for people before the partition's signals were heard, by which other gateways answer.
    early: Vec<(ConnectionId, RoomName, u32)>,
    /// Rooms whose joins wait.
    joins: Schedule,
    eviction: Eviction,
}

impl PartitionActor {
    pub(crate) fn new(access: BusAccess, shared: Arc<Shared>, delivery: Delivery) -> Self {
        Self {
            rooms: Rooms::new(access.partition, Arc::clone(&shared)),
            people: People::new(Arc::clone(&shared)),
            posts: Posts::new(Arc::clone(&shared)),
            calls: BusCalls::new(access),
            shared,
            delivery,
            tail: Tail::default(),
            reads: RoomReads::default(),
            history: HistoryRequests::default(),
            early: Vec::new(),
            joins: Schedule::default(),
            eviction: Eviction::default(),
        }
    }

    /// Lives until `stop`, then answers the posts that it has taken.
    pub(crate) async fn run(mut self, mut mailbox: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut commands = Vec::new();
        while !stop.is_cancelled() {
            let alarm = self.alarm();
            let unfinished = self.rooms.to_attend() > 0;
            tokio::select! {
                count = mailbox.recv_many(&mut commands, ROUND) => if count == 0 { break },
                Some(done) = self.calls.next() => self.all_done(done),
                () = sleep_or_wait(alarm) => self.due(),
                () = stop.cancelled() => {}
                () = std::future::ready(()), if unfinished => {}
            }
            commands.drain(..).for_each(|command| self.command(command));
            self.finish_round().await;
        }
        self.farewell(mailbox).await;
    }

    async fn finish_round(&mut self) {
        self.attend();
        self.read_next();
        self.posts.append_next(&mut self.calls);
        self.people.finish_round(&self.rooms, &mut self.calls);
        self.delivery.flush().await;
    }

    /// Answers the posts that were taken, for a while.
    async fn farewell(mut self, mut mailbox: mpsc::Receiver<Command>) {
        mailbox.close();
        while let Ok(command) = mailbox.try_recv() {
            if let Command::Reactor(ToHub::Post { .. } | ToHub::Tell { .. }) = command {
                self.command(command);
            }
        }
        let end = Instant::now() + FAREWELL;
        while !self.posts.is_empty() {
            self.posts.append_next(&mut self.calls);
            tokio::select! {
                Some(done) = self.calls.next() => self.done(done),
                () = sleep_until(end) => return,
            }
            self.delivery.flush().await;
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Reactor(ToHub::Join { from, protocol, join }) => self.join(from, protocol, join),
            Command::Reactor(ToHub::Leave { from, room, asked }) => self.leave(&from, &room, asked),
            Command::Reactor(ToHub::Post { from, tag, post, if_gone }) => {
                let member = self.rooms.get(&post.room).is_some_and(|room| room.has(&from));
                let sender = PostSender { to: from, tag, if_gone, outside: (!member).then(|| post.room.clone()) };
                self.posts.offer(sender, post, &mut self.calls, &mut self.delivery);
            }
            Command::Reactor(ToHub::Signal { room, signal }) => self.people.publish(room, signal),
            Command::Reactor(ToHub::Ask { from, ask: Ask::History { room, before, limit } }) => {
                self.ask_history(from, HistoryRequest::new(room, before, limit));
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::Members { room } }) => {
                self.people.ask(from, &room, &self.rooms, &mut self.calls, &mut self.delivery);
                self.eviction.schedule(Instant::now());
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::People { room, limit } }) => {
                self.ask_people(from, room, limit);
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::Directory(query) }) => {
                self.calls.start([DirectoryCall { from, query }]);
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::Moderate { room, by, protocol, action } }) => {
                self.calls.start([ModerateCall { from, room, by, protocol, action }]);
            }
            Command::Reactor(ToHub::Ask { from, ask: Ask::Actions { room, before, limit } }) => {
                self.calls.start([ActionsCall { from, room, before, limit }]);
            }
            Command::Reactor(ToHub::Moderated(news)) => self.rooms.moderated(news, &mut self.delivery),
            Command::Reactor(ToHub::Tell { query, at, .. }) => self.calls.access().directory.tell(query, at),
            Command::Heard { room, signal } => {
                self.people.heard(&room, &signal, &mut self.rooms, &mut self.delivery);
            }
        }
    }

    /// Takes what has come back, and what else is there already: an answer and what it leads to share a round.
    fn all_done(&mut self, first: Done) {
        self.done(first);
        for _ in 0..ROUND {
            let Some(done) = self.calls.ready() else { return };
            self.done(done);
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Tail(done) => {
                let TailNext { records, call } = self.tail.done(done);
                self.calls.start(call);
                add(&self.shared.counters().entries, records.len() as u64);
                self.saw_posts(&records);
                self.rooms.take(records, &mut self.delivery);
                if self.tail.started() {
                    for (from, room, limit) in std::mem::take(&mut self.early) {
                        self.ask_people(from, room, limit);
                    }
                }
            }
            Done::Append(done) => {
                self.posts.appended(done, &self.rooms, &mut self.calls, &mut self.delivery);
            }
            Done::Restore(done) => {
                self.posts.restored(done, &self.rooms, &mut self.calls, &mut self.delivery);
            }
            Done::RoomRead(done) => self.room_read(done),
            Done::Page(done) => self.history.done(done).for_each(|(to, answer)| self.delivery.answer(to, answer)),
            Done::Directory(done) => {
                let (to, answer) = done.answer();
                self.delivery.answer(to, answer);
            }
            Done::Screen(done) => self.posts.screened(done, &mut self.calls, &mut self.delivery),
            Done::Moderate(done) => {
                let (to, answer) = done.answer();
                self.delivery.answer(to, answer);
            }
            Done::Actions(done) => {
                let (to, answer) = done.answer();
                self.delivery.answer(to, answer);
            }
            Done::Sum(done) => self.people.summed(done, &mut self.rooms, &mut self.calls, &mut self.delivery),
            Done::Counts(done) => self.people.counted(done, &mut self.rooms),
            Done::Signals(done) => self.people.published(done),
        }
    }

    /// A slow room is slow over all gateways: what others posted counts here too.
    fn saw_posts(&self, records: &[Record]) {
        let moderation = self.calls.access().moderator.moderation();
        for record in records {
            if let Record::Entry(Routed { room, entry }) = record {
                moderation.saw_post(room, &entry.from.id);
            }
        }
    }

    /// When something must be done although nothing comes in.
    fn alarm(&self) -> Option<Instant> {
        [self.joins.next(), self.eviction.due(), self.people.alarm()].into_iter().flatten().min()
    }

    fn due(&mut self) {
        let now = Instant::now();
        while let Some(room) = self.joins.take(now) {
            self.look_at_joins(&room, now);
        }
        self.people.due(now, &mut self.rooms, &mut self.calls, &mut self.delivery);
        if self.eviction.take(now) {
            self.evict(now);
        }
    }
}

// Rooms: who joins and leaves, what is read of their histories, and what leaves memory.
impl PartitionActor {
    fn join(&mut self, from: ConnectionId, protocol: ProtocolId, join: Join) {
        let (name, now) = (join.room.clone(), Instant::now());
        match self.rooms.open(&name) {
            Opened::Refused => return self.delivery.answer(from, Answer::RoomLimit),
            Opened::New => {
                self.calls.start(self.tail.start());
                self.eviction.schedule(now);
            }
            Opened::Known => {}
        }
        if let Some(room) = self.rooms.get_mut(&name) {
            room.wait(Waiter::new(from, protocol, join));
        }
        self.people.joining(&name, &mut self.calls);
        self.joins.set(now + LOOK, &name);
        self.rooms.attend(&name);
    }

    fn leave(&mut self, from: &ConnectionId, name: &RoomName, asked: bool) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let Some(signal) = room.leave(from, asked, &self.shared) else { return };
        self.people.left(name, signal);
    }

    fn look_at_joins(&mut self, name: &RoomName, now: Instant) {
        self.rooms.attend(name);
        if self.rooms.get(name).is_some_and(Room::has_waiting) {
            self.joins.set(now + LOOK, name);
        }
    }

    /// Answers joins that can be answered and notes histories that must be read. Joins beyond a round's measure stay for
    /// the next round.
    fn attend(&mut self) {
        let mut budget = JOINS;
        for _ in 0..self.rooms.to_attend() {
            let Some(name) = self.rooms.next_to_attend() else { return };
            self.settle(&name, &mut budget);
            if self.rooms.get(&name).is_some_and(Room::wants_reading) {
                self.reads.want(&name);
            }
            if budget == 0 {
                return self.rooms.attend(&name);
            }
        }
    }

    fn settle(&mut self, name: &RoomName, budget: &mut usize) {
        let others = self.people.others(name);
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.has_waiting()) else { return };
        let round = room.settle(others, budget, &self.shared, &mut self.delivery);
        let older = round.needs.older;
        self.people.seated(room, round);
        if older {
            self.calls.start(self.reads.older(name, &mut self.rooms));
        }
    }

    /// Starts the reads that are wanted, up to the number that may be under way.
    fn read_next(&mut self) {
        while self.tail.started()
            && !self.posts.is_restoring()
            && let Some(read) = self.reads.next(&mut self.rooms)
        {
            self.calls.start([read]);
        }
    }

    fn room_read(&mut self, done: RoomReadDone) {
        match done {
            RoomReadDone::Newest { room, result } => {
                self.reads.ended();
                match result {
                    Ok(reading) => self.take_reading(&room, &reading),
                    Err(_) => self.rooms.get_mut(&room).into_iter().for_each(Room::reading_failed),
                }
                self.rooms.attend(&room);
            }
            RoomReadDone::Older { room: name, result } => {
                let Some(room) = self.rooms.get_mut(&name) else { return };
                let older = result.as_ref().ok();
                room.read_older(older.map(|(entries, complete)| (entries.as_slice(), *complete)));
                if older.is_some() {
                    self.rooms.attend(&name);
                }
            }
        }
    }

    /// A reading that falls short of what is held is compared with it only after the room was given back.
    fn take_reading(&mut self, name: &RoomName, reading: &ReadHistory) {
        let window = self.rooms.window();
        let Some(room) = self.rooms.get_mut(name) else { return };
        if self.posts.can_restore(reading.head.epoch) && room.falls_short(reading) {
            room.read_too_early();
            self.posts.begin_restore(&self.rooms, &mut self.calls);
        } else {
            room.read(reading, window, &mut self.delivery);
        }
    }

    fn evict(&mut self, now: Instant) {
        let people = &self.people;
        self.rooms.evict(now, |room| people.count_pending(room));
        self.people.tidy(now, &self.rooms);
        let asked = self.people.has_questions() || !self.early.is_empty();
        if self.rooms.is_empty() && !asked {
            self.calls.start(self.tail.stop());
        }
        if !self.rooms.is_empty() || self.people.has_sums() || asked {
            self.eviction.schedule(now);
        }
    }

    /// Answers may come from other gateways, so the partition's signals are heard first.
    fn ask_people(&mut self, from: ConnectionId, room: RoomName, limit: u32) {
        self.eviction.schedule(Instant::now());
        self.calls.start(self.tail.start());
        if self.tail.started() {
            self.people.ask_people(from, &room, limit, &self.rooms, &mut self.calls, &mut self.delivery);
        } else if self.early.len() < EARLY {
            self.early.push((from, room, limit));
        } else {
            self.delivery.answer(from, Answer::Unavailable { retry: RETRY });
        }
    }

    fn ask_history(&mut self, from: ConnectionId, request: HistoryRequest) {
        let room = self.rooms.get(&request.room);
        if let Some(answer) = room.and_then(|room| room.page(request.before, request.limit)) {
            return self.delivery.answer(from, answer);
        }
        match self.history.ask(from, request) {
            Asked::Read(request) => self.calls.start([request]),
            Asked::Waits => {}
            Asked::Refused => self.delivery.answer(from, Answer::Unavailable { retry: RETRY }),
        }
    }
}

async fn sleep_or_wait(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
