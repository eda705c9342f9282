//! How entries look to relay readers: NORMAL ones merged into frames of up to 20 items, IMPORTANT ones in frames of
//! their own, all in the order of the room.

use std::{borrow::Cow, sync::Arc};

use prost::Message;
use serde::Serialize;

use super::wire::{BroadcastRoom, MsgLevel, PackageType, push_item, read_verbatim, reply};
use crate::{
    fanout::encoding::{ChunkWriter, Encoding},
    protocols::{canonical, json},
    rooms::{Entry, Epoch, ProtocolId, RoomName, Signal},
};

/// Most items that clients get in one frame.
const ITEMS: usize = 20;
/// A frame takes no further item once its data has grown this large in bytes, so that long messages are not held back
/// behind each other.
const FRAME_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct RelayEncoding;

impl Encoding for RelayEncoding {
    fn entries(&self, room: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        let mut data = Vec::new();
        let mut items = 0;
        for entry in entries {
            let (level, item) = item(entry);
            if items > 0 && (level == MsgLevel::Important || items == ITEMS || data.len() >= FRAME_BYTES) {
                write(room, MsgLevel::Normal, std::mem::take(&mut data), out);
                items = 0;
            }
            push_item(&mut data, &item);
            items += 1;
            if level == MsgLevel::Important {
                write(room, level, std::mem::take(&mut data), out);
                items = 0;
            }
        }
        if items > 0 {
            write(room, MsgLevel::Normal, data, out);
        }
    }

    fn signal(&self, _: &RoomName, _: &Signal, _: &mut ChunkWriter) {}
}

fn write(room: &RoomName, level: MsgLevel, data: Vec<u8>, out: &mut ChunkWriter) {
    let message = BroadcastRoom { room_id: room.as_str().to_owned(), level: level.into(), data };
    out.binary(&reply(PackageType::Message, message.encode_to_vec()));
}

fn item(entry: &Entry) -> (MsgLevel, Cow<'_, [u8]>) {
    let own = (entry.protocol == ProtocolId::Relay).then_some(entry.content.verbatim.as_deref()).flatten();
    match own.and_then(read_verbatim) {
        Some((level, data)) => (level, Cow::Borrowed(data)),
        None => (MsgLevel::Normal, Cow::Owned(foreign(entry).into_bytes())),
    }
}

fn foreign(entry: &Entry) -> String {
    #[derive(Serialize)]
    struct Foreign<'a> {
        r#type: &'static str,
        from: &'a str,
        content: &'a str,
    }
    let shown = canonical::shown(&entry.content.body);
    json::write(&Foreign { r#type: "text", from: &entry.from.name, content: &shown.text })
}
