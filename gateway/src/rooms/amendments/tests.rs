//! What messages become, against a naive model: random amendments, windows that shrink and are read again, failovers.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    super::{
        Epoch, Origin, Position,
        follow::ReadHistory,
        log::{Log, Window},
        present::Reaction,
    },
    *,
};

const WIDE: Window = Window { entries: 64, bytes: 1 << 20 };
const PEOPLE: [&str; 3] = ["u1", "u2", "u3"];
const EMOJI_USED: [&str; 2] = ["👍", "❤"];

fn author(id: &str) -> Author {
    Author { id: id.into(), name: id.into(), extra: None }
}

fn said(seq: u64, epoch: u64, from: &str, text: &str, amends: Option<Amendment>) -> Arc<Entry> {
    Arc::new(Entry {
        seq,
        epoch: Epoch(epoch),
        time: seq * 10,
        from: author(from),
        protocol: ProtocolId::Native,
        key: format!("k{seq}").into(),
        content: Content { body: RawValue::from_string(format!("{{\"text\":\"{text}\"}}")).unwrap(), verbatim: None },
        origin: Origin::default(),
        amends,
        present: None,
    })
}

fn react(emoji: &str, remove: bool) -> Change {
    Change::React { emoji: emoji.into(), remove }
}

fn by(seq: u64, change: Change) -> Amendment {
    Amendment { seq, change, by: Role::Member }
}

/// How an entry must look: text, when it was edited, whether it is gone, and who reacted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    text: String,
    edited: Option<u64>,
    gone: bool,
    reactions: BTreeMap<String, BTreeSet<u64>>,
}

impl Shown {
    fn of(entry: &Entry) -> Self {
        let present = entry.present.as_deref().cloned().unwrap_or_default();
        let people = |reaction: Reaction| reaction.people.into_iter().map(|(Person(person), _)| person).collect();
        let reactions = present.reactions.into_iter();
        Self {
            text: entry.content.body.get().to_owned(),
            edited: present.edited,
            gone: present.gone,
            reactions: reactions.map(|reaction| (reaction.emoji.to_string(), people(reaction))).collect(),
        }
    }

    fn nothing() -> Self {
        Self { text: "{}".to_owned(), gone: true, ..Self::default() }
    }
}

/// What the entries of a room look like now, worked out from the beginning.
fn truth(raw: &[Arc<Entry>]) -> BTreeMap<u64, Shown> {
    let mut all: BTreeMap<u64, Shown> = BTreeMap::new();
    let mut edits: BTreeMap<u64, u64> = BTreeMap::new();
    for entry in raw {
        all.insert(entry.seq, Shown::of(entry));
        let Some(Amendment { seq, change, .. }) = &entry.amends else { continue };
        if let Change::Edit | Change::Delete = change
            && let Some(before) = edits.insert(*seq, entry.seq)
        {
            all.insert(before, Shown::nothing());
        }
        if *change == Change::Delete {
            edits.remove(seq);
        }
        let message = all.get_mut(seq).unwrap();
        let Person(who) = Person::of(&entry.from.id);
        match change {
            Change::Edit => {
                (message.text, message.edited) = (entry.content.body.get().to_owned(), Some(entry.time));
            }
            Change::Delete => *message = Shown::nothing(),
            Change::React { emoji, remove: false } => {
                message.reactions.entry(emoji.to_string()).or_default().insert(who);
            }
            Change::React { emoji, remove: true } => {
                if let Some(people) = message.reactions.get_mut(&**emoji) {
                    people.remove(&who);
                }
                message.reactions.retain(|_, people| !people.is_empty());
            }
        }
    }
    all
}

/// What the history says: every entry as it is now.
fn history(raw: &[Arc<Entry>]) -> VecDeque<Arc<Entry>> {
    let mut entries: VecDeque<_> = raw.iter().cloned().collect();
    for entry in raw {
        fold(&mut entries, entry, Entry::size);
    }
    entries
}

