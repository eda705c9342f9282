//! Who reads a room on this gateway, and how many of them share a reactor and an encoding.
//!
//! Decides nothing; keeps the counts that delivery needs without walking over members. Called by the hub.

use std::{collections::HashMap, hash::Hash};

/// Members `M` by connection `C`, counted by seat `S` (what delivery groups them by: reactor and encoding).
#[derive(Debug)]
pub struct Membership<C, S, M> {
    members: HashMap<C, (S, M)>,
    /// Sorted by seat; as many as reactors times encodings in use, so a few dozen at most.
    seats: Vec<(S, u32)>,
}

impl<C, S, M> Default for Membership<C, S, M> {
    fn default() -> Self {
        Self { members: HashMap::new(), seats: Vec::new() }
    }
}

impl<C: Eq + Hash, S: Copy + Ord, M> Membership<C, S, M> {
    /// Number of connections.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True without members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member by its connection.
    pub fn get(&self, connection: &C) -> Option<&M> {
        self.members.get(connection).map(|(_, member)| member)
    }

    /// All members, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &M> {
        self.members.values().map(|(_, member)| member)
    }

    /// All members with their connections, in no order.
    pub fn connections(&self) -> impl Iterator<Item = (&C, &M)> {
        self.members.iter().map(|(connection, (_, member))| (connection, member))
    }

    /// Adds a member, or replaces the one with this connection.
    pub fn insert(&mut self, connection: C, seat: S, member: M) {
        if let Some((old, _)) = self.members.insert(connection, (seat, member)) {
            self.unseat(old);
        }
        match self.seats.binary_search_by_key(&seat, |(seat, _)| *seat) {
            Ok(at) => self.seats[at].1 += 1,
            Err(at) => self.seats.insert(at, (seat, 1)),
        }
    }

    /// Removes a member.
    pub fn remove(&mut self, connection: &C) -> Option<M> {
        let (seat, member) = self.members.remove(connection)?;
        self.unseat(seat);
        if self.members.is_empty() {
            self.members = HashMap::new();
        }
        Some(member)
    }

    /// Seats that somebody sits on, ascending.
    pub fn seats(&self) -> impl Iterator<Item = S> {
        self.seats.iter().map(|(seat, _)| *seat)
    }

    fn unseat(&mut self, seat: S) {
        if let Ok(at) = self.seats.binary_search_by_key(&seat, |(seat, _)| *seat) {
            self.seats[at].1 -= 1;
            if self.seats[at].1 == 0 {
                self.seats.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn seats_are_those_of_the_members(steps in prop::collection::vec((0_u8..8, prop::option::of(0_u8..4)), 0..60)) {
            let (mut membership, mut model) = (Membership::default(), HashMap::new());
            for (connection, seat) in steps {
                match seat {
                    Some(seat) => {
                        membership.insert(connection, seat, ());
                        model.insert(connection, seat);
                    }
                    None => prop_assert_eq!(membership.remove(&connection).is_some(), model.remove(&connection).is_some()),
                }
                let expected: BTreeMap<u8, ()> = model.values().map(|seat| (*seat, ())).collect();
                prop_assert!(membership.seats().eq(expected.into_keys()));
                prop_assert_eq!(membership.len(), model.len());
            }
        }
    }
}
