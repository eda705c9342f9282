//! How entries look to OnlyOne readers: one `room.chat` push each, and `room.join`, `room.leave` for their own people.

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    envelope::{Presence, push},
    identity::{User, author, own},
};
use crate::{
    fanout::encoding::{ChunkWriter, Encoding},
    protocols::{canonical, json},
    rooms::{Author, Entry, Epoch, ProtocolId, RoomName, Signal},
};

#[derive(Debug)]
pub(super) struct OnlyOneEncoding {
    /// Start of the avatars' URLs of people of other protocols.
    pub(super) base: String,
}

impl Encoding for OnlyOneEncoding {
    fn entries(&self, room: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        for entry in entries {
            let chat = Chat {
                room_id: room.as_str(),
                chat_message: chat_message(entry),
                send_time: entry.time,
                sender: author(entry, &self.base),
            };
            out.text(push("room.chat", &chat).as_bytes());
        }
    }

    fn signal(&self, room: &RoomName, signal: &Signal, out: &mut ChunkWriter) {
        let (route, who) = match signal {
            Signal::Joined { who, protocol: ProtocolId::OnlyOne, .. } => ("room.join", who),
            Signal::Left { who, protocol: ProtocolId::OnlyOne, asked: true } => ("room.leave", who),
            // A connection that ends says nothing, as in the original; other protocols' people are only counted.
            Signal::Joined { .. } | Signal::Left { .. } | Signal::Typing { .. } | Signal::Count => return,
            Signal::WhoIsHere { .. } | Signal::Here { .. } => return,
        };
        if let Some(text) = presence(route, room, who) {
            out.text(text.as_bytes());
        }
    }
}

/// The push that someone of this protocol came or went.
pub(super) fn presence(route: &'static str, room: &RoomName, who: &Author) -> Option<String> {
    own(who).map(|user| push(route, &Presence { room_id: room.as_str(), user }))
}

#[derive(Serialize)]
struct Chat<'a> {
    room_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_message: Option<Cow<'a, RawValue>>,
    send_time: u64,
    sender: User<'a>,
}

/// The sender's own JSON, absent when it sent none; made from the body for people of other protocols.
fn chat_message(entry: &Entry) -> Option<Cow<'_, RawValue>> {
    if entry.protocol == ProtocolId::OnlyOne
        && let Some(verbatim) = &entry.content.verbatim
    {
        if verbatim.is_empty() {
            return None;
        }
        if let Ok(message) = serde_json::from_slice(verbatim) {
            return Some(Cow::Borrowed(message));
        }
    }
    Some(Cow::Owned(foreign(entry)))
}

fn foreign(entry: &Entry) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Foreign<'a> {
        r#type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
    }
    let shown = canonical::shown(&entry.content.body);
    let text = shown.text.as_ref();
    json::raw(&match &shown.media {
        None => Foreign { r#type: "text", path: None, content: Some(text) },
        Some((kind, path)) => Foreign { r#type: kind, path: Some(path), content: (text != path).then_some(text) },
    })
}
