//! Accounts, sessions and the pool, as plain data with the clock passed in.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    directory::pairs::{ACCOUNTS, Exit, FIRST_ID, KEPT, Query, Reply, SESSIONS, SESSIONS_PER_ACCOUNT},
    rooms::{Origin, Position},
};

/// Exits that one tick answers; the rest come with the next.
const EXITS_A_TICK: usize = 100;

/// The time `how_long` after `now`, in milliseconds.
fn after(now: u64, how_long: Duration) -> u64 {
    now + how_long.as_millis() as u64
}

#[derive(Debug)]
pub(in crate::directory) struct Pairs {
    next: u64,
    accounts: HashMap<u64, Account>,
    sessions: HashMap<u64, Pair>,
    /// Who may be matched; the place of each is in its account.
    pool: Vec<u64>,
    /// (when, account): graces that run.
    graces: BTreeSet<(u64, u64)>,
    /// (when, account): out of use, to be forgotten.
    ended: BTreeSet<(u64, u64)>,
    /// (when, session): the same.
    over: BTreeSet<(u64, u64)>,
    exits: BTreeSet<(u64, u64, u64)>,
}

#[derive(Debug)]
struct Account {
    nick: Arc<str>,
    token: Arc<str>,
    holder: Option<Origin>,
    seen: u64,
    /// Up to where the connection before got the inbox, if it could tell.
    read: Option<Position>,
    /// Sessions in use.
    sessions: Vec<u64>,
    /// Place in the pool.
    place: Option<usize>,
    /// How long sessions outlive the connection, in milliseconds.
    grace: Duration,
    /// When the grace that runs ends.
    absent: Option<u64>,
    /// When it is forgotten.
    forget: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    members: [u64; 2],
    live: bool,
}

impl Pair {
    fn other(&self, account: u64) -> Option<u64> {
        match self.members {
            [a, b] if a == account => Some(b),
            [a, b] if b == account => Some(a),
            _ => None,
        }
    }
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            next: FIRST_ID,
            accounts: HashMap::new(),
            sessions: HashMap::new(),
            pool: Vec::new(),
            graces: BTreeSet::new(),
            ended: BTreeSet::new(),
            over: BTreeSet::new(),
            exits: BTreeSet::new(),
        }
    }
}

impl Pairs {
    pub(in crate::directory) fn ask(&mut self, query: Query, now: u64) -> Reply {
        match query {
            Query::Create { nick, token, holder, grace } => self.create(nick, token, holder, grace, now),
            Query::Reconnect { account, token, holder, grace } => self.reconnect(account, &token, holder, grace, now),
            Query::Enter { account, holder } => self.held(account, holder, |pairs| {
                pairs.enter(account);
                Reply::Done
            }),
            Query::Match { account, holder } => self.held(account, holder, |pairs| pairs.matching(account)),
            Query::Partner { account, holder, session, message } => {
                self.held(account, holder, |pairs| pairs.partner(account, session, message))
            }
            Query::Seen { account, holder } => self.held(account, holder, |pairs| {
                if let Some(account) = pairs.accounts.get_mut(&account) {
                    account.seen = now;
                }
                Reply::Done
            }),
            Query::Read { account, holder, read } => self.held(account, holder, |pairs| {
                if let Some(account) = pairs.accounts.get_mut(&account) {
                    account.read = Some(read);
                }
                Reply::Done
            }),
            Query::Release { account, holder } => self.held(account, holder, |pairs| {
                pairs.release(account, now);
                Reply::Done
            }),
            Query::End { account, holder, session } => self.held(account, holder, |pairs| {
                if pairs.sessions.get(&session).is_some_and(|pair| pair.other(account).is_some()) {
                    pairs.end_session(session, now);
                }
                Reply::Done
            }),
        }
    }

    fn held(&mut self, account: u64, holder: Origin, act: impl FnOnce(&mut Self) -> Reply) -> Reply {
        if self.accounts.get(&account).is_some_and(|account| account.holder == Some(holder)) {
            act(self)
        } else {
            Reply::NotHeld
        }
    }

    fn id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    fn create(&mut self, nick: Arc<str>, token: Arc<str>, holder: Origin, grace: Duration, now: u64) -> Reply {
        if self.accounts.len() >= ACCOUNTS && !self.forget_account() {
            return Reply::NotFound;
        }
        let account = self.id();
        let (read, sessions, place, absent, forget) = Default::default();
        let record =
            Account { nick, token, holder: Some(holder), grace, seen: now, read, sessions, place, absent, forget };
        self.accounts.insert(account, record);
        self.start_grace(account, now);
        Reply::Created { account }
    }

    fn reconnect(&mut self, id: u64, token: &str, holder: Origin, grace: Duration, now: u64) -> Reply {
        let Some(account) = self.accounts.get_mut(&id).filter(|account| *account.token == *token) else {
            return Reply::NotFound;
        };
        let seen = std::mem::replace(&mut account.seen, now);
        account.holder = Some(holder);
        account.grace = grace;
        let read = account.read.take();
        if let Some(at) = account.forget.take() {
            self.ended.remove(&(at, id));
        }
        let nick = account.nick.clone();
        self.leave_pool(id);
        self.start_grace(id, now);
        Reply::Back { nick, seen, read }
    }

