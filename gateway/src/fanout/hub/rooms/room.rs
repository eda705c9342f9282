//! A room in use on this gateway: its log, its readers, and the joins that wait for it.
//!
//! Owns what must change together: a new reader starts at the head of the log, and what the log takes goes to the
//! readers.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        call::RETRY,
        delivery::{Delivery, Seat},
        presence::rosters::LocalPeople,
        shared::Shared,
    },
    joins::{Admission, Needs, Settled, Waiter, WaitingJoins},
    presence_news::PresenceNews,
    readers::{Member, Readers},
    room_log::RoomLog,
};
use crate::{
    bus::HeldRoom,
    fanout::{
        messages::{ConnectionId, RoomId, ToReactor},
        session::{Answer, Join, Joined},
    },
    moderation,
    rooms::{
        Author, Entry, RoomName, Signal,
        follow::{News, ReadHistory},
        log::Window,
        throttle::PerSecond,
    },
};

/// Joins per second, and leaves per second, that are announced one by one.
const ANNOUNCED: u32 = 50;

/// A room in memory.
#[derive(Debug)]
pub(crate) struct Room {
    log: RoomLog,
    readers: Readers,
    waiting: WaitingJoins,
    presence: PresenceNews,
    joins: PerSecond,
    leaves: PerSecond,
    /// The count of members that the bus has acknowledged.
    reported: u32,
    /// Counted in `limits.rooms`: somebody reads it or waits to.
    admitted: bool,
    /// Since when it has had neither members nor joins.
    idle: Option<Instant>,
    /// News on its way to the readers; empty between two calls.
    news: Vec<News>,
}

/// What a round of joins led to.
#[derive(Debug, Default)]
pub(crate) struct RoundOfJoins {
    pub(crate) needs: Needs,
    /// For the others in the room.
    pub(crate) signals: Vec<Signal>,
    /// A member that asked for presence has come.
    pub(crate) watcher: bool,
}

/// What a read of the newest entries is to reach, and how long it should wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadingPlan {
    pub(crate) floor: Option<u64>,
    pub(crate) pause: Duration,
}

