//! Slots move until every wanted shard serves its share: to new primaries, off those that are one too many, and evenly.
//!
//! Decided again for each small step from what the servers say. A move that was begun is finished before another begins, so
//! that an operator that died in the middle leaves nothing between two servers for long.

use std::collections::BTreeMap;

use parlor_redis::{NodeId, Slot, SlotMove, SlotSet};

use super::{
    Shape, Step,
    command::{Command, Hand},
    picture::{Live, Picture},
    run_if_any,
};
use crate::redis::{
    journal::Journal,
    roles::{self, Candidate},
};

/// Slots that change hands in one step. Nearly all are empty, and take some 100 ms together.
const SLOTS_AT_ONCE: usize = 256;

/// A primary and how many slots it is to serve.
struct Share<'p, 'a> {
    server: &'p Live<'a>,
    wanted: u16,
}

impl Share<'_, '_> {
    fn excess(&self) -> u16 {
        self.server.me.slots.len().saturating_sub(self.wanted)
    }

    fn deficit(&self) -> u16 {
        self.wanted.saturating_sub(self.server.me.slots.len())
    }
}

impl<'a> Picture<'a> {
    /// Finishes moves that were begun, also with the server that took over from one of the two servers.
    pub(super) fn mend_moves(&self, journal: &Journal) -> Option<Step> {
        let (mut hands, mut over) = (BTreeMap::new(), BTreeMap::new());
        for one in self.live.iter().filter(|one| one.me.replica_of.is_none()) {
            for begun in &one.me.moves {
                match self.continued(one, begun, journal) {
                    Continued::Hand { slot, from, to } => {
                        hands.entry((from, to)).or_insert_with(SlotSet::empty).insert(slot);
                    }
                    Continued::Over(slot) => over.entry(one.pod).or_insert_with(SlotSet::empty).insert(slot),
                    Continued::Later => {}
                }
            }
        }
        let ended = over.iter().filter_map(|(pod, slots)| {
            let server = self.live.iter().find(|one| one.pod == *pod)?;
            Some(server.order(Command::EndMoves(slots.clone())))
        });
        let handed = hands.iter().filter_map(|((from, to), slots)| {
            Some(self.hand(self.server(from)?, self.server(to)?, slots.iter().take(SLOTS_AT_ONCE).collect()))
        });
        let slots: u32 = hands.values().map(|slots| u32::from(slots.len())).sum();
        run_if_any(|_| format!("finish moving {slots} slots"), handed.chain(ended))
    }

