//! What the API reads and writes: the same types are parsed, written, and shown in its document.
//!
//! Decides what a published message must hold. The rules of bodies, names, keys and rooms are those of the native protocol.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    fault::Fault,
    guard::{Caller, OF_TOKENS},
};
use crate::{
    bus::Appended,
    fanout::poster::Message,
    protocols::native::{self, Item, Problem},
    rooms::{Author, Content, ProtocolId, RoomName, text},
};

/// A person as the caller names them.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Named<'a> {
    /// Taken as it is: a person of the native protocol with this id is the same person. 1 to 128 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "u1")]
    id: Cow<'a, str>,
    /// What others see. 1 to 64 characters, at least one of them visible.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "ada")]
    name: Cow<'a, str>,
}

impl Named<'_> {
    /// The author or holder of a token that this names. An id of a token is for that token only.
    pub(super) fn person(&self, caller: &Caller) -> Result<Author, Fault> {
        let Self { id, name } = self;
        native::check_id(id)?;
        native::check_name(name)?;
        if id.starts_with(OF_TOKENS) && **id != *caller.author().id {
            return Err(Fault::bad_request("an id that begins with api: belongs to a token"));
        }
        Ok(Author { id: (&**id).into(), name: text::normalized(name).into(), extra: None })
    }
}

/// A message to publish.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Publish<'a> {
    /// Readers of the native protocol get it as it is; others see its `text`.
    #[serde(borrow)]
    #[schema(value_type = Object, example = json!({"text": "hello"}))]
    body: &'a RawValue,
    /// Default: the token, with the id `api:NAME` and its name.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Named>)]
    from: Option<Named<'a>>,
}

/// A message to publish, as a line of a bulk request.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Line<'a> {
    /// 1 to 128 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "lobby")]
    room: Cow<'a, str>,
    /// Names the message: sent again under the same key within ten minutes, it is stored once. 1 to 128 bytes.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    key: Option<Cow<'a, str>>,
    /// As in a single message.
    #[serde(borrow)]
    #[schema(value_type = Object, example = json!({"text": "hello"}))]
    body: &'a RawValue,
    /// As in a single message.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Named>)]
    from: Option<Named<'a>>,
}

/// A published message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Published {
    /// Its number in the room.
    seq: u64,
    /// The branch of history that it belongs to.
    #[schema(value_type = String, example = "k3")]
    epoch: String,
    /// When it was stored, in milliseconds since 1970.
    time: u64,
    /// The key was known: the numbers are those of the first time.
    duplicate: bool,
}

/// A message in its present form, or a change of an earlier one. Written by the native protocol, whose form it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what native writes")]
pub(super) struct Shown {
    seq: u64,
    /// Milliseconds since 1970.
    time: u64,
    #[schema(value_type = Object)]
    from: (),
    /// Absent where the message was deleted.
    #[schema(value_type = Option<Object>)]
    body: (),
    /// When it was edited last, in milliseconds since 1970.
    edited: Option<u64>,
    /// The message was deleted.
    deleted: Option<bool>,
    /// By emoji, with how many people.
    #[schema(value_type = Option<Object>)]
    reactions: (),
    /// The seq of the message that this one changes.
    amends: Option<u64>,
    /// `edit`, `delete` or `react`.
    kind: Option<String>,
    /// Of a reaction.
    emoji: Option<String>,
    /// Whether the reaction is taken back.
    remove: Option<bool>,
}

/// Messages of a room, the oldest of them first.
#[derive(Serialize, ToSchema)]
pub(super) struct Messages<'a> {
    pub(super) room: &'a str,
    /// The branch of history that the room is on.
    #[schema(value_type = String, example = "k3")]
    pub(super) epoch: String,
    #[schema(value_type = Vec<Shown>)]
    pub(super) items: Vec<Item<'a>>,
    /// Older ones exist: ask again with `before` set to the lowest `seq`.
    pub(super) more: bool,
}

/// Largest body of a message that a gateway takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyLimit(pub(super) usize);

impl Publish<'_> {
    /// The message that `caller` publishes in `room`.
    pub(super) fn message(
        &self,
        room: RoomName,
        key: Option<Arc<str>>,
        caller: &Caller,
        limit: BodyLimit,
    ) -> Result<Message, Fault> {
        message(room, key, self.body, self.from.as_ref(), caller, limit)
    }
}

impl Line<'_> {
    /// The message that `caller` publishes.
    pub(super) fn message(&self, caller: &Caller, limit: BodyLimit) -> Result<Message, Fault> {
        let room = native::check_room(&self.room)?;
        let key = self.key.as_deref().map(key).transpose()?;
        message(room, key, self.body, self.from.as_ref(), caller, limit)
    }
}

/// The key of a message.
pub(super) fn key(text: &str) -> Result<Arc<str>, Problem> {
    native::check_key(text).map(|()| text.into())
}

fn message(
    room: RoomName,
    key: Option<Arc<str>>,
    body: &RawValue,
    from: Option<&Named<'_>>,
    caller: &Caller,
    BodyLimit(limit): BodyLimit,
) -> Result<Message, Fault> {
    native::check_body(body)?;
    if body.get().len() > limit {
        return Err(Fault::too_large(format!("body has at most {limit} bytes")));
    }
    let from = match from {
        Some(named) => named.person(caller)?,
        None => caller.author().clone(),
    };
    let content = Content { body: body.to_owned(), verbatim: None };
    Ok(Message { room, protocol: ProtocolId::Native, from, key, content, amends: None })
}

impl From<Appended> for Published {
    fn from(Appended { seq, epoch, time, duplicate }: Appended) -> Self {
        Self { seq, epoch: native::epoch(epoch), time, duplicate }
    }
}
