//! The scripts and what goes into them.
//!
//! Decides nothing; lays out arguments. `answers` reads what comes back. Pure.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;

use super::{
    super::{Appended, DEDUPE, HISTORY_BYTES, HeldRoom, History, LOG_BYTES, Offset, RESTORE_SKIP},
    answers::{FORMAT, Unwritten},
    entry,
};
use crate::{
    deadlines::BARRIER,
    redis::{connection::Command, keys::Keys, script::Script},
    rooms::{Amendment, Author, Change, PARTITIONS, Partition, Post, Role, RoomName, present::Person},
};

pub(super) static APPEND: Script = Script::new(concat!(include_str!("amendments.lua"), include_str!("append.lua")));
pub(super) const ADOPT: &str = include_str!("adopt.lua");

const RESTORE: &str = concat!(include_str!("amendments.lua"), include_str!("restore.lua"));

/// Rooms of a partition above which idle ones are forgotten; at twice this, new ones are refused. A million in all at
/// about 100 bytes each.
pub(super) const ROOMS: u64 = 1 << 14;

/// What the append script learns of its caller.
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
pub(super) struct ScriptGroup<'a> {
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

impl<'a> ScriptGroup<'a> {
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
