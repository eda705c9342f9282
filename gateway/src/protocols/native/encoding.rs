//! How entries look to native readers: `messages` frames with many items each, and `typing`.

use std::sync::Arc;

use super::{
    identity::base36,
    item::{Item, people},
    reply::Reply,
};
use crate::{
    fanout::{
        encoding::{ChunkWriter, Encoding},
        session::Presence,
    },
    rooms::{Entry, Epoch, RoomName, Signal, present::Person},
};

/// A frame is closed once its payload has grown this large in bytes: big enough that headers cost nothing, small
/// enough that a reader shows the first lines of a long resume early.
const FRAME_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct NativeEncoding;

impl Encoding for NativeEncoding {
    fn shows_amendments(&self) -> bool {
        true
    }

    fn entries(&self, room: &RoomName, epoch: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        items(room, epoch, entries.iter().map(|entry| Item::for_person(entry, None)), out);
    }

    fn entries_for(&self, viewer: Person, room: &RoomName, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        items(room, None, entries.iter().map(|entry| Item::for_person(entry, Some(viewer))), out);
    }

    fn signal(&self, room: &RoomName, signal: &Signal, out: &mut ChunkWriter) {
        match signal {
            Signal::Typing { from } => {
                let typing = Reply::Typing { id: None, room: room.as_str(), from: Some(from.into()) };
                out.text(typing.text().as_bytes());
            }
            // Sent with presence, at most once per second.
            Signal::Joined { .. } | Signal::Left { .. } | Signal::Count => {}
            Signal::WhoIsHere { .. } | Signal::Here { .. } => {}
        }
    }

    fn presence(&self, room: &RoomName, Presence { members, joined, left }: &Presence, out: &mut ChunkWriter) {
        let (joined, left) = (people(joined), people(left));
        out.text(Reply::Presence { room: room.as_str(), members: *members, joined, left }.text().as_bytes());
    }
}

fn items<'a>(room: &RoomName, epoch: Option<Epoch>, all: impl Iterator<Item = Item<'a>>, out: &mut ChunkWriter) {
    let mut frame = head(room, epoch);
    let mut items = 0;
    for item in all {
        if frame.len() >= FRAME_BYTES {
            finish(&mut frame, out);
            frame = head(room, None);
            items = 0;
        }
        if items > 0 {
            frame.push(b',');
        }
        write(&mut frame, &item);
        items += 1;
    }
    finish(&mut frame, out);
}

fn head(room: &RoomName, epoch: Option<Epoch>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1024);
    frame.extend_from_slice(br#"{"op":"messages","room":"#);
    write(&mut frame, &room.as_str());
    if let Some(epoch) = epoch {
        frame.extend_from_slice(br#","epoch":""#);
        frame.extend_from_slice(base36(u128::from(epoch.0)).as_bytes());
        frame.push(b'"');
    }
    frame.extend_from_slice(br#","items":["#);
    frame
}

fn finish(frame: &mut Vec<u8>, out: &mut ChunkWriter) {
    frame.extend_from_slice(b"]}");
    out.text(frame);
}

fn write<T: serde::Serialize>(frame: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(frame, value).expect("writing strings and raw JSON into memory cannot fail");
}
