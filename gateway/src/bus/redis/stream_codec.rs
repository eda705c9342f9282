//! What the stream holds, read: entries, boundaries, and the holes that tell of a trim.
//!
//! Decides whether what was read follows what was asked for, and leaves out what nobody can read: one damaged entry must
//! not hold up every room of its partition. Its place stays empty, and readers receive a gap. What a newer release
//! wrote is refused instead: it is whole, and an older gateway must not tell its readers otherwise.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;

use super::{
    super::{Batch, Offset, Record, Routed},
    entry::{self, Stamp, Unreadable},
};
use crate::{
    redis::connection::{Fault, LARGE, list, number},
    rooms::{Entry, Epoch, RoomName},
};

/// A stream id.
pub(super) fn id(at: Offset) -> String {
    format!("{}-{}", at.epoch, at.offset)
}

fn parse_id(value: &Value) -> Option<(u64, u64)> {
    let text = value.as_str()?;
    let (left, right) = text.split_once('-')?;
    Some((left.parse().ok()?, right.parse().ok()?))
}

/// The value of a field.
fn field(fields: &[Value], name: &str) -> Option<Value> {
    fields.chunks_exact(2).find(|pair| pair[0].as_str().as_deref() == Some(name)).map(|pair| pair[1].clone())
}

fn bytes(value: Value) -> Option<Bytes> {
    value.into_bytes()
}

/// A boundary's base, or an entry with its room.
enum Item {
    Boundary(u64),
    Entry(Routed),
}

fn item(epoch: u64, fields: &[Value]) -> Result<Item, Unreadable> {
    if let Some(base) = field(fields, "x").as_ref().and_then(number) {
        return Ok(Item::Boundary(base));
    }
    let get = |name| field(fields, name).ok_or(Unreadable::Damaged);
    let room = get("r")?.as_str().and_then(|name| RoomName::stored(&name).ok()).ok_or(Unreadable::Damaged)?;
    // `seq time bytes-before`: one field costs less than three.
    let mark = get("m")?;
    let mark = mark.as_str().ok_or(Unreadable::Damaged)?;
    let mut numbers = mark.split(' ').map_while(|number| number.parse().ok());
    let (seq, time) = numbers.next().zip(numbers.next()).ok_or(Unreadable::Damaged)?;
    let stored = bytes(get("e")?).ok_or(Unreadable::Damaged)?;
    let entry = entry::decode(stored, place(seq, epoch, time)?)?;
    Ok(Item::Entry(Routed { room, entry: Arc::new(entry) }))
}

/// Whether a script can have written these numbers: clients are shown them, times also in thousandths.
pub(super) fn written(seq: u64, time: u64) -> bool {
    (1..LARGE).contains(&seq) && time < LARGE / 1000
}

/// The place of an entry.
fn place(seq: u64, epoch: u64, time: u64) -> Result<Stamp, Unreadable> {
    written(seq, time).then_some(Stamp { seq, epoch: Epoch(epoch), time }).ok_or(Unreadable::Damaged)
}

/// An item of a stream: both halves of its id, and its fields.
type Raw = ((u64, u64), Vec<Value>);

/// The items of one stream.
fn items(stream: Value) -> Result<Vec<Raw>, Unreadable> {
    let read = |item: Value| {
        let mut parts = list(item).into_iter();
        let id = parts.next().as_ref().and_then(parse_id).ok_or(Unreadable::Damaged)?;
        Ok((id, parts.next().map(list).unwrap_or_default()))
    };
    list(stream).into_iter().map(read).collect()
}

/// Tells of an item that is left out.
pub(super) fn left_out(left: u64, right: u64) {
    tracing::warn!(id = %format_args!("{left}-{right}"), "an entry is damaged and left out");
}

/// Reads the answer of an XREAD of one stream from `from`, up to and with the first boundary: another process writes
/// behind it, so the reader chooses its server again first.
pub fn batch(answer: Value, from: Offset) -> Result<Batch, Unreadable> {
    let mut batch = Batch { records: Vec::new(), next: from };
    // RESP2: [[key, items]].
    let Some(stream) = list(answer).into_iter().next() else { return Ok(batch) };
    let stream = list(stream).into_iter().nth(1).unwrap_or(Value::Null);
    for ((epoch, offset), fields) in items(stream)? {
        // Nothing comes after the last offset.
        let expected = batch.next.offset.checked_add(1);
        let read = match item(epoch, &fields) {
            Err(Unreadable::Damaged) => {
                left_out(epoch, offset);
                batch.records.push(Record::Trimmed);
                batch.next = Offset { epoch, offset };
                continue;
            }
            read => read?,
        };
        match read {
            Item::Boundary(base) => {
                if base > batch.next.offset {
                    batch.records.push(Record::Trimmed);
                }
                let lost = base < batch.next.offset;
                batch.records.push(Record::Boundary { epoch: Epoch(epoch), lost });
                batch.next = Offset { epoch, offset };
                return Ok(batch);
            }
            Item::Entry(routed) => {
                if Some(offset) != expected || epoch != batch.next.epoch {
                    batch.records.push(Record::Trimmed);
                }
                batch.records.push(Record::Entry(routed));
            }
        }
        batch.next = Offset { epoch, offset };
    }
    Ok(batch)
}

