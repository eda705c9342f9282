//! People, blocks and queues, as plain data with the clock passed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    bus::directory::people::{EVERYONE, PEOPLE, QUEUE, Query, RECENT, Reply, To},
    rooms::Origin,
};

#[derive(Debug, Default)]
pub(super) struct People {
    users: HashMap<u64, User>,
    /// The last id given at a login.
    last: u64,
    names: HashMap<Arc<str>, u64>,
    blocks: HashMap<u64, BTreeSet<u64>>,
    /// The last message's id.
    message: u64,
    recent: HashMap<(u64, Arc<str>), u64>,
    /// (when, from, temp): the order in which they are forgotten.
    order: VecDeque<(u64, u64, Arc<str>)>,
}

#[derive(Debug, Default)]
struct User {
    name: Arc<str>,
    holder: Option<Origin>,
    blocks: BTreeSet<u64>,
    queue: BTreeMap<u64, Arc<str>>,
}

impl People {
    pub(super) fn ask(&mut self, query: Query, now: u64) -> Reply {
        match query {
            Query::Login { name } => self.login(name),
            Query::Init { user, name, holder } => self.init(user, name, holder),
            Query::Release { user, holder } => {
                if let Some(user) = self.users.get_mut(&user).filter(|user| user.holder == Some(holder)) {
                    user.holder = None;
                }
                Reply::Done
            }
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

    fn login(&mut self, name: Arc<str>) -> Reply {
        if let Some(&id) = self.names.get(&name) {
            return Reply::User { id, name };
        }
        if self.users.len() >= PEOPLE {
            return Reply::Full;
        }
        self.last += 1;
        while self.users.contains_key(&self.last) {
            self.last += 1;
        }
        let id = self.last;
        self.add(id, name.clone());
        Reply::User { id, name }
    }

    fn add(&mut self, id: u64, name: Arc<str>) {
        let user = User { name: name.clone(), blocks: BTreeSet::from([EVERYONE]), ..User::default() };
        self.users.insert(id, user);
        self.blocks.entry(EVERYONE).or_default().insert(id);
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
        Reply::Blocks(user.blocks.iter().copied().collect())
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
            To::Person(user) => vec![user],
            To::Block(block) => self.blocks.get(&block).into_iter().flatten().copied().filter(|u| *u != from).collect(),
        };
        for user in recipients {
            self.enqueue(user, id, frame);
        }
        Reply::Done
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
