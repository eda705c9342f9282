//! People, blocks and queues, as plain data with the clock passed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    bus::directory::{
        people::{HOST, HOST_NAME, PEOPLE, QUEUE, Query, RECENT, Reply, To},
        social::{CONVERSATIONS, EVERYONE, EVERYONE_NAME},
    },
    rooms::Origin,
};

#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) users: HashMap<u64, User>,
    /// The last id given at a login.
    last: u64,
    pub(super) names: HashMap<Arc<str>, u64>,
    pub(super) blocks: BTreeMap<u64, Block>,
    /// The last message's id.
    message: u64,
    recent: HashMap<(u64, Arc<str>), u64>,
    /// (when, from, temp): the order in which they are forgotten.
    order: VecDeque<(u64, u64, Arc<str>)>,
}

#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    holder: Option<Origin>,
    pub(super) blocks: BTreeSet<u64>,
    queue: BTreeMap<u64, Arc<str>>,
    pub(super) contacts: BTreeSet<u64>,
    /// When each conversation was last at the top, as ids of messages are.
    pub(super) talks: HashMap<To, u64>,
}

impl User {
    pub(super) fn talk(&mut self, with: To, at: u64) {
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
pub(super) struct Block {
    pub(super) name: Arc<str>,
    pub(super) owner: u64,
    pub(super) members: BTreeSet<u64>,
    /// The last message's id.
    pub(super) spoken: u64,
}

impl People {
    pub(super) fn ask(&mut self, query: Query, now: u64) -> Reply {
        match query {
            Query::Login { name } => self.login(name, now),
            Query::Init { user, name, holder } => self.init(user, name, holder),
            Query::Release { user, holder } => {
                if let Some(user) = self.users.get_mut(&user).filter(|user| user.holder == Some(holder)) {
                    user.holder = None;
                }
                Reply::Done
            }
            Query::Blocks { user } => Reply::Blocks(
                self.users.get(&user).map(|user| user.blocks.iter().copied().collect()).unwrap_or_default(),
            ),
            Query::Queue { user, take } => self.queue(user, take),
            Query::Check { from, holder, temp } => self.check(from, holder, temp, now),
            Query::Keep { from, temp, id, to, frame } => self.keep(from, temp, id, to, &frame, now),
            Query::Confirm { user, id } => {
                if let Some(user) = self.users.get_mut(&user) {
                    user.queue.remove(&id);
                }
                Reply::Done
            }
            Query::Mention { names, frame } => self.mention(&names, &frame, now),
        }
    }

    fn login(&mut self, name: Arc<str>, now: u64) -> Reply {
        let id = match self.names.get(&name) {
            Some(&id) => id,
            None if self.users.len() >= PEOPLE => return Reply::Full,
            None => {
                self.last = self.last.max(HOST) + 1;
                while self.users.contains_key(&self.last) {
                    self.last += 1;
                }
                self.add(self.last, name.clone());
                self.last
            }
        };
        if let Some(user) = self.users.get_mut(&id) {
            user.talk(To::Block(EVERYONE), now * 1000);
        }
        Reply::User { id, name }
    }

    fn add(&mut self, id: u64, name: Arc<str>) {
        self.users.entry(HOST).or_insert_with(|| User { name: HOST_NAME.into(), ..User::default() });
        let everyone = || Block { name: EVERYONE_NAME.into(), owner: HOST, ..Block::default() };
        let everyone = self.blocks.entry(EVERYONE).or_insert_with(everyone);
        if id == HOST {
            return;
        }
        everyone.members.insert(id);
        let (blocks, contacts) = (BTreeSet::from([EVERYONE]), BTreeSet::from([HOST]));
        self.users.insert(id, User { name: name.clone(), blocks, contacts, ..User::default() });
        if !name.is_empty() {
            self.names.entry(name).or_insert(id);
        }
    }

    fn init(&mut self, id: u64, name: Option<Arc<str>>, holder: Origin) -> Reply {
        if !self.users.contains_key(&id) {
            if self.users.len() >= PEOPLE {
                return Reply::Full;
            }
            self.add(id, name.unwrap_or_default());
        }
        let Some(user) = self.users.get_mut(&id) else { return Reply::Full };
        user.holder = Some(holder);
        Reply::User { id, name: user.name.clone() }
    }

    fn queue(&mut self, id: u64, take: bool) -> Reply {
        let Some(user) = self.users.get_mut(&id) else { return Reply::Queued(Vec::new()) };
        let queued = user.queue.values().cloned().collect();
        if take {
            user.queue.clear();
        }
        Reply::Queued(queued)
    }

    fn check(&mut self, from: u64, holder: Origin, temp: Option<Arc<str>>, now: u64) -> Reply {
        if self.users.get(&from).and_then(|user| user.holder).is_some_and(|other| other != holder) {
            return Reply::Foreign;
        }
        while self.order.front().is_some_and(|(at, ..)| at + RECENT <= now) {
            if let Some((_, from, temp)) = self.order.pop_front() {
                self.recent.remove(&(from, temp));
            }
        }
        if let Some(&id) = temp.and_then(|temp| self.recent.get(&(from, temp))) {
            return Reply::Duplicate { id };
        }
        Reply::Fresh { id: self.next_id(now) }
    }

    fn keep(&mut self, from: u64, temp: Option<Arc<str>>, id: u64, to: To, frame: &Arc<str>, now: u64) -> Reply {
        if let Some(temp) = temp
            && self.recent.insert((from, temp.clone()), id).is_none()
        {
            self.order.push_back((now, from, temp));
        }
        let recipients = match to {
            To::Person(user) => {
                self.met(from, user, id);
                vec![user]
            }
            To::Block(block) => self.blocks.get_mut(&block).map_or_else(Vec::new, |block| {
                block.spoken = id.max(block.spoken);
                block.members.iter().copied().filter(|member| *member != from).collect()
            }),
        };
        for user in recipients {
            self.enqueue(user, id, frame);
        }
        Reply::Done
    }

    /// Two people talk; nobody talks with someone who is not known.
    fn met(&mut self, from: u64, to: u64, id: u64) {
        if self.users.contains_key(&from) && self.users.contains_key(&to) {
            for (one, other) in [(from, to), (to, from)] {
                self.users.entry(one).or_default().talk(To::Person(other), id);
            }
        }
    }

    fn enqueue(&mut self, user: u64, id: u64, frame: &Arc<str>) {
        let Some(user) = self.users.get_mut(&user) else { return };
        user.queue.insert(id, frame.clone());
        if user.queue.len() > QUEUE {
            user.queue.pop_first();
        }
    }

    /// Grows with the clock, so that it compares with what is numbered by time alone.
    fn next_id(&mut self, now: u64) -> u64 {
        self.message = (self.message + 1).max(now * 1000);
        self.message
    }

    fn mention(&mut self, names: &[Arc<str>], frame: &Arc<str>, now: u64) -> Reply {
        let message = self.next_id(now);
        for name in names {
            let absent = |id: &u64| self.users.get(id).is_some_and(|user| user.holder.is_none() && user.name == *name);
            if let Some(id) = self.names.get(name).copied().filter(absent) {
                self.enqueue(id, message, frame);
            }
        }
        Reply::Done
    }
}
