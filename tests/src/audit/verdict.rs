//! Judges a trace: what was lost, doubled, out of order, invented or announced as missing, per room and member.
//!
//! Pure: reads a [`Trace`], holds no socket and no clock.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::trace::{Event, Key, MemberTrace, Promise, RoomTrace, Trace};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    pub room: String,
    pub member: String,
    pub kind: Kind,
    pub key: Key,
    /// The message's place in the room, where it is known.
    pub seq: Option<u64>,
}

/// How a message went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Acknowledged, and never shown to a member that was promised it.
    Lost,
    /// Shown twice to one member.
    Doubled,
    /// Shown after a message with a higher seq, or after a later one of the same sender.
    OutOfOrder,
    /// Shown with a seq that differs from the acknowledged one, or from what others were shown.
    Misplaced,
    /// Two different messages with one seq.
    Clash,
    /// Shown, but no one ever sent it.
    Invented,
    /// Shown to somebody who joined after its deletion was acknowledged.
    Revealed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, member, kind, key: (sender, n), seq } = self;
        write!(f, "{kind:?}: {room}, {member}: message {n} of sender {sender}")?;
        seq.map_or(Ok(()), |seq| write!(f, " at seq {seq}"))
    }
}

/// The judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub faults: Vec<Fault>,
    /// Messages shown, over all members.
    pub shown: u64,
    pub acknowledged: u64,
    /// Tried, but never acknowledged: may or may not have been shown.
    pub unconfirmed: u64,
    pub gaps: u64,
    /// Messages that announced gaps excuse.
    pub excused: u64,
    pub connections: u64,
}

impl Verdict {
    /// Faults of one kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.faults.iter().filter(|fault| fault.kind == kind).count()
    }

    /// True if every promise was kept and nothing had to be excused.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.gaps == 0
    }
}

/// Judges a whole run.
pub fn judge(trace: &Trace) -> Verdict {
    let mut verdict = Verdict::default();
    for room in &trace.rooms {
        Judge::new(room, &mut verdict).room();
    }
    verdict
}

struct Judge<'a> {
    room: &'a RoomTrace,
    verdict: &'a mut Verdict,
    /// Where each message is, as the sender or the first reader learned it.
    places: HashMap<Key, u64>,
    /// Messages that somebody was shown in a later epoch than its first: their seqs may be those of others before.
    later: HashSet<Key>,
}

/// What a member was shown after a new epoch was announced to it.
fn shown_later(member: &MemberTrace) -> impl Iterator<Item = Key> {
    let later = member.events.iter().skip_while(|event| **event != Event::NewEpoch);
    later.filter_map(|event| if let Event::Shown { key, .. } = event { Some(*key) } else { None })
}

impl<'a> Judge<'a> {
    fn new(room: &'a RoomTrace, verdict: &'a mut Verdict) -> Self {
        let later = room.members.iter().flat_map(shown_later).collect();
        Self { room, verdict, places: room.acknowledged.clone(), later }
    }

    fn room(mut self) {
        let tried: u64 = self.room.tried.values().map(|n| u64::from(*n)).sum();
        let acknowledged = self.room.acknowledged.len() as u64;
        self.verdict.acknowledged += acknowledged;
        self.verdict.unconfirmed += tried.saturating_sub(acknowledged);
        self.places();
        for member in &self.room.members {
            self.shown(member);
            self.lost(member);
        }
    }

    /// Agrees on one place for each message, and reports those who saw another.
    fn places(&mut self) {
        let first_epoch = self.room.acknowledged.iter().filter(|(key, _)| !self.later.contains(*key));
        let mut holders: HashMap<u64, Key> = first_epoch.map(|(key, seq)| (*seq, *key)).collect();
        for member in &self.room.members {
            for event in &member.events {
                // After a lost log its seqs are given out again.
                if *event == Event::NewEpoch {
                    break;
                }
                let Event::Shown { seq: Some(seq), key } = *event else { continue };
                if self.later.contains(&key) {
                    continue;
                }
                if *self.places.entry(key).or_insert(seq) != seq {
                    self.fault(member, Kind::Misplaced, key, Some(seq));
                }
                if *holders.entry(seq).or_insert(key) != key {
                    self.fault(member, Kind::Clash, key, Some(seq));
                }
            }
        }
    }

