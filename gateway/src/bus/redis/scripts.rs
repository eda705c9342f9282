//! The scripts: what goes into them and what comes out.
//!
//! Decides nothing; lays out arguments and reads answers. Pure.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bytes::Bytes;
use fred::types::Value;

use super::{
    super::{Appended, DEDUPE, HISTORY_BYTES, HeldRoom, History, LOG_BYTES, Offset, RESTORE_SKIP},
    entry, stream_codec,
};
use crate::{
    deadlines::BARRIER,
    redis::{
        connection::{Command, Fault, list, number},
        keys::Keys,
        script::Script,
    },
    rooms::{
        Amendment, Author, Change, Epoch, PARTITIONS, Partition, Post, Role, RoomName, amendments::Refused,
        present::Person,
    },
};

pub(super) static APPEND: Script = Script::new(concat!(include_str!("amendments.lua"), include_str!("append.lua")));
pub(super) const ADOPT: &str = include_str!("adopt.lua");

const FORGET: &str = include_str!("forget.lua");
const RESTORE: &str = concat!(include_str!("amendments.lua"), include_str!("restore.lua"));

/// Rooms of a partition above which idle ones are forgotten; at twice this, new ones are refused. A million in all at
/// about 100 bytes each.
pub(super) const ROOMS: u64 = 1 << 14;

/// Format of the metadata; a partition with another is refused.
const FORMAT: u64 = 1;

/// What the append script said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// What became of each post.
    Written(Vec<Result<Appended, Unwritten>>),
    /// No epoch is open in this process.
    Adopt,
    /// A room's history continues in another segment than was named.
    Segment { room: usize, segment: u32 },
    /// The data set began with this epoch.
    Lost { born: u64 },
    /// The data that is open in this epoch contradicts itself: a part of it is missing.
    Broken { epoch: u64 },
    /// Others may give back what was lost; for so long at most.
    Hold(Duration),
}

/// Why one post of a group was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// Its room is new, and the partition has no place for another.
    NoPlace,
    /// It changes a message, and may not.
    Amendment(Refused),
}

/// What is open after the adopt script has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub epoch: u64,
    /// The end of the log when the epoch was opened, or now.
    pub offset: u64,
    /// The first epoch of the data: another one means that the data is another.
    pub born: u64,
}

/// What the append script is told beside its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    /// The first epoch of the data as the caller knows it.
    pub(super) born: u64,
    /// Kept with new keys, so that the group's own are recognised when it is sent again.
    pub(super) mark: u32,
    /// The process at the other end of the connection.
    pub(super) run: &'a str,
    /// Whether it has given back what this data had lost.
    pub(super) gave_back: bool,
    /// The time as it has passed here, in milliseconds since the Unix epoch; None while that is not known.
    pub(super) time: Option<u64>,
}

/// A group laid out for the script.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) rooms: Vec<&'a RoomName>,
    posts: Vec<Laid>,
    /// Rooms in which messages are changed, by their number from 0.
    amended: BTreeSet<usize>,
}

/// A post as the script takes it.
#[derive(Clone, Debug)]
struct Laid {
    /// Its room's number, from 1.
    room: usize,
    print: Bytes,
    stored: Bytes,
    /// What it changes; empty: nothing.
    change: String,
}

impl<'a> Group<'a> {
    pub(super) fn new(posts: impl IntoIterator<Item = &'a Post>) -> Self {
        let mut group = Self { rooms: Vec::new(), posts: Vec::new(), amended: BTreeSet::new() };
        let mut known = HashMap::new();
        for post in posts {
            let room = *known.entry(&post.room).or_insert_with(|| {
                group.rooms.push(&post.room);
                group.rooms.len()
            });
            let print = entry::fingerprint(&post.room, &post.from.id, &post.key);
            if post.amends.is_some() {
                group.amended.insert(room - 1);
            }
            let change = change(post.amends.as_ref(), &post.from);
            group.posts.push(Laid { room, print, stored: entry::encode(post), change });
        }
        group
    }

    /// Equal for groups of the same posts.
    pub(super) fn name(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.posts.iter().for_each(|post| post.print.hash(&mut hash));
        hash.finish()
    }

    /// Of several posts with one key only the first can be new.
    pub(super) fn settle(&self, answers: &mut [Result<Appended, Unwritten>]) {
        let mut seen = HashSet::new();
        for (post, answer) in self.posts.iter().zip(answers) {
            let again = !seen.insert(&post.print);
            if let Ok(answer) = answer {
                answer.duplicate |= again;
            }
        }
    }

