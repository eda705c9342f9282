//! What the stream holds, read: entries, boundaries, and the holes that tell of a trim.
//!
//! Decides whether what was read follows what was asked for. Pure.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;

use super::{
    super::{Batch, Offset, Record, Routed},
    entry::{self, Place, Unreadable},
    node::{Fault, list, number},
};
use crate::rooms::{Epoch, RoomName};

/// A stream id.
pub(super) fn id(at: Offset) -> String {
    format!("{}-{}", at.generation, at.offset)
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

fn item(generation: u64, fields: &[Value]) -> Result<Item, Unreadable> {
    if let Some(base) = field(fields, "x").as_ref().and_then(number) {
        return Ok(Item::Boundary(base));
    }
    let get = |name| field(fields, name).ok_or(Unreadable::Damaged);
    let room = get("r")?.as_str().and_then(|name| RoomName::new(&name).ok()).ok_or(Unreadable::Damaged)?;
    // `seq time bytes-before`: one field costs less than three.
    let mark = get("m")?;
    let mark = mark.as_str().ok_or(Unreadable::Damaged)?;
    let mut numbers = mark.split(' ').map_while(|number| number.parse().ok());
    let (seq, time) = numbers.next().zip(numbers.next()).ok_or(Unreadable::Damaged)?;
    let stored = bytes(get("e")?).ok_or(Unreadable::Damaged)?;
    let entry = entry::decode(stored, Place { seq, epoch: Epoch(generation), time })?;
    Ok(Item::Entry(Routed { room, entry: Arc::new(entry) }))
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

/// Reads the answer of an XREAD of one stream from `from`, up to and with the first boundary: another process writes
/// behind it, so the reader chooses its server again first.
pub(super) fn batch(answer: Value, from: Offset) -> Result<Batch, Unreadable> {
    let mut batch = Batch { records: Vec::new(), next: from };
    // RESP2: [[key, items]].
    let Some(stream) = list(answer).into_iter().next() else { return Ok(batch) };
    let stream = list(stream).into_iter().nth(1).unwrap_or(Value::Null);
    for ((generation, offset), fields) in items(stream)? {
        let expected = batch.next.offset + 1;
        match item(generation, &fields)? {
            Item::Boundary(base) => {
                if base > batch.next.offset {
                    batch.records.push(Record::Trimmed);
                }
                let lost = base < batch.next.offset;
                batch.records.push(Record::Boundary { epoch: Epoch(generation), lost });
                batch.next = Offset { generation, offset };
                return Ok(batch);
            }
            Item::Entry(routed) => {
                if offset != expected || generation != batch.next.generation {
                    batch.records.push(Record::Trimmed);
                }
                batch.records.push(Record::Entry(routed));
            }
        }
        batch.next = Offset { generation, offset };
    }
    Ok(batch)
}

/// Generation and offset of a partition from its metadata.
pub(super) fn head(value: Value) -> Result<Offset, Fault> {
    let mut values = list(value).into_iter();
    let mut next = || values.next().as_ref().and_then(number).ok_or(Fault::Absent);
    Ok(Offset { generation: next()?, offset: next()? })
}

/// The entries of a history segment, as XREVRANGE gives them: newest first, ids `<seq>-<generation>`.
pub(super) fn history(answer: Value) -> Result<Vec<Arc<crate::rooms::Entry>>, Unreadable> {
    let read = |((seq, generation), fields): Raw| {
        let time = field(&fields, "t").as_ref().and_then(number).ok_or(Unreadable::Damaged)?;
        let stored = field(&fields, "e").and_then(bytes).ok_or(Unreadable::Damaged)?;
        entry::decode(stored, Place { seq, epoch: Epoch(generation), time }).map(Arc::new)
    };
    items(answer)?.into_iter().map(read).collect()
}
