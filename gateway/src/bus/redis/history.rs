//! Heads and histories of rooms, read where the partition's stream is read.
//!
//! Decides how a page is put together from segments. Never writes: the append script keeps histories in bounds.

use fred::types::Value;

use super::{
    super::{Head, History, Page},
    present::{Forms, place},
    stream_codec::{self, Found},
    stream_reader::StreamReader,
};
use crate::{
    redis::connection::{Command, Fault, list, number},
    rooms::{Cause, Epoch, Partition, RoomName},
};

/// A room's line in the partition's heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    head: Head,
    segment: u32,
    /// Messages of the room have changed.
    amended: bool,
}

/// `seq segment bytes expiry`, a fifth word where messages have changed, and the empty field that is always there, beside the partition's epoch. Without that field
/// the heads are lost: a room that seems to be empty may not be.
fn line(heads: Value, epoch: &Value) -> Result<Line, Fault> {
    let epoch = Epoch(number(epoch).ok_or(Fault::Absent)?);
    let [room, always] = <[Value; 2]>::try_from(list(heads)).map_err(|_| Fault::Absent)?;
    if always.is_null() {
        return Err(Fault::Absent);
    }
    let text = room.as_str();
    let mut parts = text.as_deref().unwrap_or_default().split(' ');
    let seq = parts.next().and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let segment = parts.next().and_then(|segment| segment.parse().ok()).unwrap_or(0);
    let amended = parts.nth(2).is_some();
    Ok(Line { head: Head { epoch, seq }, segment, amended })
}

/// The newest entries of one segment below `before`.
fn newest(key: String, before: Option<u64>, limit: u32) -> Command {
    let end = before.map_or_else(|| "+".into(), |before| format!("({before}-0"));
    Command::new("XREVRANGE").arg(key).arg(end).arg("-").arg("COUNT").arg(limit)
}

/// The page of what was `found` (one more than `limit` where there are older ones).
fn page(head: Head, mut found: Found, limit: usize, oldest: u64) -> Page {
    let whole = found.len() <= limit;
    found.truncate(limit);
    let mut entries: Vec<_> = found.into_iter().flatten().collect();
    // What came after an entry that is young enough is too, whatever the clock was when it was dated.
    let shown = entries.iter().rposition(|entry| entry.time >= oldest).map_or(0, |at| at + 1);
    // A reader that pages continues below the oldest entry: there must be one.
    let more = !whole && shown == entries.len() && shown > 0;
    entries.truncate(shown);
    entries.reverse();
    // Entries may have come between the two reads.
    let seq = entries.last().map_or(head.seq, |newest| newest.seq.max(head.seq));
    Page { head: Head { seq, ..head }, entries, more }
}

impl StreamReader {
    /// The head of a room; see [`super::super::Bus::head`].
    pub(super) async fn room(&self, room: &RoomName) -> Result<Head, Fault> {
        let partition = Partition::of(room);
        let answers = self.ask(partition, self.line(room, partition).into()).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Null);
        Ok(line(next(), &next())?.head)
    }

    fn line(&self, room: &RoomName, partition: Partition) -> [Command; 2] {
        let room = Command::new("HMGET").arg(self.servers.keys.heads(partition)).arg(room.as_str().to_owned()).arg("");
        [room, Command::new("HGET").arg(self.servers.keys.meta(partition)).arg("generation")]
    }

    /// A page of a room's history; see [`super::super::Bus::history`].
    pub(super) async fn page(
        &self,
        room: &RoomName,
        before: Option<u64>,
        limit: u32,
        history: History,
    ) -> Result<Page, Fault> {
        let partition = Partition::of(room);
        let [head, epoch] = self.line(room, partition);
        // Most rooms have one segment: the line and the page come in one round trip.
        let wanted = limit + 1;
        let first = newest(self.servers.keys.history(room, 0), before, wanted);
        let mut answers = self.ask(partition, vec![head, epoch, first]).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Null);
        let line = line(next(), &next())?;
        let mut found = if line.segment == 0 { read(next())? } else { Vec::new() };
        let (asked, mut segment, mut before) = (before, line.segment, before);
        while segment > 0 && found.len() < wanted as usize {
            before = lowest(&found).or(before);
            let older = newest(self.servers.keys.history(room, segment), before, wanted - found.len() as u32);
            let answers = self.ask(partition, vec![older]).await?;
            found.extend(read(answers.into_iter().next().unwrap_or(Value::Null))?);
            segment -= 1;
        }
        if line.segment > 0 && found.len() < wanted as usize {
            before = lowest(&found).or(before);
            let older = newest(self.servers.keys.history(room, 0), before, wanted - found.len() as u32);
            let answers = self.ask(partition, vec![older]).await?;
            found.extend(read(answers.into_iter().next().unwrap_or(Value::Null))?);
        }
        if line.amended {
            found = self.as_it_is_now(room, found, asked, wanted as usize).await?;
        }
        let now = self.servers.health.time().unwrap_or(0);
        let oldest = now.saturating_sub(history.age.as_millis() as u64);
        Ok(page(line.head, found, limit as usize, oldest))
    }
}