    /// The call of the append script; `segment` names the segment in which a room's history continues.
    pub(super) fn append(
        &self,
        keys: &Keys,
        partition: Partition,
        history: History,
        asking: bool,
        Caller { born, mark, run, gave_back, time }: Caller<'_>,
        segment: impl Fn(&RoomName) -> u32,
    ) -> Command {
        let segments: Vec<_> = self.rooms.iter().map(|room| segment(room)).collect();
        let histories: Vec<_> =
            self.rooms.iter().zip(&segments).map(|(room, segment)| keys.history(room, *segment)).collect();
        // A server that a slot moves to refuses a call that names keys it has not, and a new room's history is one.
        let amended = self.amended.iter().map(|room| keys.amended(self.rooms[*room]));
        let named: Vec<_> = if asking { Vec::new() } else { histories.iter().cloned().chain(amended).collect() };
        let mut command = Command::new("EVALSHA")
            .arg(APPEND.sha())
            .arg((5 + named.len()) as u32)
            .args(partition_keys(keys, partition))
            .args(named)
            .args(settings(history).map(|number| number.to_string()))
            .args([born, mark.into()].map(|number| number.to_string()))
            .arg(run.to_owned())
            .args([u64::from(gave_back), time.unwrap_or(0)].map(|number| number.to_string()))
            .arg(self.rooms.len() as u32);
        for ((room, segment), key) in self.rooms.iter().zip(&segments).zip(histories) {
            command = command.arg(room.as_str().to_owned()).arg(*segment).arg(key);
        }
        for Laid { room, print, stored, change } in &self.posts {
            command = command.arg(*room as u32).arg(print.clone()).arg(stored.clone()).arg(change.clone());
        }
        command
    }
}

/// What an entry of `from` changes, as the scripts take it.
fn change(amends: Option<&Amendment>, from: &Author) -> String {
    let Some(Amendment { seq, change, by }) = amends else { return String::new() };
    let moderates = u8::from(*by == Role::Moderator);
    let reaction = |kind, emoji| format!("{kind} {seq} {:016x} {emoji}", Person::of(&from.id).0);
    match change {
        Change::Edit => format!("e {seq} {moderates}"),
        Change::Delete => format!("d {seq} {moderates}"),
        Change::React { emoji, remove: false } => reaction('r', emoji),
        Change::React { emoji, remove: true } => reaction('u', emoji),
    }
}

fn settings(history: History) -> [u64; 8] {
    [
        FORMAT,
        PARTITIONS.into(),
        DEDUPE.as_millis() as u64,
        history.messages,
        history.age.as_millis() as u64,
        LOG_BYTES as u64,
        HISTORY_BYTES as u64,
        2 * ROOMS,
    ]
}

fn partition_keys(keys: &Keys, partition: Partition) -> [String; 5] {
    [
        keys.meta(partition),
        keys.log(partition),
        keys.heads(partition),
        keys.dedupe(partition, 0),
        keys.dedupe(partition, 1),
    ]
}

/// The call of the adopt script; `seen` is how far the caller has seen the partition, `broken` an epoch whose data was
/// found to contradict itself.
pub(super) fn adopt(keys: &Keys, partition: Partition, seen: Offset, broken: Option<u64>) -> Command {
    let (dedupe, barrier) = (DEDUPE.as_millis() as u64, BARRIER.as_millis() as u64);
    let numbers = [FORMAT, PARTITIONS.into(), seen.epoch, dedupe, seen.offset, broken.unwrap_or(0), barrier];
    Command::new("EVAL")
        .arg(ADOPT)
        .arg(5_u32)
        .args(partition_keys(keys, partition))
        .args(numbers.map(|number| number.to_string()))
}

