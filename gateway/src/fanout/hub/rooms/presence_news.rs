//! What people in a room learn of each other's coming and going.
//!
//! Decides when: at most once per second, and only when the number changed or somebody came or went. While many come it
//! waits for the last of them, because an earlier number would be wrong at once. Names are those that were
//! announced, at most twenty of each kind. Pure: the caller passes the time.

use tokio::time::Instant;

use crate::{
    deadlines::hub::{BETWEEN_PRESENCE, GATHER, GATHER_AT_MOST},
    fanout::presence::Presence,
    rooms::{Author, Signal},
};

/// Names of each kind in one message.
const NAMES: usize = 20;

/// The changes that no message has covered yet.
#[derive(Debug, Default)]
pub(crate) struct PresenceNews {
    /// Something may have changed, and its time has come.
    ripe: bool,
    /// The first change that no message has covered, and the last.
    changed: Option<(Instant, Instant)>,
    joined: Vec<Author>,
    left: Vec<Author>,
    /// The last number that was sent, and when.
    told: Option<(u64, Instant)>,
    /// A reader was given another number when it joined.
    contradicted: bool,
}

impl PresenceNews {
    /// When the message about what has changed is due, `now` at the earliest.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        let gathered = self.changed.map_or(now, |(first, last)| now.max((last + GATHER).min(first + GATHER_AT_MOST)));
        self.told.map_or(gathered, |(_, told)| gathered.max(told + BETWEEN_PRESENCE))
    }

    /// The number of members may have changed.
    pub(crate) fn change(&mut self, now: Instant) {
        let (first, _) = self.changed.unwrap_or((now, now));
        self.changed = Some((first, now));
    }

    /// Somebody may have come or gone.
    pub(crate) fn hear(&mut self, signal: &Signal, now: Instant) {
        self.change(now);
        match signal {
            Signal::Joined { who, first: true, .. } => note(who, &mut self.joined, &mut self.left),
            Signal::Left { who, .. } => note(who, &mut self.left, &mut self.joined),
            Signal::Joined { .. } | Signal::Typing { .. } | Signal::Count => {}
            Signal::WhoIsHere { .. } | Signal::Here { .. } => {}
        }
    }

    /// A reader learned `members` when it joined, which may be wrong by now.
    pub(crate) fn admitted(&mut self, members: u64, now: Instant) {
        self.change(now);
        self.contradicted |= self.told.is_some_and(|(told, _)| told != members);
    }

    /// The time to tell has come, if it has; else when it will.
    pub(crate) fn ripen(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due(now);
        if due > now {
            return Err(due);
        }
        self.ripe = true;
        Ok(())
    }

    /// The message to send now that the number is known; `None` if it is not time, or nothing has changed.
    pub(crate) fn take(&mut self, members: u64, now: Instant) -> Option<Presence> {
        if !std::mem::take(&mut self.ripe) {
            return None;
        }
        self.changed = None;
        let (joined, left) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left));
        let known = !std::mem::take(&mut self.contradicted) && self.told.is_some_and(|(told, _)| told == members);
        if known && joined.is_empty() && left.is_empty() {
            return None;
        }
        self.told = Some((members, now));
        Some(Presence { members, joined, left })
    }
}

/// Who comes back before the message was sent has not been away.
fn note(who: &Author, to: &mut Vec<Author>, other: &mut Vec<Author>) {
    if let Some(at) = other.iter().position(|author| author.id == who.id) {
        other.remove(at);
    } else if to.len() < NAMES {
        to.push(who.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_change_is_announced_soon_a_crowd_when_all_are_there_and_both_within_one_second() {
        let (start, millis) = (Instant::now(), Duration::from_millis);
        let mut presence = PresenceNews::default();
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
        assert_eq!(presence.due(start), start + millis(1000), "at most once per second");
    }

    #[test]
    fn the_same_number_is_sent_again_only_to_somebody_who_was_given_another() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let told = |presence: &mut PresenceNews, members, at| {
            presence.ripen(at).unwrap();
            presence.take(members, at).map(|presence| presence.members)
        };
        let mut presence = PresenceNews::default();
        assert_eq!(presence.take(7, start), None, "its time has not come");
        assert_eq!(told(&mut presence, 7, start), Some(7));
        presence.admitted(7, start);
        assert_eq!(told(&mut presence, 7, start + second), None);
        presence.admitted(5, start + second);
        assert_eq!(told(&mut presence, 7, start + second * 2), Some(7));
    }
}
