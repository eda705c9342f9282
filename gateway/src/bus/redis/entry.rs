//! The stored form of an entry: what the script neither reads nor writes, except where it changes a message.
//!
//! Byte 0 is the format: 1 for messages, 2 for amendments, which older releases do not read. Seq, time, epoch and room are
//! beside it in the stream, because the script decides them. `amendments.lua` knows the order of the parts, too.
//! Pure; an unknown format is refused, never guessed at.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::rooms::{Amendment, Author, Change, Content, Entry, Epoch, Origin, Post, ProtocolId, Role, RoomName, emoji};

/// The newest format that this release reads. What it writes is no newer than what every live gateway reads.
pub const FORMAT: u8 = AMENDMENT;

/// The format of messages: every release reads it.
const MESSAGE: u8 = 1;
/// The format of amendments.
const AMENDMENT: u8 = 2;

const EXTRA: u8 = 1;
const VERBATIM: u8 = 2;

const EDIT: u8 = 1;
const DELETE: u8 = 2;
const REACT: u8 = 3;
const TAKE_BACK: u8 = 4;
const BY_MODERATOR: u8 = 0x80;

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
pub struct Stamp {
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
    let Post { room: _, from, protocol, key, content, amends, durable: _, origin } = post;
    stored(from, *protocol, key, content, amends.as_ref(), *origin)
}

/// The bytes that were stored for an entry, with the content that it has now.
pub(super) fn encode_again(entry: &Entry) -> Bytes {
    let Entry { seq: _, epoch: _, time: _, from, protocol, key, content, origin, amends, present: _ } = entry;
    stored(from, *protocol, key, content, amends.as_ref(), *origin)
}

fn stored(
    from: &Author,
    protocol: ProtocolId,
    key: &str,
    content: &Content,
    amends: Option<&Amendment>,
    origin: Origin,
) -> Bytes {
    let Author { id, name, extra } = from;
    let body = content.body.get().as_bytes();
    let verbatim = content.verbatim.as_deref();
    let mut out = Vec::with_capacity(64 + body.len() + verbatim.map_or(0, <[u8]>::len));
    out.put_u8(if amends.is_some() { AMENDMENT } else { MESSAGE });
    out.put_u8(protocol.number());
    out.put_u8(if extra.is_some() { EXTRA } else { 0 } | if verbatim.is_some() { VERBATIM } else { 0 });
    out.put_u64(origin.gateway);
    out.put_u64(origin.connection);
    if let Some(amendment) = amends {
        put(&mut out, &change(amendment));
    }
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

/// What an amendment changes: seq, kind, and the emoji of a reaction.
fn change(Amendment { seq, change, by }: &Amendment) -> Vec<u8> {
    let (kind, emoji) = match change {
        Change::Edit => (EDIT, ""),
        Change::Delete => (DELETE, ""),
        Change::React { emoji, remove: false } => (REACT, &**emoji),
        Change::React { emoji, remove: true } => (TAKE_BACK, &**emoji),
    };
    let role = match by {
        Role::Member => 0,
        Role::Moderator => BY_MODERATOR,
    };
    [&seq.to_be_bytes()[..], &[kind | role], emoji.as_bytes()].concat()
}

fn read_change(mut part: Bytes) -> Option<Amendment> {
    let seq = part.try_get_u64().ok()?;
    let kind = part.try_get_u8().ok()?;
    let emoji = std::str::from_utf8(&part).ok()?;
    // Checked when it was written, by the rules of that time.
    let bounded = (1..=emoji::MAX_BYTES).contains(&emoji.len());
    let reaction = |remove| bounded.then(|| Change::React { emoji: emoji.into(), remove });
    let change = match kind & !BY_MODERATOR {
        EDIT => Change::Edit,
        DELETE => Change::Delete,
        REACT => reaction(false)?,
        TAKE_BACK => reaction(true)?,
        _ => return None,
    };
    let by = if kind & BY_MODERATOR != 0 { Role::Moderator } else { Role::Member };
    (seq > 0).then_some(Amendment { seq, change, by })
}

fn parts(mut input: Bytes, format: u8, place: Stamp) -> Option<Entry> {
    let protocol = ProtocolId::from_number(input.try_get_u8().ok()?)?;
    let flags = input.try_get_u8().ok()?;
    let origin = Origin { gateway: input.try_get_u64().ok()?, connection: input.try_get_u64().ok()? };
    let amends = if format == AMENDMENT { Some(read_change(take(&mut input)?)?) } else { None };
    let (id, name, key) = (text(&mut input)?, text(&mut input)?, text(&mut input)?);
    let body = String::from_utf8(take(&mut input)?.into()).ok()?;
    let body = RawValue::from_string(body).ok()?;
    let extra = if flags & EXTRA != 0 { Some(text(&mut input)?) } else { None };
    let verbatim = if flags & VERBATIM != 0 { Some(take(&mut input)?) } else { None };
    let Stamp { seq, epoch, time } = place;
    let from = Author { id, name, extra };
    Some(Entry {
        seq,
        epoch,
        time,
        from,
        protocol,
        key,
        content: Content { body, verbatim },
        origin,
        amends,
        present: None,
    })
}

/// The entry at `place` from its stored bytes.
pub fn decode(mut stored: Bytes, place: Stamp) -> Result<Entry, Unreadable> {
    match stored.try_get_u8() {
        Ok(format @ (MESSAGE | AMENDMENT)) => parts(stored, format, place).ok_or(Unreadable::Damaged),
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
            amends: None,
            durable: false,
            origin: Origin { gateway: u64::MAX, connection: 7 },
        }
    }

    fn any_amendment() -> impl Strategy<Value = Amendment> {
        let emoji = proptest::sample::select(vec!["👍", "❤\u{fe0f}", "🇺🇦"]);
        let change = prop_oneof![
            Just(Change::Edit),
            Just(Change::Delete),
            (emoji, any::<bool>()).prop_map(|(emoji, remove)| Change::React { emoji: emoji.into(), remove }),
        ];
        let by = prop_oneof![Just(Role::Member), Just(Role::Moderator)];
        (1..u64::MAX, change, by).prop_map(|(seq, change, by)| Amendment { seq, change, by })
    }

    const PLACE: Stamp = Stamp { seq: 3, epoch: Epoch(9), time: 5 };

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
            prop_assert_eq!(entry.amends, None);
        }

        #[test]
        fn an_amendment_comes_back_byte_for_byte(amendment in any_amendment(), text in ".{0,300}") {
            let post = Post { amends: Some(amendment), ..post("ada", None, &text, None) };
            let entry = decode(encode(&post), PLACE).unwrap();
            prop_assert_eq!(encode_again(&entry), encode(&post));
            prop_assert_eq!(entry.content.body.get(), post.content.body.get());
            prop_assert_eq!(entry.amends, post.amends);
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
        assert_eq!(decode(Bytes::from_static(&[3, 1]), PLACE).unwrap_err(), Unreadable::Format(3));
    }

    #[test]
    fn messages_are_written_as_the_last_release_wrote_them() {
        let stored = encode(&post("ada", None, "hi", None));
        let before =
            b"\x01\x02\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\x07\x02u1\x03ada\x01k\x0d{\"text\":\"hi\"}";
        assert_eq!(&stored[..], before);
    }

    #[test]
    fn parts_of_a_fingerprint_do_not_run_together() {
        let room = RoomName::new("lobby").unwrap();
        assert_ne!(fingerprint(&room, "u1", "ab"), fingerprint(&room, "u1a", "b"));
        assert_eq!(fingerprint(&room, "u1", "ab"), fingerprint(&room, "u1", "ab"));
    }
}