/// Epoch and offset of a partition from its metadata.
pub(super) fn head(value: Value) -> Result<Offset, Fault> {
    let mut values = list(value).into_iter();
    let mut next = || values.next().as_ref().and_then(number).ok_or(Fault::Absent);
    Ok(Offset { epoch: next()?, offset: next()? })
}

/// What was found in a history, newest first: an entry, or the place of a damaged one.
pub type Found = Vec<Option<Arc<Entry>>>;

/// The entries of a history segment, as XREVRANGE gives them: newest first, ids `<seq>-<epoch>`.
pub fn history(answer: Value) -> Result<Found, Unreadable> {
    let read = |((seq, epoch), fields): Raw| {
        let time = field(&fields, "t").as_ref().and_then(number).ok_or(Unreadable::Damaged)?;
        let stored = field(&fields, "e").and_then(bytes).ok_or(Unreadable::Damaged)?;
        entry::decode(stored, place(seq, epoch, time)?).map(Arc::new)
    };
    let readable = |item: Raw| {
        let (seq, epoch) = item.0;
        match read(item) {
            Err(Unreadable::Damaged) => {
                left_out(seq, epoch);
                Ok(None)
            }
            read => read.map(Some),
        }
    };
    items(answer)?.into_iter().map(readable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Author, Content, Origin, Post, ProtocolId};

    fn texts(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::from(*text)).collect())
    }

    fn stored() -> Value {
        let post = Post {
            room: RoomName::new("lobby").unwrap(),
            from: Author { id: "u1".into(), name: "ada".into(), extra: None },
            protocol: ProtocolId::Native,
            key: "k".into(),
            content: Content { body: serde_json::value::RawValue::from_string("{}".into()).unwrap(), verbatim: None },
            amends: None,
            durable: false,
            origin: Origin::default(),
        };
        Value::Bytes(entry::encode(&post))
    }

    fn said(id: &str, mark: &str) -> Value {
        said_in("lobby", id, mark)
    }

    fn said_in(room: &str, id: &str, mark: &str) -> Value {
        let fields = vec!["r".into(), room.into(), "m".into(), mark.into(), "e".into(), stored()];
        Value::Array(vec![id.into(), Value::Array(fields)])
    }

    fn boundary(id: &str, base: &str) -> Value {
        Value::Array(vec![id.into(), texts(&["x", base, "m", "0 5 0"])])
    }

    fn read(from: (u64, u64), items: Vec<Value>) -> Batch {
        let stream = Value::Array(vec!["log".into(), Value::Array(items)]);
        batch(Value::Array(vec![stream]), Offset { epoch: from.0, offset: from.1 }).unwrap()
    }

    fn kinds(batch: &Batch) -> Vec<String> {
        let kind = |record: &Record| match record {
            Record::Entry(routed) => format!("{}", routed.entry.seq),
            Record::Boundary { epoch, lost } => format!("boundary {} {lost}", epoch.0),
            Record::Trimmed => "trimmed".into(),
        };
        batch.records.iter().map(kind).collect()
    }

    #[test]
    fn entries_that_follow_the_position_are_read_in_order() {
        let batch = read((7, 3), vec![said("7-4", "11 5 0"), said("7-5", "12 6 40")]);
        assert_eq!(kinds(&batch), ["11", "12"]);
        assert_eq!(batch.next, Offset { epoch: 7, offset: 5 });
        let Record::Entry(routed) = &batch.records[1] else { panic!("not an entry") };
        assert_eq!((routed.entry.time, routed.entry.epoch, routed.room.as_str()), (6, Epoch(7), "lobby"));
    }

    #[test]
    fn entries_of_private_rooms_are_read_like_others() {
        let inbox = RoomName::private("pairs", 10);
        let batch = read((7, 3), vec![said_in(inbox.as_str(), "7-4", "1 5 0"), said("7-5", "12 6 40")]);
        let Record::Entry(routed) = &batch.records[0] else { panic!("not an entry") };
        assert_eq!(routed.room, inbox);
        assert_eq!(kinds(&batch), ["1", "12"]);
    }

    #[test]
    fn nothing_new_keeps_the_position() {
        let from = Offset { epoch: 7, offset: 3 };
        assert_eq!(batch(Value::Null, from).unwrap().next, from);
    }

    #[test]
    fn a_hole_is_reported_before_what_follows_it() {
        assert_eq!(kinds(&read((7, 3), vec![said("7-6", "13 5 0")])), ["trimmed", "13"]);
        // The boundary between two epochs was trimmed away.
        assert_eq!(kinds(&read((7, 3), vec![said("8-4", "13 5 0")])), ["trimmed", "13"]);
    }

    #[test]
    fn a_boundary_says_whether_what_was_read_is_still_there() {
        assert_eq!(kinds(&read((7, 3), vec![boundary("9-4", "3")])), ["boundary 9 false"]);
        assert_eq!(kinds(&read((7, 3), vec![boundary("9-2", "1")])), ["boundary 9 true"]);
        assert_eq!(kinds(&read((7, 3), vec![boundary("9-9", "8")])), ["trimmed", "boundary 9 false"]);
    }

    #[test]
    fn a_batch_ends_with_a_boundary() {
        let batch = read((7, 3), vec![said("7-4", "1 5 0"), boundary("9-5", "4"), said("9-6", "2 5 0")]);
        assert_eq!(kinds(&batch), ["1", "boundary 9 false"]);
        assert_eq!(batch.next, Offset { epoch: 9, offset: 5 });
    }

    #[test]
    fn items_without_a_place_are_refused() {
        let from = Offset::default();
        for item in [texts(&["x"]), boundary("7", "3")] {
            let stream = Value::Array(vec!["log".into(), Value::Array(vec![item])]);
            assert_eq!(batch(Value::Array(vec![stream]), from).unwrap_err(), Unreadable::Damaged);
        }
        assert_eq!(head(texts(&["7"])).unwrap_err(), Fault::Absent);
    }

    /// As [`said`], with other bytes for the entry.
    fn holds(id: &str, bytes: &'static [u8]) -> Value {
        let stored = Value::Bytes(Bytes::from_static(bytes));
        let fields = vec!["r".into(), "lobby".into(), "m".into(), "12 5 0".into(), "e".into(), stored];
        Value::Array(vec![id.into(), Value::Array(fields)])
    }

    #[test]
    fn a_damaged_entry_is_a_hole_and_reading_continues() {
        // Numbers that no script writes among them.
        let marks = ["x 5", "0 5 0", "9007199254740992 5 0", "1 9007199254741 0"];
        let numbers = marks.map(|mark| said("7-4", mark));
        for item in numbers.into_iter().chain([texts(&["7-4", "r"]), holds("7-4", b""), holds("7-4", b"\x01\x01")]) {
            let batch = read((7, 3), vec![item, said("7-5", "13 5 0")]);
            assert_eq!(kinds(&batch), ["trimmed", "13"]);
            assert_eq!(batch.next, Offset { epoch: 7, offset: 5 });
        }
        assert_eq!(kinds(&read((7, u64::MAX), vec![said("7-4", "11 5 0")])), ["trimmed", "11"]);
    }

    #[test]
    fn an_entry_of_a_newer_release_is_refused_and_left_for_later() {
        let stream = Value::Array(vec!["log".into(), Value::Array(vec![holds("7-4", &[entry::FORMAT + 1])])]);
        let refused = batch(Value::Array(vec![stream]), Offset { epoch: 7, offset: 3 });
        assert_eq!(refused.unwrap_err(), Unreadable::Format(entry::FORMAT + 1));
    }

    #[test]
    fn a_damaged_entry_leaves_its_place_in_the_history() {
        let item = |id: &str, stored| {
            Value::Array(vec![id.into(), Value::Array(vec!["t".into(), "5".into(), "e".into(), stored])])
        };
        let items = vec![item("3-7", stored()), item("2-7", "\u{1}?".into()), item("1-7", stored())];
        let read: Vec<_> =
            history(Value::Array(items)).unwrap().iter().map(|entry| entry.as_ref().map(|e| e.seq)).collect();
        assert_eq!(read, [Some(3), None, Some(1)]);
    }
}
