//! Whom people know, the blocks they are in and the conversations they have: the questions and answers. All of it for
//! endpoints, which trust the numbers that they are given as the system they serve does.

pub(super) mod memory;
pub mod redis;

use std::{collections::HashMap, sync::Arc};

use super::To;

/// The block that everyone is in.
pub const EVERYONE: u64 = 1;
/// The name of [`EVERYONE`].
pub const EVERYONE_NAME: &str = "Everyone";
/// Contacts of one person; beyond it none is added, on either side.
pub const CONTACTS: usize = 1000;
/// Blocks that one person is in: fewer than `limits.roomsPerConnection` as it is by default, so that a connection reads
/// them all.
pub const MEMBERSHIPS: usize = 64;
/// Blocks that are known at once. Beyond it the one is forgotten that was silent for longest.
pub const BLOCKS: usize = 10_000;
/// Conversations of one person that are remembered and shown; the longest silent go first.
pub const CONVERSATIONS: usize = 200;
/// What a search finds at most.
pub const FOUND: usize = 100;

/// A person as others see them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    pub id: u64,
    /// Empty for one who came without a name.
    pub name: Arc<str>,
}

/// A block as its members see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    pub id: u64,
    pub name: Arc<str>,
    pub owner: u64,
}

/// What an endpoint asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The person of a number.
    Person { user: u64 },
    /// The block of a number.
    Block { block: u64 },
    /// The contacts of a person.
    Contacts { user: u64 },
    /// The blocks that a person is in.
    Blocks { user: u64 },
    /// With whom a person talks.
    Conversations { user: u64 },
    /// People with `text` in their names, the case of ASCII letters aside. Not atomic: a name that comes or goes
    /// meanwhile may be found or not.
    FindPeople { text: Arc<str> },
    /// The same for blocks.
    FindBlocks { text: Arc<str> },
    /// Makes two people contacts of each other. Existing contacts stay so.
    Befriend { user: u64, contact: u64 },
    /// Puts a person into a block. A person who is in it already stays so.
    Join { user: u64, block: u64 },
    /// Makes a block with its owner in it.
    Create { owner: u64, name: Arc<str> },
}

/// What a query found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    /// Ascending by number; at most [`FOUND`] in a search.
    People(Vec<Person>),
    /// Ascending by number; at most [`FOUND`] in a search.
    Blocks(Vec<Block>),
    /// The newest first, at most [`CONVERSATIONS`].
    Conversations(Vec<To>),
    Created(Block),
    /// No such person or block, or nobody to be a contact of oneself.
    Unknown,
    /// A limit is reached.
    Full,
}

/// Puts conversations in order; `talks` may name one more than once, with the ids of messages or times that compare
/// with them.
pub fn newest_first(talks: impl IntoIterator<Item = (To, u64)>) -> Vec<To> {
    let mut latest = HashMap::new();
    for (with, at) in talks {
        let last = latest.entry(with).or_insert(at);
        *last = at.max(*last);
    }
    let mut latest: Vec<_> = latest.into_iter().collect();
    latest.sort_unstable_by_key(|&(with, at)| (std::cmp::Reverse(at), with));
    latest.truncate(CONVERSATIONS);
    latest.into_iter().map(|(with, _)| with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_in_the_order_of_their_last_words_each_once() {
        let talks = [(To::Block(1), 5), (To::Person(2), 7), (To::Block(1), 9), (To::Person(3), 1)];
        assert_eq!(newest_first(talks), [To::Block(1), To::Person(2), To::Person(3)]);
    }
}