    /// Runs until the account enters: a connection that vanishes before it does leaves nothing behind.
    fn start_grace(&mut self, id: u64, now: u64) {
        self.stop_grace(id);
        if let Some(account) = self.accounts.get_mut(&id) {
            let end = after(now, account.grace);
            account.absent = Some(end);
            self.graces.insert((end, id));
        }
    }

    fn stop_grace(&mut self, id: u64) {
        if let Some(at) = self.accounts.get_mut(&id).and_then(|account| account.absent.take()) {
            self.graces.remove(&(at, id));
        }
    }

    fn enter(&mut self, id: u64) {
        self.stop_grace(id);
        if let Some(account) = self.accounts.get_mut(&id).filter(|account| account.place.is_none()) {
            account.place = Some(self.pool.len());
            self.pool.push(id);
        }
    }

    fn leave_pool(&mut self, id: u64) {
        let Some(place) = self.accounts.get_mut(&id).and_then(|account| account.place.take()) else { return };
        self.pool.swap_remove(place);
        if let Some(moved) = self.pool.get(place)
            && let Some(account) = self.accounts.get_mut(moved)
        {
            account.place = Some(place);
        }
    }

    fn matching(&mut self, id: u64) -> Reply {
        let Some(own) = self.accounts.get(&id) else { return Reply::NotFound };
        let others = self.pool.len() - usize::from(own.place.is_some());
        if others == 0 || own.sessions.len() >= SESSIONS_PER_ACCOUNT {
            return Reply::NotFound;
        }
        // Uniform among the others: a place at or behind one's own stands for the next one.
        let place = rand::random_range(0..others);
        let partner = self.pool[place + usize::from(own.place.is_some_and(|own| place >= own))];
        let session = self.id();
        let Some(other) = self.accounts.get_mut(&partner) else { return Reply::NotFound };
        if other.sessions.len() >= SESSIONS_PER_ACCOUNT {
            return Reply::NotFound;
        }
        if self.sessions.len() >= SESSIONS && !self.forget_session() {
            return Reply::NotFound;
        }
        let Some(other) = self.accounts.get_mut(&partner) else { return Reply::NotFound };
        other.sessions.push(session);
        let nick = other.nick.clone();
        if let Some(own) = self.accounts.get_mut(&id) {
            own.sessions.push(session);
        }
        self.sessions.insert(session, Pair { members: [id, partner], live: true });
        Reply::Matched { session, partner, nick }
    }

    fn partner(&mut self, account: u64, session: u64, message: bool) -> Reply {
        let Some(pair) = self.sessions.get(&session).copied() else { return Reply::NotFound };
        let Some(partner) = pair.other(account) else { return Reply::NotFound };
        let message = if message { self.id() } else { 0 };
        Reply::Partner { partner, message, live: pair.live }
    }

    fn release(&mut self, id: u64, now: u64) {
        self.leave_pool(id);
        if let Some(account) = self.accounts.get_mut(&id) {
            account.holder = None;
        }
        self.start_grace(id, now);
    }

    fn end_session(&mut self, session: u64, now: u64) {
        let Some(pair) = self.sessions.get_mut(&session).filter(|pair| pair.live) else { return };
        pair.live = false;
        for member in pair.members {
            if let Some(account) = self.accounts.get_mut(&member) {
                account.sessions.retain(|own| *own != session);
            }
        }
        self.over.insert((after(now, KEPT), session));
    }

    pub(in crate::directory) fn tick(&mut self, now: u64) -> Vec<Exit> {
        while let Some(&(at, id)) = self.graces.first().filter(|(at, _)| *at <= now) {
            self.graces.remove(&(at, id));
            self.log_out(id, now);
        }
        while self.ended.first().is_some_and(|(at, _)| *at <= now) {
            self.forget_account();
        }
        while self.over.first().is_some_and(|(at, _)| *at <= now) {
            self.forget_session();
        }
        let exit = |&(session, account, partner): &_| Exit { session, account, partner };
        self.exits.iter().take(EXITS_A_TICK).map(exit).collect()
    }

    /// Forgets the account that has been out of use for longest; false when all are in use.
    fn forget_account(&mut self) -> bool {
        self.ended.pop_first().is_some_and(|(_, id)| self.accounts.remove(&id).is_some())
    }

    /// Forgets the session that ended first; false when all are in use.
    fn forget_session(&mut self) -> bool {
        self.over.pop_first().is_some_and(|(_, id)| self.sessions.remove(&id).is_some())
    }

    /// The grace is over: sessions end, and their other ends are to be notified.
    fn log_out(&mut self, id: u64, now: u64) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        (account.absent, account.holder) = (None, None);
        let end = after(now, KEPT);
        account.forget = Some(end);
        self.ended.insert((end, id));
        for session in std::mem::take(&mut account.sessions) {
            if let Some(partner) = self.sessions.get(&session).and_then(|pair| pair.other(id)) {
                self.exits.insert((session, id, partner));
            }
            self.end_session(session, now);
        }
    }

    pub(in crate::directory) fn announced(&mut self, exits: &[Exit]) {
        for Exit { session, account, partner } in exits {
            self.exits.remove(&(*session, *account, *partner));
        }
    }
}
