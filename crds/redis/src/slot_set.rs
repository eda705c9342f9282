//! Sets of hash slots, and how they are divided.
//!
//! Pure arithmetic; used by the node table and the operator's planner.

use std::fmt;

use crate::slot::{Slot, SlotRange};

const WORDS: usize = Slot::COUNT as usize / 64;

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

    /// Adds a slot or a range of slots.
    pub fn insert(&mut self, slots: impl Into<SlotRange>) {
        for slot in slots.into().iter() {
            self.0[usize::from(slot.number()) / 64] |= 1 << (slot.number() % 64);
        }
    }

    /// Whether `slot` is in the set.
    pub fn contains(&self, slot: Slot) -> bool {
        self.0[usize::from(slot.number()) / 64] & (1 << (slot.number() % 64)) != 0
    }

    /// How many slots the set holds.
    pub fn len(&self) -> u16 {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        u16::try_from(count).unwrap_or(Slot::COUNT)
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

    /// Takes every slot of `other` out.
    pub fn remove(&mut self, other: &SlotSet) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *mine &= !theirs;
        }
    }

    /// The slots that are not in this set.
    pub fn complement(&self) -> SlotSet {
        let mut rest = Self::full();
        rest.remove(self);
        rest
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        SlotRange::ALL.iter().filter(|slot| self.contains(*slot))
    }

    /// The slots as ranges, ascending, as few as possible.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let mut ranges: Vec<(Slot, Slot)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if last.number() + 1 == slot.number() => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges.into_iter().filter_map(|(first, last)| SlotRange::new(first, last)).collect()
    }

    /// Divides the set into `parts` whose sizes differ by at most one, each a contiguous stretch of the set.
    pub fn split(&self, parts: usize) -> Vec<SlotSet> {
        let slots: Vec<Slot> = self.iter().collect();
        let cut = |part: usize| slots.len() * part / parts;
        (0..parts).map(|part| slots[cut(part)..cut(part + 1)].iter().copied().collect()).collect()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::empty();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges().iter().map(ToString::to_string)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_range() -> impl Strategy<Value = SlotRange> {
        let slot = || (0..Slot::COUNT).prop_map(|number| Slot::new(number).unwrap());
        (slot(), slot()).prop_map(|(one, other)| SlotRange::new(one.min(other), one.max(other)).unwrap())
    }

    fn any_set() -> impl Strategy<Value = SlotSet> {
        proptest::collection::vec(any_range(), 0..4).prop_map(|ranges| {
            let mut set = SlotSet::empty();
            ranges.into_iter().for_each(|range| set.insert(range));
            set
        })
    }

    #[test]
    fn three_parts_of_all_slots_are_the_usual_ranges() {
        let parts = SlotSet::full().split(3);
        let ranges: Vec<_> = parts.iter().flat_map(SlotSet::ranges).map(|range| range.to_string()).collect();
        assert_eq!(ranges, ["0-5460", "5461-10921", "10922-16383"]);
    }

    proptest! {
        #[test]
        fn parts_are_even_disjoint_and_complete(set in any_set(), parts in 1usize..9) {
            let pieces = set.split(parts);
            let sizes: Vec<u16> = pieces.iter().map(SlotSet::len).collect();
            prop_assert_eq!(sizes.iter().sum::<u16>(), set.len());
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let mut union = SlotSet::empty();
            pieces.iter().for_each(|piece| union.add(piece));
            prop_assert_eq!(union, set);
        }

        #[test]
        fn a_set_and_its_complement_are_everything(set in any_set()) {
            prop_assert_eq!(set.len() + set.complement().len(), Slot::COUNT);
            let mut whole = set.clone();
            whole.add(&set.complement());
            prop_assert_eq!(&whole, &SlotSet::full());
            whole.remove(&set);
            prop_assert_eq!(whole, set.complement());
        }

        #[test]
        fn the_ranges_of_a_set_are_the_set(set in any_set()) {
            let mut again = SlotSet::empty();
            set.ranges().into_iter().for_each(|range| again.insert(range));
            prop_assert_eq!(again, set);
        }
    }
}