struct Schedule {
    random: SmallRng,
    epoch: u64,
    raw: Vec<Arc<Entry>>,
    log: Log,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let log = Log::new(WIDE, Position { epoch: Epoch(1), seq: 0 });
        Self { random: SmallRng::seed_from_u64(seed), epoch: 1, raw: Vec::new(), log }
    }

    fn head(&self) -> u64 {
        self.raw.last().map_or(0, |entry| entry.seq)
    }

    /// Something is said, or an earlier message changes if it may.
    fn say(&mut self) {
        let seq = self.head() + 1;
        let from = PEOPLE[self.random.random_range(0..PEOPLE.len())];
        let target = self.random.random_range(0..=self.head());
        let change = match self.random.random_range(0..8) {
            0 | 1 => Some(Change::Edit),
            2 => Some(Change::Delete),
            3 | 4 => Some(react(EMOJI_USED[self.random.random_range(0..EMOJI_USED.len())], false)),
            5 => Some(react(EMOJI_USED[self.random.random_range(0..EMOJI_USED.len())], true)),
            _ => None,
        };
        let amendment = change.map(|change| by(target, change)).filter(|amendment| {
            let now = history(&self.raw);
            let target = now.iter().find(|entry| entry.seq == amendment.seq);
            let verdict = judge(target.map(|entry| &**entry), amendment, &author(from), ProtocolId::Native);
            verdict == Ok(Effect::Changes)
        });
        let text = if amendment.as_ref().is_some_and(|a| a.change != Change::Edit) { "" } else { "t" };
        self.raw.push(said(seq, self.epoch, from, &format!("{text}{seq}"), amendment));
    }

    fn reading(&self) -> ReadHistory {
        let entries: Vec<_> = history(&self.raw).into_iter().collect();
        ReadHistory { head: Position { epoch: Epoch(self.epoch), seq: self.head() }, entries, complete: true }
    }

    fn step(&mut self) {
        match self.random.random_range(0..20) {
            // The window shrinks, and what it lost is read again.
            0 => {
                self.log.resize(Window { entries: self.random.random_range(1..8), ..WIDE });
                self.log.resize(WIDE);
            }
            1 | 2 => {
                let first = self.log.first();
                let older: Vec<_> = history(&self.raw).into_iter().filter(|entry| entry.seq < first).collect();
                self.log.prepend(&older, true);
            }
            // Some of the newest entries are lost, and others are written in their place.
            3 => {
                let lost = self.random.random_range(0..4).min(self.raw.len());
                self.raw.truncate(self.raw.len() - lost);
                self.epoch += 1;
                self.say();
                self.log.merge(&self.reading(), &mut Vec::new());
            }
            // The same entry comes twice, or late.
            4 if !self.raw.is_empty() => {
                let entry = &self.raw[self.random.random_range(0..self.raw.len())];
                self.log.follow(entry, &mut Vec::new());
            }
            5 => self.log = Log::of(WIDE, self.reading()),
            _ => {
                self.say();
                if let Some(entry) = self.raw.last() {
                    self.log.follow(entry, &mut Vec::new());
                }
            }
        }
    }

    fn verify(&self) {
        let truth = truth(&self.raw);
        assert_eq!(self.log.head().seq, self.head());
        let bytes: usize = self.log.after(0).map(|entry| entry.size()).sum();
        assert_eq!(bytes, self.log.bytes());
        for entry in self.log.after(0) {
            assert_eq!(Shown::of(entry), truth[&entry.seq], "seq {}", entry.seq);
        }
    }
}

#[test]
fn entries_in_memory_look_as_their_amendments_say_whatever_happens() {
    for seed in 0..3_000 {
        let mut schedule = Schedule::new(seed);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..60 {
                schedule.step();
                schedule.verify();
            }
        }));
        assert!(ran.is_ok(), "seed {seed}");
    }
}

#[test]
fn authors_change_their_own_messages_and_moderators_those_of_all() {
    let message = said(1, 1, "u1", "hi", None);
    let verdict = |from, protocol, amendment: &Amendment| judge(Some(&message), amendment, &author(from), protocol);
    for change in [Change::Edit, Change::Delete] {
        let amendment = by(1, change);
        assert_eq!(verdict("u1", ProtocolId::Native, &amendment), Ok(Effect::Changes));
        assert_eq!(verdict("u2", ProtocolId::Native, &amendment), Err(Refused::Forbidden));
        // Somebody else may have the same id in another protocol.
        assert_eq!(verdict("u1", ProtocolId::Relay, &amendment), Err(Refused::Forbidden));
        let moderated = Amendment { by: Role::Moderator, ..amendment };
        assert_eq!(verdict("u2", ProtocolId::Relay, &moderated), Ok(Effect::Changes));
    }
    assert_eq!(verdict("u2", ProtocolId::Native, &by(1, react("👍", false))), Ok(Effect::Changes));
}

#[test]
fn only_messages_that_are_there_can_be_changed() {
    let moderator = |change| Amendment { seq: 1, change, by: Role::Moderator };
    let mut deleted = said(1, 1, "u1", "hi", None).as_ref().clone();
    deleted.empty();
    let amendment = said(1, 1, "u1", "hi", Some(by(9, Change::Edit)));
    for target in [None, Some(&deleted), Some(&*amendment)] {
        for change in [Change::Edit, Change::Delete, react("👍", false), react("👍", true)] {
            let verdict = judge(target, &moderator(change), &author("u1"), ProtocolId::Native);
            assert_eq!(verdict, Err(Refused::NotFound));
        }
    }
}

#[test]
fn a_person_reacts_once_with_an_emoji_and_a_message_bears_so_many() {
    let mut message = said(1, 1, "u1", "hi", None).as_ref().clone();
    let add = |message: &mut Entry, seq, from: &str, change: Change| {
        let entry = said(seq, 1, from, "", Some(by(1, change)));
        message.amend(&entry, entry.amends.as_ref().unwrap());
    };
    let may = |message: &Entry, from: &str, change: Change| {
        judge(Some(message), &by(1, change), &author(from), ProtocolId::Native)
    };
    add(&mut message, 2, "u1", react("👍", false));
    assert_eq!(may(&message, "u1", react("👍", false)), Ok(Effect::Nothing { since: 2 }));
    assert_eq!(may(&message, "u2", react("👍", true)), Ok(Effect::Nothing { since: 1 }));
    for n in 1..MOST_PEOPLE as u64 {
        add(&mut message, 2 + n, &format!("p{n}"), react("👍", false));
    }
    assert_eq!(may(&message, "u2", react("👍", false)), Err(Refused::Full));
    assert_eq!(may(&message, "u1", react("👍", true)), Ok(Effect::Changes));
    for n in 1..MOST_EMOJI as u32 {
        let emoji = char::from_u32(0x1f600 + n).unwrap().to_string();
        add(&mut message, 5000 + u64::from(n), "u2", react(&emoji, false));
    }
    assert_eq!(may(&message, "u2", react("❤", false)), Err(Refused::Full));
    assert_eq!(may(&message, "u3", react("😁", false)), Ok(Effect::Changes), "an emoji that is there already");
}