/// The call of the script that gives a room back, or what is missing at its end, in the epoch that is open; `line` is the
/// room's line in heads. None: nothing that is held continues from what is there.
pub(super) fn restore(
    keys: &Keys,
    held: &HeldRoom,
    line: &str,
    epoch: u64,
    history: History,
    asking: bool,
) -> Option<Command> {
    let HeldRoom { room, head, entries } = held;
    let mut known = line.split(' ').map(|number| number.parse::<u64>().ok());
    let (there, segment) = (known.next().flatten(), known.next().flatten().unwrap_or(0));
    let newest = entries.iter().find(|entry| Some(entry.seq) == there);
    // Nobody's seqs should step back: of a room that is gone, others may have been shown more than is held here.
    let new_head = match there {
        None => head + RESTORE_SKIP,
        Some(seq) if seq < *head && (seq == 0 || newest.is_some()) => *head,
        Some(_) => return None,
    };
    let newest = newest.map_or_else(String::new, |entry| format!("{}-{}", entry.seq, entry.epoch.0));
    let key = keys.history(room, u32::try_from(segment).ok()?);
    // As for the append script: a server that the slot moves to has not the key.
    let named = if asking { None } else { Some(key.clone()) };
    let numbers = [epoch, DEDUPE.as_millis() as u64, history.messages, history.age.as_millis() as u64, 2 * ROOMS];
    let mut command = Command::new("EVAL")
        .arg(RESTORE)
        .arg(5 + u32::from(!asking))
        .args(partition_keys(keys, Partition::of(room)))
        .args(named)
        .args([FORMAT, PARTITIONS.into()].into_iter().chain(numbers).map(|number| number.to_string()))
        .args([room.as_str().to_owned(), key, new_head.to_string(), line.to_owned(), newest]);
    for entry in entries.iter().filter(|entry| Some(entry.seq) > there) {
        command = command
            .args([entry.seq, entry.epoch.0, entry.time].map(|number| number.to_string()))
            .arg(entry::fingerprint(room, &entry.from.id, &entry.key))
            .arg(entry::encode_again(entry))
            .arg(change(entry.amends.as_ref(), &entry.from));
    }
    Some(command)
}

/// Reads an answer of the restore script: whether the room was given back.
pub fn restored(value: Value) -> Result<bool, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    match values.get(1).and_then(number) {
        Some(given) if word == "OK" => Ok(given == 1),
        _ => Err(refused(&word, values.get(1))),
    }
}

/// The call of the script that forgets those of `rooms` that are idle at `time`.
pub(super) fn forget(keys: &Keys, partition: Partition, time: Option<u64>, rooms: &[String]) -> Command {
    Command::new("EVAL")
        .arg(FORGET)
        .arg(3_u32)
        .args([keys.meta(partition), keys.log(partition), keys.heads(partition)])
        .args([FORMAT, PARTITIONS.into(), time.unwrap_or(0)].map(|number| number.to_string()))
        .args(rooms.iter().cloned())
}

fn refused(word: &str, found: Option<&Value>) -> Fault {
    let found = found.and_then(|found| found.as_str().map(|text| text.to_string())).unwrap_or_default();
    match word {
        "FORMAT" => Fault::Unfit(format!("the data is of format {found}, this release reads {FORMAT}").into()),
        "PARTITIONS" => Fault::Unfit(format!("the data has {found} partitions, this release {PARTITIONS}").into()),
        "TRYAGAIN" => Fault::TryAgain,
        _ => Fault::Refused(format!("a script answered {word:?}").into()),
    }
}

/// One post's answer; the outer None is nonsense.
fn appended(value: &Value, epoch: u64, time: u64, mark: u32) -> Option<Result<Appended, Unwritten>> {
    if let Value::Integer(seq) = value {
        let Ok(seq) = u64::try_from(*seq) else { return Some(Err(unwritten(*seq)?)) };
        let appended = Appended { seq, epoch: Epoch(epoch), time, duplicate: false };
        return stream_codec::written(seq, time).then_some(Ok(appended));
    }
    let text = value.as_str()?;
    let mut parts = text.split(' ').map(str::parse);
    let mut next = || parts.next()?.ok();
    let (seq, epoch, time) = (next()?, Epoch(next()?), next()?);
    let duplicate = next() != Some(mark.into());
    stream_codec::written(seq, time).then_some(Ok(Appended { seq, epoch, time, duplicate }))
}

/// As the script numbers it.
fn unwritten(number: i64) -> Option<Unwritten> {
    Some(match number {
        -1 => Unwritten::NoPlace,
        -2 => Unwritten::Amendment(Refused::NotFound),
        -3 => Unwritten::Amendment(Refused::Forbidden),
        -4 => Unwritten::Amendment(Refused::Full),
        _ => return None,
    })
}

