//! Who is in the rooms of a partition: this gateway's counts to the bus, the sums over all gateways back, and what people
//! learn of each other.
//!
//! Owns when a number is read or sent. A number is never waited for: who joins gets the last one that is known, and the
//! right one with the next presence message.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    bus_calls::BusCalls,
    call::RETRY,
    delivery::Delivery,
    presence::{
        counts::{Counts, CountsDone},
        rosters::{LocalPeople, Rosters},
        signals::{Signals, SignalsDone},
        sums::{SumAsked, SumDone, Sums},
    },
    rooms::{
        Rooms,
        room::{Room, RoundOfJoins},
    },
    schedule::Schedule,
    shared::Shared,
};
use crate::{
    fanout::{messages::ConnectionId, session::Answer},
    rooms::{RoomName, Signal},
};

/// How old a sum may become although no change was heard: a signal may be lost.
const OLDEST: Duration = Duration::from_secs(30);
/// Rooms of one partition whose sums are read again at once.
const READ_AGAIN: usize = 8;

/// Who is in the rooms of a partition.
#[derive(Debug)]
pub(crate) struct People {
    shared: Arc<Shared>,
    sums: Sums,
    counts: Counts,
    signals: Signals,
    rosters: Rosters,
    /// Rooms for whose names somebody waits.
    names: Schedule,
    /// Rooms whose presence message is due later.
    presence: Schedule,
}