    fn continued(&self, one: &Live<'a>, begun: &'a SlotMove, journal: &Journal) -> Continued<'a> {
        let owner = |slot: Slot| self.primaries().find(|primary| primary.me.slots.contains(slot));
        match begun {
            SlotMove::Migrating(slot, _) if !one.me.slots.contains(*slot) => Continued::Over(*slot),
            SlotMove::Importing(slot, _) if one.me.slots.contains(*slot) => Continued::Over(*slot),
            SlotMove::Migrating(slot, to) => match self.successor(to, journal) {
                Some(to) if to.me.id != one.me.id => Continued::Hand { slot: *slot, from: &one.me.id, to: &to.me.id },
                Some(_) => Continued::Over(*slot),
                // Its keys may be with a server that comes back; without any trace of that the rest stays here.
                None if self.strangers.get(to).is_some_and(|stranger| stranger.may_return) => Continued::Later,
                None => Continued::Over(*slot),
            },
            SlotMove::Importing(slot, _) => match owner(*slot) {
                Some(from) => Continued::Hand { slot: *slot, from: &from.me.id, to: &one.me.id },
                None => Continued::Later,
            },
        }
    }

    /// The living primary that a server is, copies, or was succeeded by.
    fn successor(&self, id: &NodeId, journal: &Journal) -> Option<&Live<'a>> {
        if let Some(server) = self.server(id) {
            let primary = server.me.replica_of.as_ref().map_or(Some(server), |primary| self.server(primary));
            return primary.filter(|one| one.me.replica_of.is_none());
        }
        self.primaries().find(|one| journal.copied(&one.me.id) == Some(id))
    }

    /// Moves some slots towards the share that every shard is to have. Only in a cluster that lacks nothing else.
    pub(super) fn reshape(&self, shape: Shape) -> Option<Step> {
        let shares = self.shares(shape);
        let (have, left) =
            (self.primaries().count(), shares.iter().map(|share| u32::from(share.excess())).sum::<u32>());
        let from = shares.iter().max_by_key(|share| (share.wanted == 0 && share.excess() > 0, share.excess()))?;
        // A new primary gets one slot first: with it comes a replica, and only then what has to be kept.
        let empty = |share: &&Share<'_, '_>| share.server.me.slots.is_empty() && share.wanted > 0;
        let to = shares.iter().find(empty).or_else(|| shares.iter().max_by_key(|share| share.deficit()))?;
        let count = usize::from(from.excess().min(to.deficit())).min(SLOTS_AT_ONCE);
        if count == 0 {
            let wanted = shape.shards;
            return (have != wanted).then(|| Step::Wait(format!("{have} shards serve all slots, {wanted} are wanted")));
        }
        let slots =
            if to.server.me.slots.is_empty() { quiet_slot(from.server) } else { last_slots(from.server, count) };
        let why = format!(
            "move {} slots from {} to {}; {left} are still to move",
            slots.len(),
            from.server.pod,
            to.server.pod
        );
        Some(Step::Run { why, orders: vec![self.hand(from.server, to.server, slots)] })
    }

    /// Who is to serve how many slots: the primaries that stay, and new ones where there are too few.
    fn shares<'p>(&'p self, shape: Shape) -> Vec<Share<'p, 'a>> {
        let mut staying: Vec<&Live<'a>> = self.primaries().filter(|one| !one.surplus).collect();
        // Those that serve the least go first: a shard that was begun to be emptied is emptied.
        staying.sort_by_key(|one| (std::cmp::Reverse(one.me.slots.len()), one.pod));
        staying.truncate(shape.shards);
        let existing: Vec<Candidate<'_>> = staying.iter().map(|one| one.candidate()).collect();
        let spares: Vec<Candidate<'_>> =
            self.spares().iter().filter(|one| one.me.replica_of.is_none()).map(|one| one.candidate()).collect();
        let missing = shape.shards.saturating_sub(staying.len());
        let new = roles::choose_primaries(&existing, &spares, missing);
        staying.extend(new.iter().filter_map(|chosen| self.server(chosen.id)));
        let parts = SlotSet::full().split(staying.len().max(1));
        let mut parts: Vec<u16> = parts.iter().map(SlotSet::len).collect();
        parts.sort_unstable_by(|one, other| other.cmp(one));
        let going = self.primaries().filter(|one| !staying.iter().any(|other| other.pod == one.pod));
        let going: Vec<Share<'p, 'a>> = going.map(|server| Share { server, wanted: 0 }).collect();
        let staying = staying.into_iter().zip(parts).map(|(server, wanted)| Share { server, wanted });
        staying.chain(going).collect()
    }

    fn hand(&self, from: &Live<'a>, to: &Live<'a>, slots: SlotSet) -> super::Order {
        let copied = self.replicas_of(&to.me.id).any(|replica| replica.in_sync());
        let (from_id, to_id) = (from.me.id.clone(), to.me.id.clone());
        from.order(Command::Hand(Hand { slots, from: from_id, to: to_id, to_ip: to.ip.to_owned(), copied }))
    }
}

/// How a move that was begun continues.
enum Continued<'a> {
    /// From the owner to the target.
    Hand { slot: Slot, from: &'a NodeId, to: &'a NodeId },
    /// The slot is where it belongs: only the note about the move is left.
    Over(Slot),
    /// One of the two servers is waited for.
    Later,
}

/// A slot that hardly holds a key: those of partitions are in the middle of each 64th of all slots.
fn quiet_slot(server: &Live<'_>) -> SlotSet {
    let quietness = |slot: &Slot| (slot.number() % 256).abs_diff(128);
    server.me.slots.iter().max_by_key(quietness).into_iter().collect()
}

/// Contiguous slots, as far as they are: the partitions are spread evenly, and so a stretch of slots has its share of them.
fn last_slots(server: &Live<'_>, count: usize) -> SlotSet {
    let slots: Vec<Slot> = server.me.slots.iter().collect();
    slots.into_iter().rev().take(count).collect()
}
