//! What changes a message, and the form that a message has then.
//!
//! Plain data. Never decides who may change what, nor what an amendment makes of a message.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Role;

/// Says that an entry changes an earlier one of its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The message that is changed.
    pub seq: u64,
    pub change: Change,
    /// In which role its author makes it: moderators may change what others wrote.
    pub by: Role,
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The message says what the amendment's content says.
    Edit,
    Delete,
    React {
        emoji: Arc<str>,
        /// The reaction is taken back.
        remove: bool,
    },
}

/// A person among those who reacted: 8 bytes of a hash, so that all cost the same whatever the length of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Person(pub u64);

impl Person {
    /// The person with this id.
    pub fn of(id: &str) -> Self {
        let hash = Sha256::digest(id);
        Self(hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// What a message has become. Of an amendment, only `gone` says anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// When it was last edited, in milliseconds since the Unix epoch.
    pub edited: Option<u64>,
    /// Its content is gone: the message was deleted, or the edit is out of date.
    pub gone: bool,
    /// The amendment that last edited or deleted it; 0 without one.
    pub changed: u64,
    pub reactions: Vec<Reaction>,
}

/// Who reacted with an emoji; at least one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    pub emoji: Arc<str>,
    /// Each with the amendment that said so.
    pub people: Vec<(Person, u64)>,
}

impl Present {
    /// Bytes in memory, about.
    pub fn size(&self) -> usize {
        let reaction = |reaction: &Reaction| 64 + reaction.people.len() * size_of::<(Person, u64)>();
        size_of::<Self>() + self.reactions.iter().map(reaction).sum::<usize>()
    }

    /// Since which amendment the person has reacted with the emoji.
    pub fn reacted(&self, person: Person, emoji: &str) -> Option<u64> {
        let reaction = self.reactions.iter().find(|reaction| &*reaction.emoji == emoji)?;
        reaction.people.iter().find(|(other, _)| *other == person).map(|(_, since)| *since)
    }

    /// Whether the person has reacted with any emoji.
    pub fn has_reacted(&self, person: Person) -> bool {
        self.reactions.iter().any(|reaction| reaction.people.iter().any(|(other, _)| *other == person))
    }

    pub(super) fn react(&mut self, person: Person, emoji: &Arc<str>, since: u64) {
        match self.reactions.iter_mut().find(|reaction| reaction.emoji == *emoji) {
            Some(reaction) if reaction.people.iter().any(|(other, _)| *other == person) => {}
            Some(reaction) => reaction.people.push((person, since)),
            None => self.reactions.push(Reaction { emoji: Arc::clone(emoji), people: vec![(person, since)] }),
        }
    }

    pub(super) fn take_back(&mut self, person: Person, emoji: &str) {
        for reaction in self.reactions.iter_mut().filter(|reaction| &*reaction.emoji == emoji) {
            reaction.people.retain(|(other, _)| *other != person);
        }
        self.reactions.retain(|reaction| !reaction.people.is_empty());
    }
}