    fn shown(&mut self, member: &MemberTrace) {
        let mut seen = HashSet::new();
        let mut newest: Option<u64> = None;
        let mut newest_of: HashMap<u32, u32> = HashMap::new();
        let mut head = 0;
        for event in &member.events {
            match *event {
                Event::Connected { .. } => self.verdict.connections += 1,
                Event::Gap { .. } => self.verdict.gaps += 1,
                Event::NewEpoch => (newest, head) = (None, 0),
                Event::Head { seq } => head = seq,
                Event::Gone { seq } => newest = newest.max(Some(seq)),
                Event::Shown { seq, key } => {
                    let deleted = self.room.deletions.get(&key).copied().flatten();
                    if seq.is_some_and(|seq| seq <= head) && deleted.is_some_and(|deleted| deleted <= head) {
                        self.fault(member, Kind::Revealed, key, seq);
                    }
                    self.verdict.shown += 1;
                    let (sender, n) = key;
                    if self.room.tried.get(&sender).is_none_or(|tried| n > *tried || n == 0) {
                        self.fault(member, Kind::Invented, key, seq);
                    }
                    if !seen.insert(key) {
                        self.fault(member, Kind::Doubled, key, seq);
                        continue;
                    }
                    let place = seq.or_else(|| self.places.get(&key).copied());
                    let before = newest_of.insert(sender, n);
                    let behind = place.zip(newest).is_some_and(|(place, newest)| place < newest);
                    if behind || before.is_some_and(|before| before > n) {
                        self.fault(member, Kind::OutOfOrder, key, place);
                    }
                    newest = newest.max(place);
                }
            }
        }
    }

    fn lost(&mut self, member: &MemberTrace) {
        let seen: HashSet<Key> = member
            .events
            .iter()
            .filter_map(|event| if let Event::Shown { key, .. } = event { Some(*key) } else { None })
            .collect();
        let gone: HashSet<u64> = member
            .events
            .iter()
            .filter_map(|event| if let Event::Gone { seq } = event { Some(*seq) } else { None })
            .collect();
        // A protocol without seqs does not say that there was something.
        let unseen = |key: &Key, seq: &u64| match member.promise {
            Promise::Whole => gone.contains(seq),
            Promise::WhileConnected => self.room.deletions.contains_key(key),
        };
        let owed = self.owed(member);
        let gaps = gaps(member);
        let missing: Vec<(Key, u64)> = self
            .room
            .acknowledged
            .iter()
            .filter(|(key, seq)| !seen.contains(*key) && !unseen(key, seq))
            .filter(|(_, seq)| owed.iter().any(|(from, to)| (*from..=*to).contains(*seq)))
            .map(|(key, seq)| (*key, *seq))
            .collect();
        for (key, seq) in missing {
            // What others were shown in a later epoch was not lost with the one before.
            if !self.later.contains(&key) && gaps.iter().any(|(from, to)| (*from..=*to).contains(&seq)) {
                self.verdict.excused += 1;
            } else {
                self.fault(member, Kind::Lost, key, Some(seq));
            }
        }
    }

    /// The stretches of the log that a member was promised, inclusive.
    fn owed(&self, member: &MemberTrace) -> Vec<(u64, u64)> {
        match member.promise {
            Promise::Whole => {
                let first = member.events.iter().find_map(|event| match event {
                    Event::Connected { after } => Some(after.map_or(1, |after| after + 1)),
                    _ => None,
                });
                first.map(|first| (first, u64::MAX)).into_iter().collect()
            }
            // Without a position only the stretch between the first and the last that came is certain.
            Promise::WhileConnected => member
                .events
                .split(|event| matches!(event, Event::Connected { .. }))
                .filter_map(|connection| {
                    let places = connection.iter().filter_map(|event| match event {
                        Event::Shown { seq, key } => seq.or_else(|| self.places.get(key).copied()),
                        _ => None,
                    });
                    let (least, most) = places.fold((u64::MAX, 0), |(a, b), place| (a.min(place), b.max(place)));
                    (least <= most).then_some((least, most))
                })
                .collect(),
        }
    }

    fn fault(&mut self, member: &MemberTrace, kind: Kind, key: Key, seq: Option<u64>) {
        let fault = Fault { room: self.room.room.clone(), member: member.member.clone(), kind, key, seq };
        self.verdict.faults.push(fault);
    }
}

/// The announced gaps, inclusive; one of unknown extent reaches up to what came next.
fn gaps(member: &MemberTrace) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    for (i, event) in member.events.iter().enumerate() {
        let Event::Gap { from, to } = *event else { continue };
        let next = member.events[i..].iter().find_map(|event| match event {
            Event::Shown { seq, .. } => *seq,
            Event::Gone { seq } => Some(*seq),
            _ => None,
        });
        // After a lost log the next seq may be lower: then all from there on is excused.
        let open = next.filter(|next| *next > from).map_or(u64::MAX, |next| next - 1);
        gaps.push((from, to.unwrap_or(open)));
    }
    gaps
}
