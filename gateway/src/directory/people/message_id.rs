//! Ids of messages, as people with numbers read them: they increase along each conversation, no two that one person
//! reads are the same, and every client reads them exactly, as numbers and as text.
//!
//! An id is a rank times [`LANES`] and a lane, which tells conversations apart: each block has its own, and what goes to
//! a person has [`PERSONAL`]. Ranks are in milliseconds since [`START`]. A message to a block gets its rank from its place
//! in the room ([`in_block`]), so that every holder of the entry knows its id; one to a person gets it from the directory.
//! Pure.

use super::social::BLOCKS;

/// Ids of one rank.
pub const LANES: u64 = 10_240;
/// The lane of messages to a person.
pub const PERSONAL: u64 = LANES - 1;
/// The beginning of 2026, in milliseconds since the Unix epoch. Ids stay below 2^53 for 27 years from then; after that they
/// still increase, and their text keeps its width for three more.
pub const START: u64 = 1_767_225_600_000;

const _: () = assert!((BLOCKS as u64) < PERSONAL, "each block has a lane");

/// The rank that `time`, in milliseconds since the Unix epoch, has by itself.
pub fn rank(time: u64) -> u64 {
    time.saturating_sub(START)
}

/// The id of the entry `seq` of a block's room, written at `time`.
///
/// Along a room time never goes back and `seq` grows, and so does their sum, however many entries share a millisecond.
/// Where entries are lost and `seq` steps back, in a new epoch, time makes up for it as long as fewer were lost than
/// milliseconds have passed since.
pub fn in_block(block: u64, time: u64, seq: u64) -> u64 {
    // Nobody reads a block beyond [`BLOCKS`].
    id(rank(time).saturating_add(seq), block % PERSONAL)
}

/// The id of a message to a person that the directory gave `rank`.
pub fn to_person(rank: u64) -> u64 {
    id(rank, PERSONAL)
}

/// The block of an id; None when it went to a person.
pub fn block(id: u64) -> Option<u64> {
    Some(id % LANES).filter(|lane| *lane != PERSONAL)
}

/// When the directory gave the id of a message to a person, in milliseconds since the Unix epoch.
pub fn given(id: u64) -> u64 {
    START + id / LANES
}

/// The lowest id that an entry written at `time` or later may have.
pub fn lowest(time: u64) -> u64 {
    id(rank(time), 0)
}

fn id(rank: u64, lane: u64) -> u64 {
    rank.saturating_mul(LANES).saturating_add(lane)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Early in 2050.
    const LATEST: u64 = START + 24 * 366 * 86_400_000;

    proptest! {
        #[test]
        fn ids_increase_along_a_room_and_are_read_exactly(
            block in 0..=BLOCKS as u64,
            start in 0..LATEST,
            first in 1_u64..1_000_000_000,
            // Most entries share their millisecond with the one before; clocks that went back do not move for long.
            pauses in proptest::collection::vec(prop_oneof![4 => Just(0_u64), 1 => 0_u64..3, 1 => 0_u64..3_600_000], 1..400),
        ) {
            let (mut time, mut last) = (start, 0);
            for (seq, pause) in (first..).zip(pauses) {
                time += pause;
                let id = in_block(block, time, seq);
                prop_assert!(last < id && id < 1 << 53, "{last} then {id}");
                prop_assert_eq!(super::block(id), Some(block));
                prop_assert!(id >= lowest(time));
                last = id;
            }
        }

        #[test]
        fn ids_increase_over_a_loss_of_fewer_entries_than_milliseconds(
            time in START..LATEST,
            head in 1_u64..1_000_000_000,
            lost in 0_u64..1_000_000,
            more in 0_u64..1000,
        ) {
            let lost = lost.min(head);
            let shown = in_block(1, time, head);
            prop_assert!(shown < in_block(1, time + lost + more, head - lost + 1));
        }

        #[test]
        fn no_two_conversations_share_an_id(
            messages in proptest::collection::hash_set((0..3_u64, 0..40_u64, 0..40_u64), 1..300),
        ) {
            // Lane 0 stands for the messages to the person, which the directory ranks one by one.
            let ranks: HashSet<_> = messages.iter().map(|(lane, time, seq)| (*lane, time + seq)).collect();
            let id = |lane: u64, rank: u64| match lane {
                0 => to_person(rank),
                block => in_block(block, START, rank),
            };
            let ids: HashSet<_> = ranks.iter().map(|(lane, rank)| id(*lane, *rank)).collect();
            prop_assert_eq!(ids.len(), ranks.len());
        }
    }

    #[test]
    fn messages_to_people_have_a_lane_of_their_own() {
        let id = to_person(rank(START + 5));
        assert_eq!((block(id), given(id)), (None, START + 5));
        assert_eq!(block(in_block(PERSONAL, START, 1)), Some(0), "no block's number makes it personal");
    }

    #[test]
    fn what_no_gateway_writes_has_an_id_too() {
        assert_eq!(in_block(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
