//! Joins and leaves: who becomes a reader, from where, and what they are told.
//!
//! Decides when a join can be answered: once the room's log is in memory, reaches the position asked for, and the count
//! of members is fresh. All that wait for a room are answered by the same reads.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    actor::Actor,
    delivery::{Delivery, Seat},
    room::{Member, Room, Sync},
    timers::Due,
};
use crate::{
    fanout::{
        link::{ConnectionId, ToReactor},
        session::{Answer, Gap, Join, Joined},
    },
    rooms::{ProtocolId, RoomName, Signal, resume::Resume},
};

/// How long a position ahead of the log may wait for the tail.
const AHEAD: Duration = Duration::from_secs(2);
/// How long a join may wait for the bus.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often waiting joins are looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(250);
/// Milliseconds after which a join that was not answered is worth another try.
pub(super) const RETRY: u64 = 1000;
/// Joins answered in one round: some hundred kilobytes of answers.
pub(super) const ROUND: usize = 1024;

/// A join that was not answered yet.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) from: ConnectionId,
    protocol: ProtocolId,
    pub(super) join: Join,
    since: Instant,
    /// Older entries were read for it.
    pub(super) looked: bool,
}

/// What is to be done with a waiter now.
enum Verdict {
    Wait,
    /// The log may be behind: read the history.
    Reread,
    /// The log must reach further back.
    Older,
    Refuse,
    Admit(Owed),
}

/// What a join is owed.
struct Owed {
    /// Entries after this seq are written.
    after: Option<u64>,
    gap: Option<Gap>,
    recovered: bool,
}

impl Actor {
    pub(super) fn join(&mut self, from: ConnectionId, protocol: ProtocolId, join: Join) {
        let name = join.room.clone();
        if !self.open(&name) {
            self.delivery.answer(from, Answer::RoomLimit);
            return;
        }
        if let Some(room) = self.rooms.get_mut(&name) {
            room.waiting.push_back(Waiter { from, protocol, join, since: Instant::now(), looked: false });
        }
        self.want(&name);
        if self.fresh_sum(&name).is_none() {
            self.want_sum(&name);
        }
        self.timers.set(Instant::now() + LOOK, Due::Joins, &name);
        self.unsettle(&name);
    }

    /// Brings a room into memory; false at `limits.rooms`.
    fn open(&mut self, name: &RoomName) -> bool {
        if let Some(room) = self.rooms.get_mut(name) {
            return room.admit(&self.shared);
        }
        let mut room = Room::new(name.clone(), self.ids.take());
        if !room.admit(&self.shared) {
            self.ids.give_back(room.id);
            return false;
        }
        self.rooms.insert(name.clone(), room);
        self.start_tail();
        self.schedule_sweep();
        true
    }

    pub(super) fn leave(&mut self, from: ConnectionId, name: &RoomName, asked: bool) {
        let now = self.shared.now();
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.waiting.retain(|waiter| waiter.from != from);
        let left = room.members.remove(&from);
        room.release(&self.shared);
        let Some(Member { who, protocol, announce }) = left else { return };
        let told = announce && room.leaves.allow(now);
        self.counts.changed(name);
        if told {
            self.publish(name.clone(), Signal::Left { who, protocol, asked });
        }
    }

    /// Looks at a room's joins at the end of this round.
    pub(super) fn unsettle(&mut self, name: &RoomName) {
        let waits = self.rooms.get(name).is_some_and(|room| !room.waiting.is_empty());
        if waits && !self.unsettled.contains(name) {
            self.unsettled.push_back(name.clone());
        }
    }

    pub(super) fn joins_due(&mut self, name: &RoomName) {
        self.unsettle(name);
        if self.rooms.get(name).is_some_and(|room| !room.waiting.is_empty()) {
            self.timers.set(Instant::now() + LOOK, Due::Joins, name);
        }
    }

    /// Answers the joins that can be answered; those beyond a round's measure stay for the next.
    pub(super) fn settle_all(&mut self) {
        let mut budget = ROUND;
        for _ in 0..self.unsettled.len() {
            let Some(name) = self.unsettled.pop_front() else { return };
            self.settle(&name, &mut budget);
            if budget == 0 {
                self.unsettle(&name);
                return;
            }
        }
    }

