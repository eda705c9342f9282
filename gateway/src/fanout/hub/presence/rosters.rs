//! Who is in a room, by name, over all gateways: asked when somebody wants to know, and kept nowhere.
//!
//! Decides how long to wait: gateways with members answer by a signal, until all members that the sum counts are named or
//! [`SUM`] is over. One question at a time for a room; what was answered is good for a second. People are named once,
//! however many connections they have.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    deadlines::hub::SUM,
    fanout::{messages::ConnectionId, session::Answer},
    rooms::{Author, RoomName, Signal},
};

/// People that one gateway names, and that one answer has, at most.
pub(crate) const PEOPLE: usize = 100;
/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Connections of one partition that wait for an answer. Each has one pending request, so reactors bound them too.
const REQUESTS: usize = 4096;

/// The people of a room on one gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalPeople {
    pub(crate) people: Vec<Author>,
    /// Connections.
    pub(crate) members: u32,
    /// There are more people than are named.
    pub(crate) more: bool,
}

#[derive(Debug)]
struct Question {
    ask: u64,
    since: Instant,
    waiting: Vec<(ConnectionId, usize)>,
    /// On other gateways, by id.
    people: BTreeMap<Arc<str>, Author>,
    /// Members whom the answers stand for.
    covered: u64,
    /// A gateway has more people than it named.
    more: bool,
    answered: bool,
}

/// The questions of a partition.
#[derive(Debug, Default)]
pub(crate) struct Rosters {
    questions: HashMap<RoomName, Question>,
    requests: usize,
}

impl LocalPeople {
    /// Of all members of a room on this gateway.
    pub(crate) fn of<'a>(members: impl ExactSizeIterator<Item = &'a Author>) -> Self {
        let (count, mut people) = (members.len() as u32, BTreeMap::new());
        for who in members {
            people.entry(&who.id).or_insert(who);
            if people.len() > PEOPLE {
                break;
            }
        }
        let more = people.len() > PEOPLE;
        Self { people: people.into_values().take(PEOPLE).cloned().collect(), members: count, more }
    }

    /// As an answer to another gateway.
    pub(crate) fn signal(self, ask: u64) -> Signal {
        let Self { people, members, more } = self;
        Signal::Here { ask, members, people, more }
    }
}

impl Rosters {
    /// Somebody asks for at most `limit` people. `ask` names the question if it is a new one, which is answered then to be
    /// published. An error: too many wait.
    pub(crate) fn ask(
        &mut self,
        from: ConnectionId,
        limit: usize,
        room: &RoomName,
        ask: u64,
        now: Instant,
    ) -> Result<Option<Signal>, ()> {
        if self.requests >= REQUESTS {
            return Err(());
        }
        self.requests += 1;
        let request = (from, limit.clamp(1, PEOPLE));
        match self.questions.get_mut(room).filter(|question| !question.answered || now < question.since + GOOD_FOR) {
            Some(question) => {
                question.waiting.push(request);
                Ok(None)
            }
            None => {
                self.questions.insert(room.clone(), Question::new(ask, request, now));
                Ok(Some(Signal::WhoIsHere { ask }))
            }
        }
    }

    /// True if nothing was asked lately.
    pub(crate) fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// True if this gateway asks that.
    pub(crate) fn asks(&self, room: &RoomName, ask: u64) -> bool {
        self.questions.get(room).is_some_and(|question| question.ask == ask)
    }

    /// Another gateway has answered.
    pub(crate) fn heard(&mut self, room: &RoomName, ask: u64, there: &LocalPeople) {
        let Some(question) = self.questions.get_mut(room).filter(|question| question.ask == ask) else { return };
        question.covered += u64::from(there.members);
        question.more |= there.more;
        for who in &there.people {
            question.people.insert(Arc::clone(&who.id), who.clone());
        }
    }

    /// When the answer goes out at the latest, if somebody waits for it.
    pub(crate) fn deadline(&self, room: &RoomName) -> Option<Instant> {
        self.questions.get(room).filter(|question| !question.waiting.is_empty()).map(|question| question.since + SUM)
    }

    /// Answers those who wait, if all are named or the time is over. `fresh`: `others`, the members on other gateways, are
    /// known for sure.
    pub(crate) fn settle(
        &mut self,
        room: &RoomName,
        (others, fresh): (u64, bool),
        here: impl FnOnce() -> LocalPeople,
        now: Instant,
    ) -> Vec<(ConnectionId, Answer)> {
        let Some(question) = self.questions.get_mut(room).filter(|question| !question.waiting.is_empty()) else {
            return Vec::new();
        };
        let complete = fresh && question.covered >= others;
        if !complete && !question.answered && now < question.since + SUM {
            return Vec::new();
        }
        question.answered = true;
        let waiting = std::mem::take(&mut question.waiting);
        self.requests -= waiting.len();
        let roster = question.roster(others, here());
        waiting.into_iter().map(|(from, limit)| (from, roster.answer(limit))).collect()
    }

