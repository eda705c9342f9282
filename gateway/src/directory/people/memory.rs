//! People, blocks and queues, as plain data with the clock passed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::silent::Silent;
use crate::{
    directory::people::{
        HOST, HOST_NAME, LATE, PEOPLE, QUEUE, Query, RECENT, Reply, SHARED, StoredAt, To, message_id,
        social::{CONVERSATIONS, EVERYONE, EVERYONE_NAME},
    },
    rooms::{Epoch, Origin, Position},
};

/// A position as something that comes before or after another.
pub(in crate::directory) type Order = (Epoch, u64);

fn order(Position { epoch, seq }: Position) -> Order {
    (epoch, seq)
}

#[derive(Debug, Default)]
pub(in crate::directory) struct People {
    pub(in crate::directory) users: HashMap<u64, User>,
    /// The last id given at a login.
    last: u64,
    pub(in crate::directory) names: HashMap<Arc<str>, u64>,
    pub(in crate::directory) blocks: BTreeMap<u64, Block>,
    /// The last that was given: of a message, or of what brought a conversation to the top.
    rank: u64,
    recent: HashMap<(u64, Arc<str>), u64>,
    /// (when, from, temp): the order in which they are forgotten.
    order: VecDeque<(u64, u64, Arc<str>)>,
    /// People by when they were last heard of.
    used: Silent,
    /// Blocks likewise.
    pub(in crate::directory) alive: Silent,
    /// The last number that a block got; none is given twice.
    pub(in crate::directory) last_block: u64,
}

#[derive(Debug, Default)]
pub(in crate::directory) struct User {
    pub(in crate::directory) name: Arc<str>,
    holder: Option<Origin>,
    /// Connections that had the account before and did not give it back, the latest first, at most [`SHARED`].
    also: Vec<Origin>,
    pub(in crate::directory) blocks: BTreeSet<u64>,
    queue: BTreeMap<u64, Kept>,
    /// Ids of what was confirmed before it was kept, at most [`QUEUE`].
    early: BTreeSet<u64>,
    pub(in crate::directory) contacts: BTreeSet<u64>,
    /// The rank with which each conversation was last at the top.
    pub(in crate::directory) talks: HashMap<To, u64>,
}

/// A message that waits for its CONFIRM.
#[derive(Debug)]
struct Kept {
    /// By which messages of different conversations are in order, in milliseconds since the Unix epoch.
    time: u64,
    /// Of a message to a block.
    order: Option<Order>,
    frame: Arc<str>,
}