/// Reads an answer of the append script to a group with this mark.
pub fn answer(value: Value, mark: u32) -> Result<Answer, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    let at = |index: usize| values.get(index).and_then(number);
    let read = match word.as_str() {
        "OK" => at(1).zip(at(2)).zip(values.get(3)).and_then(|((epoch, time), answers)| {
            let answers = list(answers.clone());
            let read = answers.iter().map(|answer| appended(answer, epoch, time, mark));
            read.collect::<Option<_>>().map(Answer::Written)
        }),
        "ADOPT" => Some(Answer::Adopt),
        "SEGMENT" => at(1).zip(at(2)).and_then(|(room, segment)| {
            Some(Answer::Segment { room: (room as usize).checked_sub(1)?, segment: segment.try_into().ok()? })
        }),
        "LOST" => at(1).map(|born| Answer::Lost { born }),
        "BROKEN" => at(1).map(|epoch| Answer::Broken { epoch }),
        "HOLD" => at(1).map(|millis| Answer::Hold(Duration::from_millis(millis).min(BARRIER))),
        _ => None,
    };
    read.ok_or_else(|| refused(&word, values.get(1)))
}

/// Reads an answer of the adopt script.
pub fn adopted(value: Value) -> Result<Adopted, Fault> {
    let values = list(value);
    let word = values.first().and_then(|word| word.as_str().map(|text| text.to_string())).unwrap_or_default();
    let at = |index: usize| values.get(index).and_then(number);
    match at(1).zip(at(2)).zip(at(3)) {
        Some(((epoch, offset), born)) if word == "OK" => Ok(Adopted { epoch, offset, born }),
        _ => Err(refused(&word, values.get(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: Vec<Value>) -> Value {
        Value::Array(values)
    }

    #[test]
    fn an_answer_tells_new_entries_from_duplicates_and_refusals() {
        let texts = ["2 7 900", "2 7 900 5", "2 7 900 6"].map(Value::from);
        let refusals = [-1_i64, -2, -3, -4].map(Value::from);
        let written = values([vec![4.into()], texts.into(), refusals.into()].concat());
        let answer = answer(values(vec!["OK".into(), "9".into(), "1000".into(), written]), 6).unwrap();
        let new = Appended { seq: 4, epoch: Epoch(9), time: 1000, duplicate: false };
        let known = Appended { seq: 2, epoch: Epoch(7), time: 900, duplicate: true };
        let own = Appended { duplicate: false, ..known };
        let refused = |refused| Err(Unwritten::Amendment(refused));
        let refusals =
            [Err(Unwritten::NoPlace), refused(Refused::NotFound), refused(Refused::Forbidden), refused(Refused::Full)];
        assert_eq!(answer, Answer::Written([&[Ok(new), Ok(known), Ok(known), Ok(own)][..], &refusals].concat()));
    }

    #[test]
    fn an_answer_may_ask_for_a_generation_or_another_segment() {
        assert_eq!(answer(values(vec!["ADOPT".into()]), 0).unwrap(), Answer::Adopt);
        let segment = answer(values(vec!["SEGMENT".into(), 2.into(), 5.into()]), 0).unwrap();
        assert_eq!(segment, Answer::Segment { room: 1, segment: 5 });
        assert_eq!(answer(values(vec!["BROKEN".into(), "9".into()]), 0).unwrap(), Answer::Broken { epoch: 9 });
        assert_eq!(answer(values(vec!["LOST".into(), "77".into()]), 0).unwrap(), Answer::Lost { born: 77 });
        assert_eq!(answer(values(vec!["TRYAGAIN".into()]), 0), Err(Fault::TryAgain));
        for (millis, held) in [("1500", Duration::from_millis(1500)), ("9999999", BARRIER)] {
            assert_eq!(answer(values(vec!["HOLD".into(), millis.into()]), 0).unwrap(), Answer::Hold(held));
        }
    }

    #[test]
    fn data_of_another_release_is_unfit_and_nonsense_is_refused() {
        for word in ["FORMAT", "PARTITIONS"] {
            let value = values(vec![word.into(), "77".into()]);
            assert!(matches!(answer(value.clone(), 0), Err(Fault::Unfit(reason)) if reason.to_string().contains("77")));
            assert!(matches!(adopted(value), Err(Fault::Unfit(_))));
        }
        let written =
            |seq: i64, time: &str| values(vec!["OK".into(), "9".into(), time.into(), values(vec![seq.into()])]);
        for beyond_numbers in [written(1 << 53, "1000"), written(0, "1000"), written(4, "9007199254741000")] {
            assert!(matches!(answer(beyond_numbers, 0), Err(Fault::Refused(_))));
        }
        for value in [Value::Null, values(vec!["OK".into()]), values(vec!["SEGMENT".into(), 0.into(), 1.into()])] {
            assert!(matches!(answer(value, 0), Err(Fault::Refused(_))));
        }
    }
}
