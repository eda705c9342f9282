//! Sets of hash slots, and how they are divided.
//!
//! Pure arithmetic; called by the node parser and the planner.

use std::fmt;

/// Number of hash slots in every Redis Cluster.
pub const SLOTS: u16 = 16_384;
const WORDS: usize = SLOTS as usize / 64;

/// A set of hash slots, 2 KiB whatever it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl SlotSet {
    /// The set without any slot.
    pub fn empty() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// All 16,384 slots.
    pub fn full() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Adds `first..=last`; slots from [`SLOTS`] on are ignored.
    pub fn insert_range(&mut self, first: u16, last: u16) {
        for slot in first..=last.min(SLOTS - 1) {
            self.0[usize::from(slot) / 64] |= 1 << (slot % 64);
        }
    }

    /// Whether `slot` is in the set.
    pub fn contains(&self, slot: u16) -> bool {
        slot < SLOTS && self.0[usize::from(slot) / 64] & (1 << (slot % 64)) != 0
    }

    /// How many slots the set holds.
    pub fn len(&self) -> u16 {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        u16::try_from(count).unwrap_or(SLOTS)
    }

    /// Whether the set holds no slot.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds every slot of `other`.
    pub fn add(&mut self, other: &SlotSet) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *mine |= theirs;
        }
    }

    /// The slots that are not in this set.
    pub fn complement(&self) -> SlotSet {
        let mut rest = self.clone();
        for word in rest.0.iter_mut() {
            *word = !*word;
        }
        rest
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..SLOTS).filter(|slot| self.contains(*slot))
    }

    /// The slots as inclusive ranges, ascending, as few as possible.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }

    /// Divides the set into `parts` of sizes that differ by one at most, each a contiguous stretch of the set.
    pub fn split(&self, parts: usize) -> Vec<SlotSet> {
        let slots: Vec<u16> = self.iter().collect();
        (0..parts)
            .map(|part| {
                let mut piece = SlotSet::empty();
                let (from, to) = (slots.len() * part / parts, slots.len() * (part + 1) / parts);
                slots[from..to].iter().for_each(|slot| piece.insert_range(*slot, *slot));
                piece
            })
            .collect()
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_parts_of_all_slots_are_the_usual_ranges() {
        let parts = SlotSet::full().split(3);
        let ranges: Vec<_> = parts.iter().flat_map(SlotSet::ranges).collect();
        assert_eq!(ranges, [(0, 5460), (5461, 10_921), (10_922, 16_383)]);
    }

    proptest! {
        #[test]
        fn parts_are_even_disjoint_and_complete(first in 0..SLOTS, last in 0..SLOTS, parts in 1usize..9) {
            let mut set = SlotSet::empty();
            set.insert_range(first.min(last), first.max(last));
            let pieces = set.split(parts);
            let sizes: Vec<u16> = pieces.iter().map(SlotSet::len).collect();
            prop_assert_eq!(sizes.iter().sum::<u16>(), set.len());
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let mut union = SlotSet::empty();
            pieces.iter().for_each(|piece| union.add(piece));
            prop_assert_eq!(union, set);
        }

        #[test]
        fn a_set_and_its_complement_are_everything(first in 0..SLOTS, last in 0..SLOTS) {
            let mut set = SlotSet::empty();
            set.insert_range(first, last);
            prop_assert_eq!(set.len() + set.complement().len(), SLOTS);
            set.add(&set.complement());
            prop_assert_eq!(set, SlotSet::full());
        }
    }
}
