//! What is in force: who is muted or banned, from where nobody may come, and which rooms are slow or read-only.
//!
//! Decides whether a post, a join or an upgrade is refused, and what an action changes. Pure: no clock, no Redis. What it
//! holds is bounded by the store, which refuses an action that would not fit ([`Kind::bound`]).

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use super::{
    action::{Act, Action},
    record::Record,
};
use crate::rooms::{Role, RoomName};

/// What a row of the store is about, each kind with a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    People,
    Addresses,
    Rooms,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::People, Self::Addresses, Self::Rooms];

    /// Most rows of the kind in a ChatRoom: at some 300 bytes each, 9 MB of a gateway when all are full. What has ended makes
    /// room; what is in force never does.
    pub const fn bound(self) -> usize {
        10_000
    }

    /// As keys and errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Addresses => "addresses",
            Self::Rooms => "rooms",
        }
    }
}

/// What an action does to the rows of the store, which are named so that the later of two replaces the earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Kind, String),
    Remove(Kind, String),
}

/// Why somebody may not do something. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("muted in this room")]
    Muted { until: Option<u64> },
    #[error("banned")]
    Banned { until: Option<u64> },
    /// After `retry` the next message may come.
    #[error("this room is slow: one message in a while")]
    SlowMode { retry: Duration },
    #[error("this room is read-only")]
    ReadOnly { until: Option<u64> },
    /// A filter, or who was asked about it, does not want the message.
    #[error("{0}")]
    Refused(Arc<str>),
}

impl Refusal {
    /// The code of the native protocol and the server API; also the label of the refusals metric.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Muted { .. } => "muted",
            Self::Banned { .. } => "banned",
            Self::SlowMode { .. } => "slow_mode",
            Self::ReadOnly { .. } => "read_only",
            Self::Refused(_) => "refused",
        }
    }
}

/// What those concerned receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    pub room: RoomName,
    /// Whom it concerns; None: everybody in the room.
    pub person: Option<Arc<str>>,
    pub code: NewsCode,
    /// When it ends: None until it is undone, 0 when it is over.
    pub until: Option<u64>,
    /// How many milliseconds are left until then: the clock of who reads this may be wrong.
    pub remaining: Option<u64>,
    /// The ban whose addresses are wanted too.
    pub addresses_of: Option<Arc<Record>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewsCode {
    Muted,
    Kicked,
    Banned,
    /// With the pause between two messages of a person, in seconds.
    Slow(u64),
    Readonly,
}

impl NewsCode {
    /// As the native protocol writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Muted => "muted",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Slow(_) => "slow",
            Self::Readonly => "readonly",
        }
    }

    /// Whether it ends the connection of the person.
    pub fn closes(self) -> bool {
        matches!(self, Self::Kicked | Self::Banned)
    }
}

/// Who and what is judged.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub person: &'a str,
    pub role: Role,
    /// The network that the connection counts for; None where there is no connection.
    pub address: Option<IpAddr>,
}

/// What is in force in one room.
#[derive(Clone, Debug, Default)]
struct RoomRules {
    muted: HashMap<Arc<str>, Arc<Record>>,
    banned: HashMap<Arc<str>, Arc<Record>>,
    slow: Option<(u64, Arc<Record>)>,
    readonly: Option<Arc<Record>>,
}

impl RoomRules {
    fn is_empty(&self) -> bool {
        let Self { muted, banned, slow, readonly } = self;
        muted.is_empty() && banned.is_empty() && slow.is_none() && readonly.is_none()
    }

    fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        let Self { muted, banned, slow, readonly } = self;
        muted.values().chain(banned.values()).chain(slow.iter().map(|(_, record)| record)).chain(readonly)
    }
}

/// What is in force in the ChatRoom.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rooms: HashMap<RoomName, RoomRules>,
    addresses: HashMap<IpAddr, Arc<Record>>,
    slow_rooms: usize,
}

fn in_force(rule: Option<&Arc<Record>>, now: u64) -> Option<&Arc<Record>> {
    rule.filter(|record| record.is_in_force(now))
}

impl Table {
    /// The table that these rows make.
    pub fn of(records: impl IntoIterator<Item = Arc<Record>>) -> Self {
        let mut table = Self::default();
        for record in records {
            table.apply(&record);
        }
        table
    }

