//! `echo`: the smallest protocol, for tests alone. It proves that a protocol is one folder, one line in the registry
//! and its settings, and it drives the WebSocket codec through cases that no chat client would send.
//!
//! Without `?room=` a message goes straight back. With it, a message goes through the log of that room and comes back
//! to everyone who named the room. Never part of a release: compiled by tests and by the feature of the same name.

use std::sync::Arc;

use super::{Handshake, Protocol, Refusal, canonical};
use crate::{
    fanout::{
        encoding::{ChunkWriter, Encoding, EncodingId},
        session::{Answer, Context, Effect, Effects, Input, Join, NewPost, OverRate, Session},
    },
    rooms::{Author, Content, Entry, Epoch, ProtocolId, RoomName, Signal},
};

const ENCODING: EncodingId = EncodingId::of(ProtocolId::Echo, 0);

/// Where it is found on the shared port.
pub const PATH: &str = "/echo";

/// What the ChatRoom decides about this protocol: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoSettings;

/// The protocol.
pub(super) struct Echo;

impl Protocol for Echo {
    fn id(&self) -> ProtocolId {
        ProtocolId::Echo
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn resumes(&self) -> bool {
        false
    }

    fn accept(&self, handshake: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        let room = handshake.target.split_once("?room=").and_then(|(_, room)| RoomName::new(room).ok());
        Ok(Box::new(EchoSession { room }))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(EchoEncoding))]
    }
}

struct EchoSession {
    room: Option<RoomName>,
}

impl EchoSession {
    fn post(&self, room: &RoomName, text: &str, cx: &Context) -> Effect {
        Effect::Post(NewPost {
            tag: 0,
            room: room.clone(),
            from: author(cx),
            key: None,
            content: Content { body: canonical::text_body(text), verbatim: None },
            amends: None,
            durable: false,
        })
    }
}

fn author(cx: &Context) -> Author {
    Author { id: format!("echo-{}", cx.origin.connection).into(), name: "echo".into(), extra: None }
}

impl Session for EchoSession {
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects) {
        match (input, &self.room) {
            (Input::Open, Some(room)) => out.push(Effect::Join(Join {
                room: room.clone(),
                who: author(cx),
                encoding: ENCODING,
                after: None,
                presence: false,
                announce: false,
            })),
            (Input::Answer(Answer::Joined(_)), _) => out.push(Effect::Text("joined".to_owned())),
            (Input::Text(text), Some(room)) => out.push(self.post(room, text, cx)),
            (Input::Text(text), None) => out.push(Effect::Text(text.to_owned())),
            (Input::Binary(bytes), None) => out.push(Effect::Binary(bytes.to_owned())),
            (Input::Moved { .. }, _) => out.push(Effect::Close { code: 1012, reason: "draining" }),
            _ => {}
        }
    }
}

struct EchoEncoding;

impl Encoding for EchoEncoding {
    fn entries(&self, _: &RoomName, _: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        for entry in entries {
            out.text(canonical::shown(&entry.content.body).text.as_bytes());
        }
    }

    fn signal(&self, _: &RoomName, _: &Signal, _: &mut ChunkWriter) {}
}
