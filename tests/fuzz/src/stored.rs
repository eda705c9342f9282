//! What the bus stores: the bytes of an entry, the stream around them, and how entries look to the readers of every
//! protocol.

use std::{io::Read, str::FromStr, sync::Arc};

use flate2::read::DeflateDecoder;
use fred::types::Value;
use parlor_gateway::{
    bus::{
        Offset, Record,
        redis::{
            entry::{self, Stamp},
            stream_codec,
        },
    },
    fanout::{
        codec,
        encoding::{Chunk, ChunkWriter, Encoding, EncodingId},
        session::Presence,
    },
    protocols::Protocol,
    rooms::{Entry, Epoch, Post, ProtocolId, RoomName, Signal},
};
use serde_json::value::RawValue;

use crate::{
    seed::{lines, unescape},
    settings,
    speech::{self, Said},
};

/// Bytes of one entry: what is read is what was written, and every reader can be shown it.
pub(crate) fn entry(data: &[u8]) {
    let place = Stamp { seq: 3, epoch: Epoch(9), time: 1_700_000_000_000 };
    let Ok(entry) = entry::decode(unescape(data).into(), place) else { return };
    let room = RoomName::new(settings::ROOM).expect("a constant that is a room name");
    let Entry { from, protocol, key, content, amends, origin, .. } = entry.clone();
    let post = Post { room: room.clone(), from, protocol, key, content, amends, durable: false, origin };
    let stored = entry::encode(&post);
    let again = entry::decode(stored, place).unwrap_or_else(|error| panic!("{error}: what this release wrote"));
    assert_eq!(fields(&entry), fields(&again));
    let readers = settings::protocols(&settings::stores(), false);
    let (protocol, entries) = (entry.protocol, [Arc::new(entry)]);
    rendered(&readers, &room, protocol, &entries);
    for (_, encoding) in encodings(&readers, &room, protocol) {
        compressed(|out| encoding.entries(&room, None, &entries, out));
    }
}

fn fields(entry: &Entry) -> impl PartialEq + std::fmt::Debug {
    let Entry { from, protocol, key, content, amends, origin, .. } = entry.clone();
    (from, protocol, key, content.body.get().to_owned(), content.verbatim, amends, origin)
}

/// A stretch of a stream: the first line is the position read from, each other one an item, `id|field|value|…` with
/// escapes.
pub(crate) fn stream(data: &[u8]) {
    let mut lines = lines(data);
    let (generation, offset) = position(lines.next().unwrap_or_default());
    let items: Vec<Value> = lines.map(item).collect();
    let count = items.len();
    if let Ok(entries) = stream_codec::history(Value::Array(items.clone())) {
        assert!(entries.len() <= count);
        entries.iter().flatten().for_each(|entry| place(entry));
    }
    let answer = Value::Array(vec![Value::Array(vec!["log".into(), Value::Array(items)])]);
    let Ok(batch) = stream_codec::batch(answer, Offset { epoch: generation, offset }) else { return };
    // Before each item there may be word of a trim.
    assert!(batch.records.len() <= 2 * count, "{} records of {count} items", batch.records.len());
    let readers = settings::protocols(&settings::stores(), false);
    for record in batch.records {
        if let Record::Entry(routed) = record {
            place(&routed.entry);
            rendered(&readers, &routed.room, routed.entry.protocol, &[routed.entry]);
        }
    }
}

/// Numbers that every client can read, and that arithmetic on them stays within.
fn place(entry: &Entry) {
    assert!((1..1 << 53).contains(&entry.seq) && entry.time < (1 << 53) / 1000, "{} at {}", entry.seq, entry.time);
}

fn position(line: &[u8]) -> (u64, u64) {
    let text = String::from_utf8_lossy(line);
    let (left, right) = text.split_once('-').unwrap_or_default();
    let number = |text: &str| u64::from_str(text).unwrap_or_default();
    (number(left), number(right))
}

fn item(line: &[u8]) -> Value {
    let mut words = line.split(|byte| *byte == b'|').map(|word| match String::from_utf8(unescape(word)) {
        Ok(text) => Value::from(text),
        Err(error) => Value::Bytes(error.into_bytes().into()),
    });
    Value::Array(vec![words.next().unwrap_or(Value::Null), Value::Array(words.collect())])
}

/// Renders entries for everyone who can read the room, and reads the frames as clients do.
pub(crate) fn rendered(readers: &[Arc<dyn Protocol>], room: &RoomName, writer: ProtocolId, entries: &[Arc<Entry>]) {
    // What a gateway stores, every reader can take; of what lies in a store by another way, only the frames are checked.
    let strict = entries.iter().all(|entry| portable(&entry.content.body));
    for (reader, encoding) in encodings(readers, room, writer) {
        // As the hub does: most protocols are not handed amendments and deleted messages.
        let all = encoding.shows_amendments();
        let entries: Vec<_> = entries.iter().filter(|entry| all || entry.is_message()).cloned().collect();
        if entries.is_empty() {
            continue;
        }
        for epoch in [None, Some(Epoch(9))] {
            let frames = written(|out| encoding.entries(room, epoch, &entries, out));
            let silent = reader == ProtocolId::Match || (reader == writer && reader == ProtocolId::MultiPerson);
            assert!(silent || !frames.is_empty(), "{reader:?} shows nothing");
            frames.iter().for_each(|said| {
                if strict {
                    speech::check(reader, said)
                }
            });
        }
    }
}

