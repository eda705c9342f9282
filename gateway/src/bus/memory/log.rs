//! One partition: its stream, its rooms' heads and histories, and the keys of recent posts.
//!
//! Decides seqs, duplicates, and what is kept. Pure: the caller passes the time and holds the lock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::super::{
    AppendError, Appended, Batch, DEDUPE, EARLY, FEW, HISTORY_BYTES, Head, HeldRoom, History, KnownRooms, LOG_BYTES,
    Offset, Page, RESTORE_SKIP, Record, Routed,
};
use crate::rooms::{
    Entry, Epoch, Post, RoomName,
    amendments::{Effect, Refused, fold, judge},
};

/// Rooms remembered by a partition, so a million in all at about 200 bytes each.
const ROOMS: usize = 1 << 14;

/// Rooms that are listed at once.
const LISTED: usize = 100;

/// Bytes that an entry costs beside its payload: the structs, the names' counters, a slot in two queues.
const OVERHEAD: usize = 256;

#[derive(Debug)]
pub(super) struct Log {
    epoch: u64,
    offset: u64,
    /// Contiguous in offset, up to `offset`.
    stream: VecDeque<(Offset, usize, Record)>,
    bytes: usize,
    rooms: HashMap<RoomName, Room>,
    keys: HashMap<Key, Appended>,
    /// The keys in the order of their time.
    ages: VecDeque<(u64, Key)>,
    history: History,
}

