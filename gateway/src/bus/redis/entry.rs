//! The stored form of an entry: what the script neither reads nor writes.
//!
//! Byte 0 is the format. Seq, time, epoch and room are beside it in the stream, because the script decides them.
//! Pure; an unknown format is refused, never guessed at.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::rooms::{Author, Content, Entry, Epoch, Origin, Post, ProtocolId, RoomName};

/// The format that this release writes, and the newest that it reads.
pub const FORMAT: u8 = 1;

const EXTRA: u8 = 1;
const VERBATIM: u8 = 2;

/// Why stored bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("an entry is of format {0}, this release reads up to {FORMAT}")]
    Format(u8),
    #[error("an entry is damaged")]
    Damaged,
}

/// What the stream says beside the stored bytes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub seq: u64,
    pub epoch: Epoch,
    pub time: u64,
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
    out.put_slice(bytes);
}

fn take(input: &mut Bytes) -> Option<Bytes> {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = input.try_get_u8().ok()?;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    (length <= input.len()).then(|| input.split_to(length))
}

fn text(input: &mut Bytes) -> Option<Arc<str>> {
    Some(std::str::from_utf8(&take(input)?).ok()?.into())
}

/// The bytes that are stored for a post.
pub fn encode(post: &Post) -> Bytes {
    let Post { room: _, from, protocol, key, content, durable: _, origin } = post;
    stored(from, *protocol, key, content, *origin)
}

/// The bytes that were stored for an entry.
pub(super) fn encode_again(entry: &Entry) -> Bytes {
    let Entry { seq: _, epoch: _, time: _, from, protocol, key, content, origin } = entry;
    stored(from, *protocol, key, content, *origin)
}

fn stored(from: &Author, protocol: ProtocolId, key: &str, content: &Content, origin: Origin) -> Bytes {
    let Author { id, name, extra } = from;
    let body = content.body.get().as_bytes();
    let verbatim = content.verbatim.as_deref();
    let mut out = Vec::with_capacity(64 + body.len() + verbatim.map_or(0, <[u8]>::len));
    out.put_u8(FORMAT);
    out.put_u8(protocol.number());
    out.put_u8(if extra.is_some() { EXTRA } else { 0 } | if verbatim.is_some() { VERBATIM } else { 0 });
    out.put_u64(origin.gateway);
    out.put_u64(origin.connection);
    for part in [id.as_bytes(), name.as_bytes(), key.as_bytes(), body] {
        put(&mut out, part);
    }
    if let Some(extra) = extra {
        put(&mut out, extra.as_bytes());
    }
    if let Some(verbatim) = verbatim {
        put(&mut out, verbatim);
    }
    out.into()
}

fn parts(mut input: Bytes, place: Place) -> Option<Entry> {
    let protocol = ProtocolId::from_number(input.try_get_u8().ok()?)?;
    let flags = input.try_get_u8().ok()?;
    let origin = Origin { gateway: input.try_get_u64().ok()?, connection: input.try_get_u64().ok()? };
    let (id, name, key) = (text(&mut input)?, text(&mut input)?, text(&mut input)?);
    let body = String::from_utf8(take(&mut input)?.into()).ok()?;
    let body = RawValue::from_string(body).ok()?;
    let extra = if flags & EXTRA != 0 { Some(text(&mut input)?) } else { None };
    let verbatim = if flags & VERBATIM != 0 { Some(take(&mut input)?) } else { None };
    let Place { seq, epoch, time } = place;
    let from = Author { id, name, extra };
    Some(Entry { seq, epoch, time, from, protocol, key, content: Content { body, verbatim }, origin })
}

/// The entry at `place` from its stored bytes.
pub fn decode(mut stored: Bytes, place: Place) -> Result<Entry, Unreadable> {
    match stored.try_get_u8() {
        Ok(FORMAT) => parts(stored, place).ok_or(Unreadable::Damaged),
        Ok(other) => Err(Unreadable::Format(other)),
        Err(_) => Err(Unreadable::Damaged),
    }
}

/// Names a post for dedupe: 16 bytes of a hash over room, author and key, so that keys cost the same whatever their
/// length; a collision of two in ten minutes is beyond reach.
pub(super) fn fingerprint(room: &RoomName, author: &str, key: &str) -> Bytes {
    let mut hash = Sha256::new();
    for part in [room.as_str(), author, key] {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    Bytes::copy_from_slice(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn post(name: &str, extra: Option<String>, text: &str, verbatim: Option<Vec<u8>>) -> Post {
        let body = serde_json::json!({ "text": text }).to_string();
        Post {
            room: RoomName::new("lobby").unwrap(),
            from: Author { id: "u1".into(), name: name.into(), extra: extra.map(Into::into) },
            protocol: ProtocolId::OnlyOne,
            key: "k".into(),
            content: Content { body: RawValue::from_string(body).unwrap(), verbatim: verbatim.map(Into::into) },
            durable: false,
            origin: Origin { gateway: u64::MAX, connection: 7 },
        }
    }

    const PLACE: Place = Place { seq: 3, epoch: Epoch(9), time: 5 };

    proptest! {
        #[test]
        fn an_entry_comes_back_byte_for_byte(
            name in ".{0,64}",
            extra in proptest::option::of(".{0,200}"),
            text in ".{0,300}",
            verbatim in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        ) {
            let post = post(&name, extra, &text, verbatim);
            let entry = decode(encode(&post), PLACE).unwrap();
            prop_assert_eq!(encode_again(&entry), encode(&post));
            prop_assert_eq!(entry.content.body.get(), post.content.body.get());
            prop_assert_eq!(entry.content.verbatim, post.content.verbatim);
            prop_assert_eq!((entry.from, entry.key, entry.origin), (post.from, post.key, post.origin));
            prop_assert_eq!((entry.seq, entry.epoch, entry.time, entry.protocol), (3, Epoch(9), 5, post.protocol));
        }

        #[test]
        fn no_bytes_make_the_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(bytes.into(), PLACE);
        }
    }

    #[test]
    fn a_cut_entry_and_a_newer_format_are_refused() {
        let stored = encode(&post("ada", Some("{}".into()), "hi", Some(vec![0, 255])));
        for length in 1..stored.len() {
            assert_eq!(decode(stored.slice(..length), PLACE).unwrap_err(), Unreadable::Damaged);
        }
        assert_eq!(decode(Bytes::from_static(&[2, 1]), PLACE).unwrap_err(), Unreadable::Format(2));
    }

    #[test]
    fn parts_of_a_fingerprint_do_not_run_together() {
        let room = RoomName::new("lobby").unwrap();
        assert_ne!(fingerprint(&room, "u1", "ab"), fingerprint(&room, "u1a", "b"));
        assert_eq!(fingerprint(&room, "u1", "ab"), fingerprint(&room, "u1", "ab"));
    }
}
