//! Contacts, blocks and conversations, on the same data as [`People`].

use std::sync::Arc;

use super::{self as social, BLOCKS, CONTACTS, EVERYONE, FOUND, MEMBERSHIPS, Person, Query, Reply, newest_first};
use crate::directory::people::{
    To,
    memory::{Block, People},
};

impl People {
    pub(in crate::directory) fn ask_social(&mut self, query: Query, now: u64) -> Reply {
        match query {
            Query::Person { user } => Reply::People(self.person(user).into_iter().collect()),
            Query::Block { block } => Reply::Blocks(self.block(block).into_iter().collect()),
            Query::Contacts { user } => {
                let contacts = self.users.get(&user).into_iter().flat_map(|user| &user.contacts);
                Reply::People(contacts.filter_map(|contact| self.person(*contact)).collect())
            }
            Query::Blocks { user } => {
                let blocks = self.users.get(&user).into_iter().flat_map(|user| &user.blocks);
                Reply::Blocks(blocks.filter_map(|block| self.block(*block)).collect())
            }
            Query::Conversations { user } => self.conversations(user),
            Query::FindPeople { text } => {
                let mut found: Vec<_> = self.names.iter().filter(|(name, _)| holds(name, &text)).collect();
                found.sort_unstable_by_key(|(_, id)| **id);
                found.truncate(FOUND);
                Reply::People(found.into_iter().map(|(name, id)| Person { id: *id, name: name.clone() }).collect())
            }
            Query::FindBlocks { text } => {
                let found = self.blocks.iter().filter(|(_, block)| holds(&block.name, &text)).take(FOUND);
                Reply::Blocks(found.map(|(id, block)| row(*id, block)).collect())
            }
            Query::Befriend { user, contact } => self.befriend(user, contact),
            Query::Join { user, block } => self.join(user, block, now),
            Query::Create { owner, name } => self.create(owner, name, now),
        }
    }

    fn person(&self, id: u64) -> Option<Person> {
        self.users.get(&id).map(|user| Person { id, name: user.name.clone() })
    }

    fn block(&self, id: u64) -> Option<social::Block> {
        self.blocks.get(&id).map(|block| row(id, block))
    }

    fn conversations(&self, user: u64) -> Reply {
        let Some(user) = self.users.get(&user) else { return Reply::Conversations(Vec::new()) };
        let spoken = user.blocks.iter().filter_map(|id| Some((To::Block(*id), self.blocks.get(id)?.spoken)));
        let spoken = spoken.filter(|(_, at)| *at > 0);
        Reply::Conversations(newest_first(spoken.chain(user.talks.iter().map(|(with, at)| (*with, *at)))))
    }

    fn befriend(&mut self, user: u64, contact: u64) -> Reply {
        let (Some(one), Some(other)) = (self.users.get(&user), self.users.get(&contact)) else { return Reply::Unknown };
        if user == contact {
            return Reply::Unknown;
        }
        if one.contacts.contains(&contact) && other.contacts.contains(&user) {
            return Reply::Done;
        }
        if one.contacts.len() >= CONTACTS || other.contacts.len() >= CONTACTS {
            return Reply::Full;
        }
        for (one, other) in [(user, contact), (contact, user)] {
            self.users.entry(one).or_default().contacts.insert(other);
        }
        Reply::Done
    }

    fn join(&mut self, id: u64, to: u64, now: u64) -> Reply {
        let rank = self.next_rank(now);
        let (Some(user), Some(block)) = (self.users.get_mut(&id), self.blocks.get_mut(&to)) else {
            return Reply::Unknown;
        };
        if user.blocks.contains(&to) {
            return Reply::Done;
        }
        if user.blocks.len() >= MEMBERSHIPS {
            return Reply::Full;
        }
        user.blocks.insert(to);
        user.talk(To::Block(to), rank);
        block.members.insert(id);
        if to != EVERYONE && block.owner != id {
            self.alive.heard(to, now);
        }
        Reply::Done
    }

    /// Whether there is room for one more, perhaps because the one goes that was silent for longest.
    fn has_room_for_a_block(&mut self) -> bool {
        if self.blocks.len() < BLOCKS {
            return true;
        }
        let Some(oldest) = self.alive.oldest_first().next() else { return false };
        self.alive.forget(oldest);
        for member in self.blocks.remove(&oldest).into_iter().flat_map(|block| block.members) {
            if let Some(user) = self.users.get_mut(&member) {
                user.blocks.remove(&oldest);
                user.talks.remove(&To::Block(oldest));
            }
        }
        true
    }

    fn create(&mut self, owner: u64, name: Arc<str>, now: u64) -> Reply {
        let Some(user) = self.users.get(&owner) else { return Reply::Unknown };
        if user.blocks.len() >= MEMBERSHIPS || !self.has_room_for_a_block() {
            return Reply::Full;
        }
        let id = self.last_block.max(EVERYONE) + 1;
        self.last_block = id;
        let block = Block { name, owner, ..Block::default() };
        let created = row(id, &block);
        self.blocks.insert(id, block);
        self.alive.made(id, now);
        self.join(owner, id, now);
        Reply::Created(created)
    }
}

fn row(id: u64, block: &Block) -> social::Block {
    social::Block { id, name: block.name.clone(), owner: block.owner }
}

fn holds(name: &str, text: &str) -> bool {
    name.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}