    /// True when nobody and nothing is restricted.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.addresses.is_empty()
    }

    /// True while some room is slow.
    pub fn has_slow_rooms(&self) -> bool {
        self.slow_rooms > 0
    }

    /// Whether a post may come at `now`; with the pause that the room asks for between two of a person, if it
    /// does.
    pub fn may_post(&self, room: &RoomName, by: Who<'_>, now: u64) -> Result<Option<Duration>, Refusal> {
        self.may_come(by.address, now)?;
        let Some(rules) = self.rooms.get(room) else { return Ok(None) };
        if let Some(ban) = in_force(rules.banned.get(by.person), now) {
            return Err(Refusal::Banned { until: ban.until });
        }
        if let Some(mute) = in_force(rules.muted.get(by.person), now) {
            return Err(Refusal::Muted { until: mute.until });
        }
        if by.role == Role::Moderator {
            return Ok(None);
        }
        if let Some(readonly) = in_force(rules.readonly.as_ref(), now) {
            return Err(Refusal::ReadOnly { until: readonly.until });
        }
        Ok(rules.slow.as_ref().map(|(seconds, _)| Duration::from_secs(*seconds)))
    }

    /// Whether a person may become a reader of the room at `now`.
    pub fn may_join(&self, room: &RoomName, person: &str, address: Option<IpAddr>, now: u64) -> Result<(), Refusal> {
        self.may_come(address, now)?;
        let ban = self.rooms.get(room).and_then(|rules| in_force(rules.banned.get(person), now));
        ban.map_or(Ok(()), |ban| Err(Refusal::Banned { until: ban.until }))
    }

    /// Whether anybody may come from `address` at `now`.
    pub fn may_come(&self, address: Option<IpAddr>, now: u64) -> Result<(), Refusal> {
        if self.addresses.is_empty() {
            return Ok(());
        }
        let ban = address.and_then(|address| in_force(self.addresses.get(&address), now));
        ban.map_or(Ok(()), |ban| Err(Refusal::Banned { until: ban.until }))
    }

    /// What an action does to the rows of the store.
    pub(super) fn changes(&self, Act { room, action, by: _ }: &Act) -> Vec<Change> {
        let of_person = |what, person: &str| format!("{what}\u{1}{room}\u{1}{person}");
        let of_room = |what| format!("{what}\u{1}{room}");
        match action {
            Action::Kick { .. } | Action::Delete { .. } | Action::Purge { .. } => Vec::new(),
            Action::Mute { person, .. } => vec![Change::Put(Kind::People, of_person("mute", person))],
            Action::Unmute { person } => vec![Change::Remove(Kind::People, of_person("mute", person))],
            Action::Ban { person, .. } => vec![Change::Put(Kind::People, of_person("ban", person))],
            Action::Unban { person } => {
                let addresses = self.addresses_with(room, person);
                let addresses = addresses.map(|address| Change::Remove(Kind::Addresses, address.to_string()));
                [Change::Remove(Kind::People, of_person("ban", person))].into_iter().chain(addresses).collect()
            }
            Action::BanAddress { address, .. } => vec![Change::Put(Kind::Addresses, address.to_string())],
            Action::Slow { seconds: 0 } => vec![Change::Remove(Kind::Rooms, of_room("slow"))],
            Action::Slow { .. } => vec![Change::Put(Kind::Rooms, of_room("slow"))],
            Action::Readonly { on: false, .. } => vec![Change::Remove(Kind::Rooms, of_room("readonly"))],
            Action::Readonly { on: true, .. } => vec![Change::Put(Kind::Rooms, of_room("readonly"))],
        }
    }

    /// The addresses that are banned because of a person in a room.
    fn addresses_with<'a>(&'a self, room: &'a RoomName, person: &'a str) -> impl Iterator<Item = IpAddr> {
        let because = move |record: &Record| {
            record.act.room == *room && record.act.action.person().is_some_and(|of| of.as_ref() == person)
        };
        self.addresses.iter().filter(move |(_, record)| because(record)).map(|(address, _)| *address)
    }

    /// Takes an action that was carried out; answers whom it is news to.
    pub fn apply(&mut self, record: &Arc<Record>) -> Option<News> {
        let Act { room, action, by: _ } = &record.act;
        let news = news(record, record.time);
        if let Action::BanAddress { address, .. } = action {
            self.addresses.insert(*address, Arc::clone(record));
            return news;
        }
        if let Action::Unban { person } = action {
            let lifted: Vec<_> = self.addresses_with(room, person).collect();
            lifted.iter().for_each(|address| drop(self.addresses.remove(address)));
        }
        let rules = self.rooms.entry(room.clone()).or_default();
        let was_slow = rules.slow.is_some();
        match action {
            Action::Mute { person, .. } => drop(rules.muted.insert(Arc::clone(person), Arc::clone(record))),
            Action::Unmute { person } => drop(rules.muted.remove(person)),
            Action::Ban { person, .. } => drop(rules.banned.insert(Arc::clone(person), Arc::clone(record))),
            Action::Unban { person } => drop(rules.banned.remove(person)),
            Action::Slow { seconds } => rules.slow = (*seconds > 0).then(|| (*seconds, Arc::clone(record))),
            Action::Readonly { on, .. } => rules.readonly = on.then(|| Arc::clone(record)),
            Action::Kick { .. } | Action::Delete { .. } | Action::Purge { .. } | Action::BanAddress { .. } => {}
        }
        self.slow_rooms = self.slow_rooms + usize::from(rules.slow.is_some()) - usize::from(was_slow);
        if rules.is_empty() {
            self.rooms.remove(room);
        }
        news
    }

    /// What is in force at `now` for a person who joins the room: why they may not post, or only now and then.
    pub fn news_of<'a>(&'a self, room: &RoomName, person: &str, now: u64) -> impl Iterator<Item = News> + use<'a> {
        let rules = self.rooms.get(room);
        let of_person = rules.and_then(|rules| rules.muted.get(person));
        let of_room =
            rules.into_iter().flat_map(|rules| rules.slow.iter().map(|(_, record)| record).chain(&rules.readonly));
        of_person
            .into_iter()
            .chain(of_room)
            .filter(move |record| record.is_in_force(now))
            .filter_map(move |record| news(record, now))
    }

    /// What those concerned have missed at `now` who knew `before`: what is in force and was not then.
    pub fn news_since<'a>(&'a self, before: &'a Self, now: u64) -> impl Iterator<Item = News> + 'a {
        let known = move |room: &RoomName, record: &Arc<Record>| {
            before.rooms.get(room).is_some_and(|rules| rules.records().any(|old| old.number == record.number))
        };
        let all = self.rooms.iter().flat_map(|(room, rules)| rules.records().map(move |record| (room, record)));
        all.filter(move |(room, record)| !known(room, record)).filter_map(move |(_, record)| news(record, now))
    }
}