type Key = (RoomName, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Room {
    seq: u64,
    used: u64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

fn size(entry: &Entry) -> usize {
    let present = entry.present.as_ref().map_or(0, |present| present.size());
    OVERHEAD + entry.content.size() + present
}

impl Room {
    fn keep(&mut self, entry: &Arc<Entry>, history: History) {
        self.bytes += size(entry);
        self.entries.push_back(Arc::clone(entry));
        self.bytes = self.bytes.saturating_add_signed(fold(&mut self.entries, entry, size));
        while self.entries.len() as u64 > history.messages || self.bytes > HISTORY_BYTES {
            self.drop_oldest();
        }
        self.age(entry.time, history);
    }

    fn age(&mut self, now: u64, history: History) {
        let oldest = now.saturating_sub(history.age.as_millis() as u64);
        while self.entries.front().is_some_and(|entry| entry.time < oldest) {
            self.drop_oldest();
        }
    }

    /// What a post that amends would do.
    fn judge(&self, post: &Post) -> Result<Effect, AppendError> {
        let Some(amendment) = &post.amends else { return Ok(Effect::Changes) };
        let target = self.entries.binary_search_by_key(&amendment.seq, |entry| entry.seq).ok();
        let target = target.map(|at| self.entries[at].as_ref());
        Ok(judge(target, amendment, &post.from, post.protocol)?)
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= size(&entry);
        }
    }
}

impl Log {
    pub(super) fn new(epoch: u64, history: History) -> Self {
        Self {
            epoch,
            offset: 0,
            stream: VecDeque::new(),
            bytes: 0,
            rooms: HashMap::new(),
            keys: HashMap::new(),
            ages: VecDeque::new(),
            history,
        }
    }

    pub(super) fn end(&self) -> Offset {
        Offset { epoch: self.epoch, offset: self.offset }
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Appends a post. Rooms with `members` are not forgotten early for it.
    pub(super) fn append(
        &mut self,
        post: &Post,
        now: u64,
        members: &HashMap<RoomName, u32>,
    ) -> Result<Appended, AppendError> {
        if post.durable {
            return Err(AppendError::NotDurable);
        }
        self.forget_keys(now);
        let key = (post.room.clone(), Arc::clone(&post.from.id), Arc::clone(&post.key));
        if let Some(first) = self.keys.get(&key) {
            return Ok(Appended { duplicate: true, ..*first });
        }
        let (epoch, history) = (self.epoch(), self.history);
        if post.amends.is_some() {
            let room = self.rooms.get_mut(&post.room).ok_or(Refused::NotFound)?;
            room.age(now, history);
            if let Effect::Nothing { since } = room.judge(post)? {
                return Ok(Appended { seq: since, epoch, time: now, duplicate: true });
            }
        }
        self.make_place_for(&post.room, now, members)?;
        let room = self.rooms.entry(post.room.clone()).or_default();
        room.seq += 1;
        room.used = now;
        let answer = Appended { seq: room.seq, epoch: Epoch(self.epoch), time: now, duplicate: false };
        let entry = Arc::new(Entry {
            seq: answer.seq,
            epoch: answer.epoch,
            time: now,
            from: post.from.clone(),
            protocol: post.protocol,
            key: Arc::clone(&post.key),
            content: post.content.clone(),
            origin: post.origin,
            amends: post.amends.clone(),
            present: None,
        });
        room.keep(&entry, self.history);
        self.push(size(&entry), Record::Entry(Routed { room: post.room.clone(), entry }));
        self.ages.push_back((now, key.clone()));
        self.keys.insert(key, answer);
        Ok(answer)
    }

    /// Gives a room back that is not known.
    pub(super) fn restore(&mut self, held: &HeldRoom, now: u64) {
        let HeldRoom { room: name, head, entries } = held;
        if self.rooms.len() == ROOMS || self.rooms.contains_key(name) {
            return;
        }
        let mut room = Room { seq: head + RESTORE_SKIP, used: now, ..Room::default() };
        for entry in entries {
            room.keep(entry, self.history);
            let key = (name.clone(), Arc::clone(&entry.from.id), Arc::clone(&entry.key));
            let answer = Appended { seq: entry.seq, epoch: entry.epoch, time: entry.time, duplicate: false };
            if entry.time + DEDUPE.as_millis() as u64 > now && self.keys.insert(key.clone(), answer).is_none() {
                self.ages.push_back((now, key));
            }
        }
        self.rooms.insert(name.clone(), room);
    }

    fn push(&mut self, size: usize, record: Record) {
        self.offset += 1;
        self.bytes += size;
        self.stream.push_back((self.end(), size, record));
        while self.bytes > LOG_BYTES
            && let Some((_, size, _)) = self.stream.pop_front()
        {
            self.bytes -= size;
        }
    }

    fn forget_keys(&mut self, now: u64) {
        let oldest = now.saturating_sub(DEDUPE.as_millis() as u64);
        while self.ages.front().is_some_and(|(time, _)| *time < oldest)
            && let Some((_, key)) = self.ages.pop_front()
        {
            self.keys.remove(&key);
        }
    }

    /// At the bound of rooms, forgets those without history or recent keys, and where there are none those of few messages
    /// without members. Their seqs start again, so a new epoch opens: no earlier position can be taken for a later one.
    fn make_place_for(
        &mut self,
        room: &RoomName,
        now: u64,
        members: &HashMap<RoomName, u32>,
    ) -> Result<(), AppendError> {
        if self.rooms.len() < ROOMS || self.rooms.contains_key(room) {
            return Ok(());
        }
        let unused = now.saturating_sub(self.history.age.max(DEDUPE).as_millis() as u64);
        self.rooms.retain(|_, room| room.used > unused);
        if self.rooms.len() == ROOMS {
            let early = now.saturating_sub(EARLY.as_millis() as u64);
            let stays = |name: &RoomName| name.is_private() || members.contains_key(name);
            self.rooms.retain(|name, room| room.used > early || room.seq > FEW || stays(name));
        }
        if self.rooms.len() == ROOMS {
            return Err(AppendError::Unavailable("this gateway keeps no more rooms".into()));
        }
        self.epoch = now.max(self.epoch + 1);
        self.push(OVERHEAD, Record::Boundary { epoch: self.epoch(), lost: false });
        Ok(())
    }

    pub(super) fn read(&self, from: Offset, limit: u32) -> Batch {
        let first = self.stream.front().map_or(self.offset + 1, |(at, ..)| at.offset);
        let known = from.epoch <= self.epoch && from.offset <= self.offset;
        if !known || from.offset + 1 < first {
            return Batch { records: vec![Record::Trimmed], next: self.end() };
        }
        let skip = (from.offset + 1 - first) as usize;
        let read = || self.stream.iter().skip(skip).take(limit as usize);
        Batch {
            records: read().map(|(.., record)| record.clone()).collect(),
            next: read().next_back().map_or(from, |(at, ..)| *at),
        }
    }

    pub(super) fn head(&self, room: &RoomName) -> Head {
        Head { epoch: self.epoch(), seq: self.rooms.get(room).map_or(0, |room| room.seq) }
    }

    /// Rooms in the order of their names, behind the name `after`.
    pub(super) fn rooms(&self, after: Option<&str>) -> KnownRooms {
        let listed = |room: &&RoomName| !room.is_private() && after.is_none_or(|after| room.as_str() > after);
        let mut names: Vec<_> = self.rooms.keys().filter(listed).collect();
        names.sort_unstable();
        let more = names.len() > LISTED;
        names.truncate(LISTED);
        let next = names.last().filter(|_| more).map(ToString::to_string);
        KnownRooms { rooms: names.into_iter().map(|name| (name.clone(), self.head(name).seq)).collect(), next }
    }

    pub(super) fn page(&mut self, room: &RoomName, before: Option<u64>, limit: u32, now: u64) -> Page {
        let (head, history) = (self.head(room), self.history);
        let Some(room) = self.rooms.get_mut(room) else {
            return Page { head, entries: Vec::new(), more: false };
        };
        room.age(now, history);
        let end = room.entries.partition_point(|entry| before.is_none_or(|before| entry.seq < before));
        let start = end.saturating_sub(limit as usize);
        let entries = room.entries.range(start..end).map(Arc::clone).collect();
        Page { head, entries, more: start > 0 }
    }
}