    /// Forgets answers that are too old.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.questions.retain(|_, question| !question.waiting.is_empty() || now < question.since + GOOD_FOR);
    }
}

/// All that is known of who is in a room.
struct Roster {
    count: u64,
    people: Vec<Author>,
    more: bool,
}

impl Question {
    fn new(ask: u64, request: (ConnectionId, usize), since: Instant) -> Self {
        let waiting = vec![request];
        Self { ask, since, waiting, people: BTreeMap::new(), covered: 0, more: false, answered: false }
    }

    fn roster(&self, others: u64, here: LocalPeople) -> Roster {
        let mut people = self.people.clone();
        people.extend(here.people.into_iter().map(|who| (Arc::clone(&who.id), who)));
        Roster {
            count: others + u64::from(here.members),
            people: people.into_values().collect(),
            more: self.more || here.more || self.covered < others,
        }
    }
}

impl Roster {
    fn answer(&self, limit: usize) -> Answer {
        let people = self.people.iter().take(limit).cloned().collect();
        Answer::People { count: self.count, people, more: self.more || self.people.len() > limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::messages::ReactorId;

    const AT: ConnectionId = ConnectionId { reactor: ReactorId(0), slot: 1, generation: 1 };

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    fn people(ids: &[&str]) -> LocalPeople {
        let authors: Vec<_> = ids.iter().map(|id| author(id)).collect();
        LocalPeople::of(authors.iter())
    }

    fn author(id: &str) -> Author {
        Author { id: id.into(), name: id.into(), extra: None }
    }

    fn told(answers: Vec<(ConnectionId, Answer)>) -> Option<(u64, Vec<String>, bool)> {
        let (_, Answer::People { count, people, more }) = answers.into_iter().next()? else { panic!("people") };
        Some((count, people.into_iter().map(|who| who.id.to_string()).collect(), more))
    }

    #[test]
    fn a_person_with_two_connections_is_named_once_and_beyond_the_bound_there_are_more() {
        assert_eq!(people(&["b", "a", "b"]), LocalPeople { members: 3, ..people(&["a", "b"]) });
        let many: Vec<_> = (0..=PEOPLE).map(|n| n.to_string()).collect();
        let many = people(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((many.people.len(), many.more), (PEOPLE, true));
    }

    #[test]
    fn everyone_is_named_once_all_gateways_have_answered() {
        let (mut rosters, now) = (Rosters::default(), Instant::now());
        assert!(matches!(rosters.ask(AT, 10, &room(), 7, now), Ok(Some(Signal::WhoIsHere { ask: 7 }))));
        assert!(matches!(rosters.ask(AT, 1, &room(), 8, now), Ok(None)), "one question at a time");
        rosters.heard(&room(), 99, &people(&["stranger"]));
        rosters.heard(&room(), 7, &people(&["b", "c"]));
        let here = || people(&["a", "b"]);
        assert_eq!(told(rosters.settle(&room(), (3, true), here, now)), None, "one member is not named yet");
        rosters.heard(&room(), 7, &people(&["d"]));
        let answers = rosters.settle(&room(), (3, true), here, now);
        assert_eq!(answers.len(), 2);
        assert_eq!(told(answers), Some((5, ["a", "b", "c", "d"].map(String::from).into(), false)));
        assert!(matches!(rosters.ask(AT, 2, &room(), 9, now), Ok(None)), "the answer is good for a second");
        assert_eq!(
            told(rosters.settle(&room(), (3, false), here, now)),
            Some((5, ["a", "b"].map(String::from).into(), true))
        );
        assert!(matches!(rosters.ask(AT, 2, &room(), 9, now + GOOD_FOR), Ok(Some(_))));
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_waited_for_half_a_second() {
        let (mut rosters, now) = (Rosters::default(), Instant::now());
        rosters.ask(AT, 10, &room(), 7, now).unwrap();
        let here = || people(&["a"]);
        assert_eq!(told(rosters.settle(&room(), (1, true), here, now)), None);
        assert_eq!(rosters.deadline(&room()), Some(now + SUM));
        assert_eq!(told(rosters.settle(&room(), (1, true), here, now + SUM)), Some((2, vec!["a".into()], true)));
    }
}