/// Whom an action is news to, and what they receive at `now`.
fn news(record: &Arc<Record>, now: u64) -> Option<News> {
    const OVER: Option<u64> = Some(0);
    let Act { room, action, by: _ } = &record.act;
    let (code, until) = match action {
        Action::Mute { .. } => (NewsCode::Muted, record.until),
        Action::Unmute { .. } => (NewsCode::Muted, OVER),
        Action::Kick { .. } => (NewsCode::Kicked, record.until),
        Action::Ban { .. } => (NewsCode::Banned, record.until),
        Action::Slow { seconds: 0 } => (NewsCode::Slow(0), OVER),
        Action::Slow { seconds } => (NewsCode::Slow(*seconds), None),
        Action::Readonly { on: true, .. } => (NewsCode::Readonly, record.until),
        Action::Readonly { on: false, .. } => (NewsCode::Readonly, OVER),
        Action::Unban { .. } | Action::BanAddress { .. } | Action::Delete { .. } | Action::Purge { .. } => return None,
    };
    let wanted = matches!(action, Action::Ban { address: true, .. });
    Some(News {
        room: room.clone(),
        person: action.person().cloned(),
        code,
        until,
        remaining: until.map(|until| until.saturating_sub(now)),
        addresses_of: wanted.then(|| Arc::clone(record)),
    })
}

#[cfg(test)]
mod tests;