impl People {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (sums, counts, signals) = (Sums::default(), Counts::default(), Signals::default());
        let (presence, names) = (Schedule::default(), Schedule::default());
        Self { shared, sums, counts, signals, rosters: Rosters::default(), names, presence }
    }

    /// When something must be done although nothing comes in.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        [self.presence.next(), self.names.next(), self.counts.due(Instant::now())].into_iter().flatten().min()
    }

    /// True while sums are kept.
    pub(crate) fn has_sums(&self) -> bool {
        !self.sums.is_empty()
    }

    /// True while somebody waits for names, or they may be asked for again.
    pub(crate) fn has_questions(&self) -> bool {
        !self.rosters.is_empty()
    }

    /// True while the count of a room may not be written.
    pub(crate) fn count_pending(&self, room: &RoomName) -> bool {
        self.counts.pending(room)
    }

    /// Members of a room on other gateways, as last known.
    pub(crate) fn others(&self, room: &RoomName) -> u64 {
        self.sums.last_known(room)
    }

    /// Somebody wants to join: the number is read meanwhile.
    pub(crate) fn joining(&mut self, room: &RoomName, calls: &mut BusCalls) {
        calls.start(self.sums.refresh(room));
    }

    /// Joins were answered.
    pub(crate) fn seated(&mut self, room: &Room, round: RoundOfJoins) {
        if room.members() != room.reported() {
            self.counts.changed(room.name());
        }
        if round.watcher {
            self.presence.set(room.presence_due(Instant::now()), room.name());
        }
        round.signals.into_iter().for_each(|signal| self.publish(room.name().clone(), signal));
    }

    /// A member has left. `signal`: for the others.
    pub(crate) fn left(&mut self, room: &RoomName, signal: Option<Signal>) {
        self.counts.changed(room);
        signal.into_iter().for_each(|signal| self.publish(room.clone(), signal));
    }

    /// Tells every gateway with members in the room.
    pub(crate) fn publish(&mut self, room: RoomName, signal: Signal) {
        self.signals.push(room, signal, self.shared.millis());
    }

    /// Passes a signal on to the room's readers.
    pub(crate) fn heard(&mut self, name: &RoomName, signal: &Signal, rooms: &mut Rooms, delivery: &mut Delivery) {
        let changed = match signal {
            Signal::Joined { .. } | Signal::Left { .. } | Signal::Count => true,
            Signal::Typing { .. } => false,
            Signal::WhoIsHere { ask } => return self.name_people(name, *ask, rooms),
            Signal::Here { ask, members, people, more } => {
                let there = LocalPeople { people: people.clone(), members: *members, more: *more };
                self.rosters.heard(name, *ask, &there);
                return self.tell_names(name, rooms, delivery);
            }
        };
        if changed {
            self.sums.outdate(name);
        }
        let Some(room) = rooms.get_mut(name) else { return };
        if changed && room.watched() {
            let now = Instant::now();
            room.note_presence(signal, now);
            self.presence.set(room.presence_due(now), name);
        }
        room.signal(signal, delivery);
    }

    /// Somebody asks how many members a room has.
    pub(crate) fn ask(
        &mut self,
        from: ConnectionId,
        room: &RoomName,
        rooms: &Rooms,
        calls: &mut BusCalls,
        delivery: &mut Delivery,
    ) {
        match self.sums.ask(from, room) {
            SumAsked::Known(others) => {
                delivery.answer(from, Answer::Members(others + u64::from(rooms.members(room))));
            }
            SumAsked::Waits(call) => calls.start(call),
            SumAsked::Refused => delivery.answer(from, Answer::Unavailable { retry: RETRY }),
        }
    }

    /// Somebody asks who is in a room.
    pub(crate) fn ask_people(
        &mut self,
        from: ConnectionId,
        room: &RoomName,
        limit: u32,
        rooms: &Rooms,
        calls: &mut BusCalls,
        delivery: &mut Delivery,
    ) {
        match self.rosters.ask(from, limit as usize, room, rand::random(), Instant::now()) {
            Ok(question) => question.into_iter().for_each(|question| self.publish(room.clone(), question)),
            Err(()) => return delivery.answer(from, Answer::Unavailable { retry: RETRY }),
        }
        calls.start(self.sums.refresh(room));
        self.rosters.deadline(room).into_iter().for_each(|at| self.names.set(at, room));
        self.tell_names(room, rooms, delivery);
    }

    /// Another gateway asks who is in a room: those who have members answer.
    fn name_people(&mut self, name: &RoomName, ask: u64, rooms: &Rooms) {
        let room = rooms.get(name).filter(|room| room.members() > 0 && !self.rosters.asks(name, ask));
        if let Some(room) = room {
            self.publish(name.clone(), room.people().signal(ask));
        }
    }

    /// Answers those who wait for names, if it is time.
    fn tell_names(&mut self, name: &RoomName, rooms: &Rooms, delivery: &mut Delivery) {
        let known = (self.sums.last_known(name), self.sums.fresh(name).is_some());
        let here = || rooms.get(name).map_or_else(LocalPeople::default, Room::people);
        for (to, answer) in self.rosters.settle(name, known, here, Instant::now()) {
            delivery.answer(to, answer);
        }
    }

    /// A sum was read.
    pub(crate) fn summed(&mut self, done: SumDone, rooms: &mut Rooms, calls: &mut BusCalls, delivery: &mut Delivery) {
        let reported = rooms.get(done.room()).map_or(0, Room::reported);
        let Some(next) = self.sums.done(done, reported) else { return };
        let members = next.others + u64::from(rooms.members(&next.room));
        for from in next.requests {
            delivery.answer(from, Answer::Members(members));
        }
        if next.again.is_none()
            && let Some(room) = rooms.get_mut(&next.room)
        {
            room.tell_presence(next.others, Instant::now(), delivery);
        }
        self.tell_names(&next.room, rooms, delivery);
        calls.start(next.again);
    }

    /// Counts were written: other gateways learn that there is a new sum.
    pub(crate) fn counted(&mut self, done: CountsDone, rooms: &mut Rooms) {
        for (name, count) in self.counts.done(done) {
            if let Some(room) = rooms.get_mut(&name) {
                room.report(count);
            }
            self.publish(name, Signal::Count);
        }
    }

    /// Signals were published.
    pub(crate) fn published(&mut self, done: SignalsDone) {
        self.signals.done(done);
    }

    /// Writes the counts that have changed and publishes what is queued, if it is time.
    pub(crate) fn finish_round(&mut self, rooms: &Rooms, calls: &mut BusCalls) {
        calls.start(self.counts.next(|room| rooms.members(room)));
        calls.start(self.signals.next());
    }

    /// Tells presence where it is time. What is not known freshly is read first.
    pub(crate) fn due(&mut self, now: Instant, rooms: &mut Rooms, calls: &mut BusCalls, delivery: &mut Delivery) {
        while let Some(name) = self.names.take(now) {
            self.tell_names(&name, rooms, delivery);
        }
        while let Some(name) = self.presence.take(now) {
            let Some(room) = rooms.get_mut(&name) else { continue };
            match (room.ripen_presence(now), self.sums.fresh(&name)) {
                (Err(later), _) => self.presence.set(later, &name),
                (Ok(()), Some(others)) => room.tell_presence(others, now, delivery),
                (Ok(()), None) => calls.start(self.sums.refresh(&name)),
            }
        }
    }

    /// Forgets what nobody asks for, and reads the sums again that have not been read for longest.
    pub(crate) fn tidy(&mut self, now: Instant, rooms: &Rooms) {
        self.rosters.forget_old(now);
        self.sums.forget_unused(|room| rooms.get(room).is_some_and(Room::in_use));
        let watched = rooms.iter().filter(|room| room.watched());
        let mut stale: Vec<_> = watched.map(|room| (self.sums.read_at(room.name()), room)).collect();
        stale.retain(|(at, _)| at.is_none_or(|at| now - at >= OLDEST));
        stale.sort_unstable_by_key(|(at, room)| (*at, room.id().0));
        for (_, room) in stale.into_iter().take(READ_AGAIN) {
            self.presence.set(room.presence_due(now), room.name());
        }
    }
}