    pub(super) fn settle(&mut self, name: &RoomName, budget: &mut usize) {
        let others = self.fresh_sum(name);
        let (mut reread, mut older, mut unsure) = (false, false, false);
        let Some(room) = self.rooms.get_mut(name) else { return };
        for _ in 0..room.waiting.len() {
            let Some(waiter) = room.waiting.pop_front() else { break };
            let verdict = if *budget == 0 { Verdict::Wait } else { room.judge(&waiter) };
            match (verdict, others) {
                (Verdict::Admit(owed), Some(others)) => {
                    *budget -= 1;
                    let signal = room.seat(waiter, owed, others, self.shared.now(), &mut self.delivery);
                    signal.into_iter().for_each(|signal| self.signals.push(name.clone(), signal));
                    continue;
                }
                (Verdict::Refuse, _) => {
                    self.delivery.answer(waiter.from, Answer::Unavailable { retry: RETRY });
                    continue;
                }
                (Verdict::Admit(_), None) => unsure = true,
                (Verdict::Reread, _) => reread = true,
                (Verdict::Older, _) => older = true,
                (Verdict::Wait, _) => {}
            }
            room.waiting.push_back(waiter);
        }
        room.release(&self.shared);
        if room.members.len() as u32 != room.reported {
            self.counts.changed(name);
        }
        if reread && room.sync == Sync::Live && room.reread.is_none_or(|at| at.elapsed() >= LOOK) {
            room.reread = Some(Instant::now());
            room.want_reading();
            self.want(name);
            self.read_next();
        }
        if older {
            self.reach_back(name);
        }
        if unsure {
            self.want_sum(name);
        }
    }
}

impl Room {
    fn judge(&self, waiter: &Waiter) -> Verdict {
        let waited = waiter.since.elapsed();
        let Some(log) = self.log.as_ref() else {
            return if waited >= PATIENCE { Verdict::Refuse } else { Verdict::Wait };
        };
        let none = Owed { after: None, gap: None, recovered: false };
        if self.members.get(&waiter.from).is_some() {
            return Verdict::Admit(Owed { recovered: waiter.join.after.is_some(), ..none });
        }
        let Some(position) = waiter.join.after else { return Verdict::Admit(none) };
        if log.wants_older(position) {
            match (waiter.looked, self.reading_older) {
                (false, _) if waited >= PATIENCE => return Verdict::Refuse,
                (false, _) => return Verdict::Older,
                (true, true) => return Verdict::Wait,
                // What could be read has been read.
                (true, false) => {}
            }
        }
        match log.resume(position) {
            Resume::Complete { after } => Verdict::Admit(Owed { after: Some(after), gap: None, recovered: true }),
            Resume::Partial { gap, after } => {
                let gap = Some(Gap { from: gap.first, to: Some(gap.last) });
                Verdict::Admit(Owed { after: Some(after), gap, recovered: false })
            }
            Resume::UnknownBranch => {
                Verdict::Admit(Owed { gap: Some(Gap { from: position.seq + 1, to: None }), ..none })
            }
            Resume::Ahead if waited >= AHEAD => Verdict::Refuse,
            // The tail is seldom later than this; a later generation only the history knows.
            Resume::Ahead if waited < LOOK && position.seq > log.head().seq => Verdict::Wait,
            Resume::Ahead => Verdict::Reread,
        }
    }

    /// Makes the waiter a member and answers it. Answers what others should be told.
    fn seat(&mut self, waiter: Waiter, owed: Owed, others: u64, now: u64, delivery: &mut Delivery) -> Option<Signal> {
        let Waiter { from, protocol, join, .. } = waiter;
        let Join { room: _, who, encoding, after: _, presence, announce } = join;
        let log = self.log.as_ref()?;
        let first = self.members.get(&from).is_none();
        if first {
            let seat = Seat { encoding, reactor: from.reactor, presence };
            self.members.insert(from, seat, Member { who: who.clone(), protocol, announce });
        }
        let backlog = match owed.after {
            Some(after) => self.backlogs.after(after, encoding, &self.name, log, delivery),
            None => Vec::new(),
        };
        let announced = announce && self.joins.allow(now);
        let answer = Answer::Joined(Joined {
            room: self.name.clone(),
            head: log.head(),
            members: others + self.members.len() as u64,
            recovered: owed.recovered,
            gap: owed.gap,
            announced,
        });
        delivery.joined(owed.recovered, owed.gap.is_some());
        delivery.push(from.reactor, ToReactor::Joined { to: from, room: self.id, encoding, answer, backlog });
        announced.then_some(Signal::Joined { who, protocol, first })
    }
}