impl StreamReader {
    /// What was `found` below `before`, with what its messages have become; `wanted` were asked for.
    async fn as_it_is_now(
        &self,
        room: &RoomName,
        found: Found,
        before: Option<u64>,
        wanted: usize,
    ) -> Result<Found, Fault> {
        let low = if found.len() < wanted { 1 } else { lowest(&found).unwrap_or(1) };
        let mut forms = self.forms(room, vec![(place(low), before.map(place))]).await?;
        let elsewhere = Forms::wanted(&found, low);
        if !elsewhere.is_empty() {
            let one = |seq| (format!("{}f", place(seq)), Some(format!("{}g", place(seq))));
            forms.add(self.forms(room, elsewhere.into_iter().map(one).collect()).await?);
        }
        Ok(forms.apply(found, low))
    }

    /// What is kept of messages beside their history, from each first member on and below the second.
    async fn forms(&self, room: &RoomName, ranges: Vec<(String, Option<String>)>) -> Result<Forms, Fault> {
        let partition = Partition::of(room);
        let read = |(from, to): (String, Option<String>)| {
            let to = to.map_or_else(|| "+".to_owned(), |to| format!("({to}"));
            Command::new("ZRANGEBYLEX").arg(self.servers.keys.amended(room)).arg(format!("[{from}")).arg(to)
        };
        let answers = self.ask(partition, ranges.into_iter().map(read).collect()).await?;
        Forms::read(answers.into_iter().flat_map(list).collect())
            .map_err(|error| Fault::Unfit(Cause::because("failed to read what messages have become", error)))
    }
}

/// The seq of the oldest entry.
fn lowest(found: &Found) -> Option<u64> {
    found.iter().rev().flatten().next().map(|oldest| oldest.seq)
}

fn read(answer: Value) -> Result<Found, Fault> {
    // An absent key is an empty history.
    stream_codec::history(Value::Array(list(answer)))
        .map_err(|error| Fault::Unfit(Cause::because("failed to read a page of history", error)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::rooms::{Author, Content, Entry, Origin, ProtocolId};

    fn entry(seq: u64, time: u64) -> Arc<Entry> {
        Arc::new(Entry {
            seq,
            epoch: Epoch(1),
            time,
            from: Author { id: "u1".into(), name: "ada".into(), extra: None },
            protocol: ProtocolId::Native,
            key: "k".into(),
            content: Content { body: RawValue::from_string("{}".into()).unwrap(), verbatim: None },
            origin: Origin::default(),
            amends: None,
            present: None,
        })
    }

    #[test]
    fn a_line_of_a_room_needs_an_epoch() {
        let heads = |room: Value| Value::Array(vec![room, "0".into()]);
        assert_eq!(line(heads(Value::Null), &Value::Null).unwrap_err(), Fault::Absent);
        let lost = Value::Array(vec![Value::Null, Value::Null]);
        assert_eq!(line(lost, &"9".into()).unwrap_err(), Fault::Absent, "the heads are gone");
        let unknown = line(heads(Value::Null), &"9".into()).unwrap();
        assert_eq!(unknown, Line { head: Head { epoch: Epoch(9), seq: 0 }, segment: 0, amended: false });
        let known = line(heads("12 3 4567 89".into()), &"9".into()).unwrap();
        assert_eq!(known, Line { head: Head { epoch: Epoch(9), seq: 12 }, segment: 3, amended: false });
        assert!(line(heads("12 3 4567 89 1".into()), &"9".into()).unwrap().amended);
    }

    #[test]
    fn a_damaged_entry_takes_its_place_of_a_page() {
        let head = Head { epoch: Epoch(1), seq: 5 };
        let found = vec![Some(entry(5, 5)), None, Some(entry(3, 3))];
        let seqs = |page: &Page| page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
        let part = page(head, found.clone(), 2, 0);
        assert_eq!((seqs(&part), part.more), (vec![5], true));
        let whole = page(head, found, 3, 0);
        assert_eq!((seqs(&whole), whole.more), (vec![3, 5], false));
        assert!(!page(head, vec![None, None], 1, 0).more, "nobody could ask for what comes before");
    }

    proptest! {
        #[test]
        fn a_page_is_the_newest_that_may_be_shown(kept in 0_u64..40, limit in 1_usize..20, oldest in 0_u64..50) {
            // Seq and time are the same number; what is read is one more than the limit.
            let read: Vec<_> = (1..=kept).rev().take(limit + 1).map(|seq| Some(entry(seq, seq))).collect();
            let page = page(Head { epoch: Epoch(1), seq: kept }, read, limit, oldest);
            let shown: Vec<_> = page.entries.iter().map(|entry| entry.seq).collect();
            let visible: Vec<_> = (1..=kept).filter(|seq| *seq >= oldest).collect();
            let expected = &visible[visible.len().saturating_sub(limit)..];
            prop_assert_eq!(shown, expected);
            prop_assert_eq!(page.head.seq, kept);
            // Whether the next older entry is too old is found out by asking for it.
            prop_assert!(page.more || visible.len() <= limit);
        }
    }
}