impl User {
    pub(in crate::directory) fn talk(&mut self, with: To, at: u64) {
        let last = self.talks.entry(with).or_default();
        *last = at.max(*last);
        if self.talks.len() > CONVERSATIONS
            && let Some(oldest) = self.talks.iter().min_by_key(|(_, at)| **at).map(|(with, _)| *with)
        {
            self.talks.remove(&oldest);
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::directory) struct Block {
    pub(in crate::directory) name: Arc<str>,
    pub(in crate::directory) owner: u64,
    pub(in crate::directory) members: BTreeSet<u64>,
    /// After what each of them reads it, as of their last connection.
    pub(in crate::directory) read: HashMap<u64, Order>,
    /// The rank of the last message.
    pub(in crate::directory) spoken: u64,
}

impl People {
    pub(in crate::directory) fn ask(&mut self, query: Query, now: u64) -> Reply {
        match query {
            Query::Login { name } => self.login(name, now),
            Query::Init { user, name, holder } => self.init(user, name, holder, now),
            Query::Release { user, holder } => self.release(user, holder, now),
            Query::Blocks { user, holder } if self.is_foreign(user, holder) => Reply::Foreign,
            Query::Blocks { user, holder: _ } => Reply::Blocks(
                self.users.get(&user).map(|user| user.blocks.iter().copied().collect()).unwrap_or_default(),
            ),
            Query::Queue { user, take, read } => self.queue(user, take, &read),
            Query::Check { from, holder, temp, to } => self.check(from, holder, temp, to, now),
            Query::Keep { from, temp, id, to, frame } => self.keep(from, temp, id, to, frame, now),
            Query::KeepPosted { from, temp, id, block, place, frame } => {
                self.keep_posted((from, temp), id, block, place, &frame, now)
            }
            Query::Confirm { user, id } => self.confirm(user, id, now),
            Query::Mention { names, frame } => self.mention(&names, &frame, now),
        }
    }

    fn login(&mut self, name: Arc<str>, now: u64) -> Reply {
        let rank = self.next_rank(now);
        let id = match self.names.get(&name).copied() {
            Some(id) => {
                self.heard(id, now);
                id
            }
            None if !self.has_room() => return Reply::Full,
            None => {
                self.last = self.last.max(HOST) + 1;
                while self.users.contains_key(&self.last) {
                    self.last += 1;
                }
                self.add(self.last, name.clone(), now);
                self.last
            }
        };
        if let Some(user) = self.users.get_mut(&id) {
            user.talk(To::Block(EVERYONE), rank);
        }
        Reply::User { id, name, taken: false }
    }

    /// Whether another connection has the account.
    fn is_foreign(&self, user: u64, holder: Origin) -> bool {
        self.users.get(&user).and_then(|user| user.holder).is_some_and(|other| other != holder)
    }

    fn add(&mut self, id: u64, name: Arc<str>, now: u64) {
        self.users.entry(HOST).or_insert_with(|| User { name: HOST_NAME.into(), ..User::default() });
        let everyone = || Block { name: EVERYONE_NAME.into(), owner: HOST, ..Block::default() };
        let everyone = self.blocks.entry(EVERYONE).or_insert_with(everyone);
        if id == HOST {
            return;
        }
        everyone.members.insert(id);
        let (blocks, contacts) = (BTreeSet::from([EVERYONE]), BTreeSet::from([HOST]));
        let talks = [To::Person(HOST), To::Block(EVERYONE)].map(|with| (with, self.next_rank(now))).into();
        self.users.insert(id, User { name: name.clone(), blocks, contacts, talks, ..User::default() });
        self.used.made(id, now);
        if !name.is_empty() {
            self.names.entry(name).or_insert(id);
        }
    }

    fn release(&mut self, id: u64, holder: Origin, now: u64) -> Reply {
        let Some(user) = self.users.get_mut(&id) else { return Reply::Done };
        if user.holder == Some(holder) {
            user.holder = None;
            self.heard(id, now);
        } else {
            user.also.retain(|other| *other != holder);
        }
        Reply::Done
    }

    /// The number was used. The host is not among those who go.
    fn heard(&mut self, id: u64, now: u64) {
        if id != HOST {
            self.used.heard(id, now);
        }
    }

    /// Whether there is room for one more, perhaps because who was not heard of for longest goes. People who are here stay.
    fn has_room(&mut self) -> bool {
        if self.users.len() < PEOPLE {
            return true;
        }
        let is_away = |id: &u64| self.users.get(id).is_some_and(|user| user.holder.is_none());
        let oldest = self.used.oldest_first().find(is_away);
        oldest.inspect(|id| self.forget(*id)).is_some()
    }

    /// Nothing of a person is left but what they said.
    fn forget(&mut self, id: u64) {
        self.used.forget(id);
        let Some(user) = self.users.remove(&id) else { return };
        if self.names.get(&user.name) == Some(&id) {
            self.names.remove(&user.name);
        }
        for block in user.blocks {
            if let Some(block) = self.blocks.get_mut(&block) {
                block.members.remove(&id);
                block.read.remove(&id);
            }
        }
        let talked =
            user.talks.into_keys().filter_map(|with| if let To::Person(other) = with { Some(other) } else { None });
        for other in user.contacts.into_iter().chain(talked) {
            if let Some(other) = self.users.get_mut(&other) {
                other.contacts.remove(&id);
                other.talks.remove(&To::Person(id));
            }
        }
    }

    fn init(&mut self, id: u64, name: Option<Arc<str>>, holder: Origin, now: u64) -> Reply {
        if !self.users.contains_key(&id) {
            if !self.has_room() {
                return Reply::Full;
            }
            self.add(id, name.unwrap_or_default(), now);
        }
        self.heard(id, now);
        let Some(user) = self.users.get_mut(&id) else { return Reply::Full };
        let before = user.holder.replace(holder).filter(|before| *before != holder);
        user.also.retain(|other| *other != holder && Some(*other) != before);
        user.also.splice(0..0, before);
        user.also.truncate(SHARED);
        let taken = before.is_some();
        for block in &user.blocks {
            self.blocks.get_mut(block).and_then(|block| block.read.remove(&id));
        }
        Reply::User { id, name: user.name.clone(), taken }
    }

    fn queue(&mut self, id: u64, take: bool, read: &[(u64, Position)]) -> Reply {
        let Some(user) = self.users.get_mut(&id) else { return Reply::Queued(Vec::new()) };
        for (block, after) in read {
            if let Some(block) = self.blocks.get_mut(block).filter(|block| block.members.contains(&id)) {
                block.read.insert(id, order(*after));
            }
        }
        let comes = |id: u64, kept: &Kept| {
            let read = read.iter().find(|(block, _)| message_id::block(id) == Some(*block));
            read.is_some_and(|(_, after)| kept.order > Some(order(*after)))
        };
        let mut queued: Vec<_> = user.queue.iter().filter(|(id, kept)| !comes(**id, kept)).collect();
        queued.sort_by_key(|(id, kept)| (kept.time, **id));
        let queued = queued.into_iter().map(|(_, kept)| kept.frame.clone()).collect();
        if take {
            user.queue.clear();
        }
        Reply::Queued(queued)
    }

    fn check(&mut self, from: u64, holder: Origin, temp: Option<Arc<str>>, to: To, now: u64) -> Reply {
        let shares = || self.users.get(&from).is_some_and(|user| user.also.contains(&holder));
        if self.is_foreign(from, holder) && !shares() {
            return Reply::Foreign;
        }
        while self.order.front().is_some_and(|(at, ..)| now.saturating_sub(*at) >= RECENT.as_millis() as u64) {
            if let Some((_, from, temp)) = self.order.pop_front() {
                self.recent.remove(&(from, temp));
            }
        }
        if let Some(&id) = temp.and_then(|temp| self.recent.get(&(from, temp))) {
            return Reply::Duplicate { id };
        }
        let personal = matches!(to, To::Person(_));
        Reply::Fresh { id: personal.then(|| message_id::to_person(self.next_rank(now))) }
    }

    fn keep(&mut self, from: u64, temp: Option<Arc<str>>, id: u64, to: u64, frame: Arc<str>, now: u64) -> Reply {
        if !self.users.contains_key(&to) {
            if !self.has_room() {
                return Reply::Full;
            }
            self.add(to, "".into(), now);
        }
        self.remember(from, temp, id, now);
        self.met(from, to, now);
        self.enqueue(to, id, Kept { time: message_id::given(id), order: None, frame });
        Reply::Done
    }

    fn keep_posted(
        &mut self,
        (from, temp): (u64, Option<Arc<str>>),
        id: u64,
        block: u64,
        StoredAt { position, time }: StoredAt,
        frame: &Arc<str>,
        now: u64,
    ) -> Reply {
        if temp.clone().is_some_and(|temp| self.recent.get(&(from, temp)) == Some(&id)) {
            return Reply::Kept { late: Vec::new() };
        }
        self.remember(from, temp, id, now);
        let (rank, order) = (self.next_rank(now), order(position));
        if block != EVERYONE && self.blocks.contains_key(&block) {
            self.alive.heard(block, now);
        }
        let Some(block) = self.blocks.get_mut(&block) else { return Reply::Kept { late: Vec::new() } };
        block.spoken = rank;
        let mut members: Vec<_> = block.members.iter().copied().filter(|member| *member != from).collect();
        // A person who has confirmed it has it.
        members.retain(|member| !self.users.get_mut(member).is_some_and(|user| user.early.remove(&id)));
        let here = |id: &u64| self.users.get(id).is_some_and(|user| user.holder.is_some());
        let late = |id: &u64| block.read.get(id).is_some_and(|read| *read >= order) && here(id);
        let late = members.iter().copied().filter(late).take(LATE).collect();
        for user in members {
            self.enqueue(user, id, Kept { time, order: Some(order), frame: frame.clone() });
        }
        Reply::Kept { late }
    }

    fn remember(&mut self, from: u64, temp: Option<Arc<str>>, id: u64, now: u64) {
        if let Some(temp) = temp
            && self.recent.insert((from, temp.clone()), id).is_none()
        {
            self.order.push_back((now, from, temp));
        }
    }

    fn confirm(&mut self, user: u64, id: u64, now: u64) -> Reply {
        let oldest = message_id::lowest(now.saturating_sub(RECENT.as_millis() as u64));
        if let Some(user) = self.users.get_mut(&user)
            && user.queue.remove(&id).is_none()
            && message_id::block(id).is_some()
        {
            user.early.insert(id);
            user.early = user.early.split_off(&oldest);
            if user.early.len() > QUEUE {
                user.early.pop_first();
            }
        }
        Reply::Done
    }

    /// Two people talk; nobody talks with someone who is not known.
    fn met(&mut self, from: u64, to: u64, now: u64) {
        let rank = self.next_rank(now);
        if self.users.contains_key(&from) && self.users.contains_key(&to) {
            for (one, other) in [(from, to), (to, from)] {
                self.users.entry(one).or_default().talk(To::Person(other), rank);
            }
        }
    }

    fn enqueue(&mut self, user: u64, id: u64, kept: Kept) {
        let Some(user) = self.users.get_mut(&user) else { return };
        user.queue.insert(id, kept);
        if user.queue.len() > QUEUE {
            user.queue.pop_first();
        }
    }

    /// Higher than all before; grows with the clock, so that ids of different conversations are about as old as they look.
    pub(in crate::directory) fn next_rank(&mut self, now: u64) -> u64 {
        self.rank = (self.rank + 1).max(message_id::rank(now));
        self.rank
    }

    fn mention(&mut self, names: &[Arc<str>], frame: &Arc<str>, now: u64) -> Reply {
        let message = message_id::to_person(self.next_rank(now));
        for name in names {
            let absent = |id: &u64| self.users.get(id).is_some_and(|user| user.holder.is_none() && user.name == *name);
            if let Some(id) = self.names.get(name).copied().filter(absent) {
                self.enqueue(id, message, Kept { time: now, order: None, frame: frame.clone() });
            }
        }
        Reply::Done
    }
}