/// The same for a signal, which a protocol need not show.
pub(crate) fn shown(readers: &[Arc<dyn Protocol>], room: &RoomName, signal: &Signal) {
    for (reader, encoding) in encodings(readers, room, ProtocolId::Native) {
        written(|out| encoding.signal(room, signal, out)).iter().for_each(|said| speech::check(reader, said));
    }
}

/// The same for who came and went.
pub(crate) fn counted(readers: &[Arc<dyn Protocol>], room: &RoomName, presence: &Presence) {
    for (reader, encoding) in encodings(readers, room, ProtocolId::Native) {
        let write = |out: &mut ChunkWriter| encoding.presence(room, presence, out);
        written(write).iter().for_each(|said| speech::check(reader, said));
        compressed(write);
    }
}

/// The frames of a chunk.
fn written(write: impl Fn(&mut ChunkWriter)) -> Vec<Said> {
    written_by(EncodingId(1), write)
}

/// A chunk says the same where it is compressed, which takes longer than all else.
fn compressed(write: impl Fn(&mut ChunkWriter)) {
    assert_eq!(written_by(EncodingId(1).deflated(), &write), written(&write));
}

fn written_by(id: EncodingId, write: impl Fn(&mut ChunkWriter)) -> Vec<Said> {
    let mut out = ChunkWriter::new(id);
    write(&mut out);
    frames(&out.seal(None))
}

/// Private rooms are read by the protocol that posts there, all others by all but `match`, which has only inboxes.
fn encodings(
    readers: &[Arc<dyn Protocol>],
    room: &RoomName,
    writer: ProtocolId,
) -> impl Iterator<Item = (ProtocolId, Arc<dyn Encoding>)> {
    let private = room.as_str().starts_with('\u{1}');
    let reads = move |id: ProtocolId| if private { id == writer } else { id != ProtocolId::Match };
    readers.iter().filter(move |reader| reads(reader.id())).flat_map(|reader| {
        let id = reader.id();
        reader.encodings().into_iter().map(move |(_, encoding)| (id, encoding))
    })
}

fn portable(body: &RawValue) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(body.get()).is_ok()
}

/// The frames of a chunk: whole, unmasked, TEXT in UTF-8; what is hidden from its author are whole ones, too.
fn frames(chunk: &Chunk) -> Vec<Said> {
    let (mut bytes, mut frames, mut ends) = (&chunk.bytes[..], Vec::new(), vec![0]);
    while let [first, length, tail @ ..] = bytes {
        let (length, tail) = match length {
            126 => tail.split_first_chunk().map(|(n, tail)| (u64::from(u16::from_be_bytes(*n)), tail)),
            127 => tail.split_first_chunk().map(|(n, tail)| (u64::from_be_bytes(*n), tail)),
            length => Some((u64::from(*length), tail)),
        }
        .unwrap_or_else(|| panic!("a header that ends in {bytes:02x?}"));
        let payload = tail.split_at_checked(length as usize);
        let (payload, tail) = payload.unwrap_or_else(|| panic!("{length} bytes in {bytes:02x?}"));
        let payload = if first & codec::COMPRESSED == 0 { payload.to_vec() } else { inflated(payload) };
        frames.push(match first & !codec::COMPRESSED {
            0x81 => Said::Text(String::from_utf8(payload).expect("TEXT is UTF-8")),
            0x82 => Said::Binary(payload),
            first => panic!("a frame that begins with {first:02x}"),
        });
        bytes = tail;
        ends.push(chunk.bytes.len() - bytes.len());
    }
    assert!(bytes.is_empty(), "{bytes:02x?} behind the last frame");
    let hidden: Vec<u32> = chunk.hidden.iter().flat_map(|hidden| [hidden.start, hidden.end]).collect();
    assert!(hidden.is_sorted() && hidden.iter().all(|at| ends.contains(&(*at as usize))), "{hidden:?} of {ends:?}");
    frames
}

/// What a client makes of a compressed payload (RFC 7692, 7.2.2), which is shorter than that.
fn inflated(payload: &[u8]) -> Vec<u8> {
    /// A flush of the compressor, left out on the wire; behind it a block that is the last.
    const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
    let mut whole = Vec::new();
    let read = DeflateDecoder::new([payload, &TAIL].concat().as_slice()).read_to_end(&mut whole);
    assert!(read.is_ok() && payload.len() < whole.len(), "{read:?} for {payload:02x?}");
    whole
}
