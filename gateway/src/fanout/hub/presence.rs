//! What people in a room are told of each other's coming and going.
//!
//! Decides when: at most once a second and room, only for rooms with members that asked for it, and only when the
//! number changed or somebody came or went; while many come it waits for the last of them, as what it tells everyone
//! would not hold. Names are those that were announced, at most twenty of each.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{actor::Actor, delivery::Seat, room::Room, timers::Due};
use crate::{
    fanout::session,
    rooms::{Author, RoomName, Signal},
};

/// Names of each kind in one telling.
const NAMES: usize = 20;
/// The least time between two tellings.
const PAUSE: Duration = Duration::from_secs(1);
/// From the last change to the telling: counts of all gateways are written by then.
const GATHER: Duration = Duration::from_millis(300);
/// From the first change to the telling, at most. A change is heard up to 250 ms after it was: this is within a second.
const LATEST: Duration = Duration::from_millis(600);
/// Rooms, a partition and second, whose sum is read though nobody told of a change: a gateway that died does not.
const POLLED: usize = 8;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Something may have changed, and its time has come.
    ripe: bool,
    /// The first change that was not told, and the last.
    changed: Option<(Instant, Instant)>,
    joined: Vec<Author>,
    left: Vec<Author>,
    /// The number told last, and when.
    told: Option<(u64, Instant)>,
}

impl Presence {
    /// When it is to be told what has changed, `now` at the earliest.
    fn due(&self, now: Instant) -> Instant {
        let gathered = self.changed.map_or(now, |(first, last)| now.max((last + GATHER).min(first + LATEST)));
        self.told.map_or(gathered, |(_, told)| gathered.max(told + PAUSE))
    }

    fn hear(&mut self, signal: &Signal, now: Instant) {
        let (first, _) = self.changed.unwrap_or((now, now));
        self.changed = Some((first, now));
        match signal {
            Signal::Joined { who, first: true, .. } => note(who, &mut self.joined, &mut self.left),
            Signal::Left { who, .. } => note(who, &mut self.left, &mut self.joined),
            Signal::Joined { .. } | Signal::Typing { .. } | Signal::Count => {}
        }
    }
}

/// Who comes back within a second has not been away.
fn note(who: &Author, to: &mut Vec<Author>, other: &mut Vec<Author>) {
    if let Some(at) = other.iter().position(|author| author.id == who.id) {
        other.remove(at);
    } else if to.len() < NAMES {
        to.push(who.clone());
    }
}

impl Room {
    /// Seats whose members asked for presence.
    fn watchers(&self) -> impl Iterator<Item = Seat> {
        self.members.seats().filter(|seat| seat.presence)
    }
}

impl Actor {
    /// Notes a signal that may change who is in the room.
    pub(super) fn note_presence(&mut self, name: &RoomName, signal: &Signal) {
        if matches!(signal, Signal::Typing { .. }) {
            return;
        }
        self.sums.outdate(name);
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.watchers().next().is_some()) else { return };
        let now = Instant::now();
        room.presence.hear(signal, now);
        self.timers.set(room.presence.due(now), Due::Presence, name);
    }

    pub(super) fn presence_due(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let now = Instant::now();
        let due = room.presence.due(now);
        if due > now {
            return self.timers.set(due, Due::Presence, name);
        }
        room.presence.ripe = true;
        if self.fresh_sum(name).is_some() { self.tell_presence(name) } else { self.want_sum(name) }
    }

    /// Tells what has changed, if it is time and the sum is fresh.
    pub(super) fn tell_presence(&mut self, name: &RoomName) {
        let Some(others) = self.fresh_sum(name) else { return };
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.presence.ripe) else { return };
        let members = others + room.members.len() as u64;
        (room.presence.ripe, room.presence.changed) = (false, None);
        let joined = std::mem::take(&mut room.presence.joined);
        let left = std::mem::take(&mut room.presence.left);
        let same = room.presence.told.is_some_and(|(told, _)| told == members);
        if same && joined.is_empty() && left.is_empty() {
            return;
        }
        room.presence.told = Some((members, Instant::now()));
        let presence = Arc::new(session::Presence { members, joined, left });
        self.delivery.presence(room.id, name, room.told, room.watchers(), &presence);
    }

    /// Reads the sums that were not read for longest: a dead gateway's members are gone with its lease, unannounced.
    pub(super) fn poll_presence(&mut self, now: Instant) {
        let watched = self.rooms.values().filter(|room| room.watchers().next().is_some());
        let stale = |at: Option<Instant>| at.is_none_or(|at| now - at >= PAUSE);
        let mut names: Vec<_> = watched.map(|room| (self.sums.age(&room.name), &room.name)).collect();
        names.retain(|(at, _)| stale(*at));
        names.sort_unstable();
        let names: Vec<_> = names.into_iter().take(POLLED).map(|(_, name)| name.clone()).collect();
        for name in names {
            let at = self.rooms.get(&name).map_or(now, |room| room.presence.due(now));
            self.timers.set(at, Due::Presence, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_soon_a_crowd_when_all_are_there_and_both_within_a_second() {
        let (start, millis) = (Instant::now(), Duration::from_millis);
        let mut presence = Presence::default();
        assert_eq!(presence.due(start), start);
        presence.hear(&Signal::Count, start);
        assert_eq!(presence.due(start), start + millis(300));
        presence.hear(&Signal::Count, start + millis(200));
        assert_eq!(presence.due(start), start + millis(500));
        for later in 3..20 {
            presence.hear(&Signal::Count, start + millis(later * 100));
            assert_eq!(presence.due(start), start + millis(600));
        }
        presence.told = Some((7, start));
        assert_eq!(presence.due(start), start + millis(1000), "not twice a second");
    }
}
