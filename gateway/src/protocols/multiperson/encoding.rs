//! How entries look to readers of either dialect.

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;

use super::frame::{Dialect, NOTICE, message_id, read_verbatim, with_id};
use crate::{
    directory::people::message_id::in_block,
    fanout::encoding::{ChunkWriter, Encoding},
    protocols::{canonical, json},
    rooms::{Entry, Epoch, ProtocolId, RoomName, Signal},
};

/// Dialect A: everything, the author's own messages too.
#[derive(Debug)]
pub(super) struct Broadcast;

impl Encoding for Broadcast {
    fn entries(&self, _: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        for entry in entries {
            out.text(&broadcast(entry));
        }
    }

    fn signal(&self, _: &RoomName, _: &Signal, _: &mut ChunkWriter) {}
}

/// Dialect C: everything but what the connection wrote itself, in a block with the ids that the places in its room give.
#[derive(Debug)]
pub(super) struct Block;

impl Encoding for Block {
    fn entries(&self, room: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        for entry in entries {
            match is_notice(entry) {
                true => out.notice(),
                false => out.own(entry.origin, |out| out.text(&message(room, entry))),
            }
        }
    }

    fn signal(&self, _: &RoomName, _: &Signal, _: &mut ChunkWriter) {}
}

fn message<'a>(room: &RoomName, entry: &'a Entry) -> Cow<'a, [u8]> {
    let frame = own(Dialect::Blocks, entry);
    let Some(block) = room.as_str().parse().ok() else {
        // An inbox: what comes there has its id already.
        return frame.map_or_else(|| block_frame(room, entry, 0).into_bytes().into(), Cow::Borrowed);
    };
    let id = in_block(block, entry.time, entry.seq);
    let text = frame.and_then(|frame| with_id(std::str::from_utf8(frame).ok()?, "MESSAGE", id));
    text.unwrap_or_else(|| block_frame(room, entry, id)).into_bytes().into()
}

/// What the broadcast dialect is shown of an entry.
pub(super) fn broadcast(entry: &Entry) -> Cow<'_, [u8]> {
    own(Dialect::Broadcast, entry).map_or_else(|| user_frame(entry).into_bytes().into(), Cow::Borrowed)
}

fn is_notice(entry: &Entry) -> bool {
    entry.protocol == ProtocolId::MultiPerson && entry.content.verbatim.as_deref() == Some(NOTICE)
}

fn own(dialect: Dialect, entry: &Entry) -> Option<&[u8]> {
    let own = (entry.protocol == ProtocolId::MultiPerson).then_some(entry.content.verbatim.as_deref()).flatten();
    // Only such frames are ever posted; a store that was tampered with must not cost its readers their connections.
    own.and_then(|stored| read_verbatim(dialect, stored)).filter(|frame| json::is_json(frame))
}

/// Someone else's message as the broadcast dialect shows one.
fn user_frame(entry: &Entry) -> String {
    #[derive(Serialize)]
    struct User<'a> {
        user_name: &'a str,
        user_id: &'a str,
        r#type: &'static str,
        message: &'a str,
    }
    let message = &canonical::shown(&entry.content.body).text;
    json::write(&User { user_name: &entry.from.name, user_id: &entry.from.id, r#type: "USER", message })
}

/// Someone else's message as the blocks dialect shows one; `user_name` is there because its directory does not know the sender.
fn block_frame(room: &RoomName, entry: &Entry, id: u64) -> String {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: &'static str,
        from_user_id: &'a str,
        user_name: &'a str,
        message_id: String,
        message: &'a str,
        chat_type: &'static str,
        send_time: u64,
        block_id: &'a str,
    }
    json::write(&Message {
        r#type: "MESSAGE",
        from_user_id: &entry.from.id,
        user_name: &entry.from.name,
        message_id: message_id(id),
        message: &canonical::shown(&entry.content.body).text,
        chat_type: "BLOCK",
        send_time: entry.time,
        block_id: room.as_str(),
    })
}