impl Room {
    pub(crate) fn new(id: RoomId, name: RoomName) -> Self {
        Self {
            log: RoomLog::new(),
            readers: Readers::new(id, name),
            waiting: WaitingJoins::default(),
            presence: PresenceNews::default(),
            joins: PerSecond::new(ANNOUNCED),
            leaves: PerSecond::new(ANNOUNCED),
            reported: 0,
            admitted: false,
            idle: None,
            news: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> RoomId {
        self.readers.id()
    }

    pub(crate) fn name(&self) -> &RoomName {
        self.readers.room()
    }

    /// Members on this gateway.
    pub(crate) fn members(&self) -> u32 {
        self.readers.len() as u32
    }

    /// Members on this gateway that the bus knows of.
    pub(crate) fn reported(&self) -> u32 {
        self.reported
    }

    /// The bus has acknowledged a count.
    pub(crate) fn report(&mut self, count: u32) {
        self.reported = count;
    }

    /// Takes a place among `limits.rooms`, if there is one.
    pub(crate) fn admit(&mut self, shared: &Shared) -> bool {
        self.admitted = self.admitted || shared.take_room();
        if self.admitted {
            self.idle = None;
        }
        self.admitted
    }

    /// Gives the place back once nobody is left.
    fn release(&mut self, shared: &Shared) {
        if self.readers.is_empty() && self.waiting.is_empty() && std::mem::take(&mut self.admitted) {
            shared.give_room_back();
            self.idle = Some(Instant::now());
        }
    }

    /// True while somebody reads it or waits to.
    pub(crate) fn in_use(&self) -> bool {
        self.admitted
    }

    /// Since when it could leave memory: without anybody, any read under way, and any count left in the bus.
    pub(crate) fn evictable_since(&self) -> Option<Instant> {
        self.idle.filter(|_| !self.admitted && !self.log.reading() && self.reported == 0)
    }

    /// True while its history must be read or joins wait.
    pub(crate) fn needs_attention(&self) -> bool {
        self.wants_reading() || self.has_waiting()
    }

    /// True while its history must be read, and is not.
    pub(crate) fn wants_reading(&self) -> bool {
        self.admitted && self.log.wants_reading()
    }

    /// True while joins wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes an entry of the stream. Readers are sent it by [`Room::flush`].
    pub(crate) fn take(&mut self, entry: &Arc<Entry>, shared: &Shared, delivery: &mut Delivery) {
        self.log.take(entry, shared.aside(), self.admitted, &mut self.news);
        self.readers.hear(self.news.drain(..), delivery);
    }

    /// Sends readers what has come.
    pub(crate) fn flush(&mut self, delivery: &mut Delivery) {
        self.readers.flush(delivery);
    }

    /// The log must be compared with the history before it continues.
    pub(crate) fn doubt(&mut self, delivery: &mut Delivery) {
        self.readers.flush(delivery);
        self.log.doubt();
    }

    /// The history is being read from now on: back to the head that it is compared with, or to where joins resume from.
    pub(crate) fn begin_reading(&mut self) -> ReadingPlan {
        let head = self.log.held().map(|log| log.head().seq);
        ReadingPlan { floor: head.or_else(|| self.waiting.floor()), pause: self.log.begin_reading() }
    }

    /// Takes what was read.
    pub(crate) fn read(&mut self, reading: &ReadHistory, window: Window, delivery: &mut Delivery) {
        let first = self.log.held().is_none();
        self.log.read(reading, window, &mut self.news);
        if first {
            self.readers.know(reading.head.epoch);
        }
        self.readers.hear(self.news.drain(..), delivery);
        self.readers.flush(delivery);
    }

    /// True when what was read ends before what is held, in a later epoch.
    pub(crate) fn falls_short(&self, reading: &ReadHistory) -> bool {
        self.log.falls_short(reading.head)
    }

    /// What was read is not taken: the room is given back first.
    pub(crate) fn read_too_early(&mut self) {
        self.log.read_too_early();
    }

    /// The history could not be read.
    pub(crate) fn reading_failed(&mut self) {
        self.log.reading_failed();
    }

    /// Older entries are being read from now on, if joins need them: those below the first seq, back to the second.
    pub(crate) fn begin_older(&mut self) -> Option<(u64, u64)> {
        let floor = if self.log.older_under_way() { None } else { self.waiting.look_back(self.log.held()?) }?;
        Some((self.log.begin_older()?, floor))
    }

    /// Takes older entries; `None` if they could not be read.
    pub(crate) fn read_older(&mut self, older: Option<(&[Arc<Entry>], bool)>) {
        if older.is_none() {
            self.waiting.look_back_again();
        }
        self.log.read_older(older);
    }

    /// What can be given back of the room, if anything.
    pub(crate) fn to_restore(&self) -> Option<HeldRoom> {
        self.log.to_restore(self.name())
    }

    /// A page of history, if the log holds it.
    pub(crate) fn page(&self, before: Option<u64>, limit: u32) -> Option<Answer> {
        let log = self.log.live()?;
        let (entries, more) = log.page(before, limit)?;
        Some(Answer::History { head: log.head(), entries, more })
    }

    /// Forgets entries from before `oldest`, what exceeds the window, and backlogs that nobody comes back for.
    pub(crate) fn trim(&mut self, oldest: u64, window: Window) {
        self.readers.forget_unused_backlogs();
        self.log.trim(oldest, window);
    }

    /// A join waits for its answer.
    pub(crate) fn wait(&mut self, waiter: Waiter) {
        self.waiting.push(waiter);
    }

    /// The connection stops reading the room. `None` if it did not read it; else what the others learn.
    pub(crate) fn leave(&mut self, from: &ConnectionId, asked: bool, shared: &Shared) -> Option<Option<Signal>> {
        self.waiting.remove(from);
        let left = self.readers.remove(from);
        self.release(shared);
        let Member { who, protocol, announce, .. } = left?;
        let told = announce && self.leaves.allow(shared.millis());
        Some(told.then_some(Signal::Left { who, protocol, asked }))
    }

    /// Answers the joins that can be answered, at most `budget`. `others`: members on other gateways, as last known.
    pub(crate) fn settle(
        &mut self,
        others: u64,
        budget: &mut usize,
        shared: &Shared,
        delivery: &mut Delivery,
    ) -> RoundOfJoins {
        let mut round = RoundOfJoins::default();
        let Self { log, readers, waiting, presence, joins, .. } = self;
        round.needs = waiting.settle(log, readers, budget, |readers, settled| match settled {
            Settled::Refuse(waiter) => delivery.answer(waiter.from, Answer::Unavailable { retry: RETRY }),
            Settled::Admit(waiter, _) if !may_enter(&waiter, others, log, readers, shared) => {
                delivery.answer(waiter.from, Answer::RoomLimit);
            }
            Settled::Admit(waiter, admission) => {
                let watches = waiter.join.presence;
                let announced = waiter.join.announce && joins.allow(shared.millis());
                round.signals.extend(seat(waiter, admission, others, announced, log, readers, delivery));
                if watches {
                    presence.admitted(others + readers.len() as u64, Instant::now());
                    round.watcher = true;
                }
            }
        });
        if round.needs.look_ahead {
            self.log.look_ahead();
        }
        self.release(shared);
        round
    }

    /// Passes a signal on to the readers.
    pub(crate) fn signal(&self, signal: &Signal, delivery: &mut Delivery) {
        self.readers.signal(signal, delivery);
    }

    /// Tells those concerned what a moderator did: members, and those whose joins wait.
    pub(crate) fn moderated(&self, news: &Arc<moderation::News>, delivery: &mut Delivery) {
        let concerns = |who: &Author| news.person.as_ref().is_none_or(|person| *person == who.id);
        let members = self.readers.connections().filter(|(_, who)| concerns(who)).map(|(to, _)| to);
        let waiting = self.waiting.connections().filter(|(_, who)| concerns(who)).map(|(to, _)| to);
        for to in members.chain(waiting) {
            delivery.push(to.reactor, ToReactor::Moderated { to, news: Arc::clone(news) });
        }
    }

    /// Who reads the room here, by name.
    pub(crate) fn people(&self) -> LocalPeople {
        self.readers.people()
    }

    /// True if the connection reads it here.
    pub(crate) fn has(&self, member: &ConnectionId) -> bool {
        self.readers.shown_after(member).is_some()
    }

    /// True if a reader asked for presence.
    pub(crate) fn watched(&self) -> bool {
        self.readers.watched()
    }

    /// Notes a signal that may change who is in the room.
    pub(crate) fn note_presence(&mut self, signal: &Signal, now: Instant) {
        self.presence.hear(signal, now);
    }

    /// When the next presence message is due, `now` at the earliest.
    pub(crate) fn presence_due(&self, now: Instant) -> Instant {
        self.presence.due(now)
    }

    /// The time to tell presence has come, if it has; else when it will.
    pub(crate) fn ripen_presence(&mut self, now: Instant) -> Result<(), Instant> {
        self.presence.ripen(now)
    }

    /// Tells what has changed, if its time has come. `others`: members on other gateways.
    pub(crate) fn tell_presence(&mut self, others: u64, now: Instant, delivery: &mut Delivery) {
        if let Some(presence) = self.presence.take(others + self.readers.len() as u64, now) {
            self.readers.presence(&Arc::new(presence), delivery);
        }
    }
}

/// Whether the room is there already, or the waiter may open one more.
fn may_enter(waiter: &Waiter, others: u64, log: &RoomLog, readers: &Readers, shared: &Shared) -> bool {
    let new = others == 0 && readers.is_empty() && log.held().is_some_and(|log| log.head().seq == 0);
    !new || shared.new_rooms().open(waiter.from, readers.room(), shared.millis())
}

/// Makes the waiter a reader and answers it. Answers what the others learn.
fn seat(
    waiter: Waiter,
    admission: Admission,
    others: u64,
    announced: bool,
    log: &RoomLog,
    readers: &mut Readers,
    delivery: &mut Delivery,
) -> Option<Signal> {
    let Waiter { from, protocol, join, .. } = waiter;
    let Join { room, who, encoding, after: _, presence, announce } = join;
    let log = log.held()?;
    let before = readers.shown_after(&from);
    let shown_after = before.into_iter().chain(admission.after.or(before.is_none().then_some(log.head().seq))).min();
    let member = Member { who: who.clone(), protocol, announce, shown_after: shown_after.unwrap_or(log.head().seq) };
    readers.insert(from, Seat { encoding, reactor: from.reactor, presence }, member);
    let backlog = admission.after.map_or_else(Vec::new, |after| readers.backlog(after, encoding, log, &who, delivery));
    let answer = Answer::Joined(Joined {
        room,
        head: log.head(),
        members: others + readers.len() as u64,
        recovered: admission.recovered,
        gap: admission.gap,
        announced,
    });
    delivery.joined(admission.recovered, admission.gap.is_some());
    delivery.push(from.reactor, ToReactor::Joined { to: from, room: readers.id(), encoding, answer, backlog });
    announced.then_some(Signal::Joined { who, protocol, first: before.is_none() })
}
