//! Reading frames of both dialects: which dialect a frame speaks, and the fields that decide what happens to it.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    directory::people::To,
    protocols::{canonical, json},
    rooms::{Author, Content, text},
};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The client's first version: one room for all.
    Broadcast,
    /// Its last version: people and blocks.
    Blocks,
}

impl Dialect {
    fn mark(self) -> u8 {
        match self {
            // Stored in entries: never changed.
            Self::Broadcast => b'A',
            Self::Blocks => b'C',
        }
    }
}

/// The fields of a frame that the server reads; all of them None when it is JSON but no object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame<'a> {
    kind: Option<&'a RawValue>,
    user_id: Option<&'a RawValue>,
    user_name: Option<&'a RawValue>,
    from_user_id: Option<&'a RawValue>,
    to_user_id: Option<&'a RawValue>,
    block_id: Option<&'a RawValue>,
    chat_type: Option<&'a RawValue>,
    temp_id: Option<&'a RawValue>,
    message_id: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    /// None when `text` is no JSON, or nests so deep that it would break other readers.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        const NAMES: [&str; 13] = [
            "type",
            "user_id",
            "id",
            "user_name",
            "username",
            "from_user_id",
            "to_user_id",
            "block_id",
            "group_id",
            "chat_type",
            "temp_id",
            "message_id",
            "message",
        ];
        if !json::shallow(text) {
            return None;
        }
        let Some(fields) = json::fields(text, NAMES) else {
            return serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| Self::default());
        };
        let [kind, user_id, id, user_name, username, from, to, block, group, chat_type, temp_id, message_id, message] =
            fields;
        Some(Self {
            kind,
            user_id: user_id.or(id),
            user_name: user_name.or(username),
            from_user_id: from,
            to_user_id: to,
            block_id: block.or(group),
            chat_type,
            temp_id,
            message_id,
            message,
        })
    }

    pub(super) fn kind(&self) -> Cow<'a, str> {
        self.kind.and_then(json::string).unwrap_or_default()
    }

    /// Which dialect a connection speaks, by its first frame; frames that tell nothing are the broadcast dialect's.
    pub(super) fn dialect(&self) -> Dialect {
        match self.kind().as_ref() {
            "MESSAGE" | "CONFIRM" => Dialect::Blocks,
            "USER" => Dialect::Broadcast,
            _ if self.user_id.is_some() || self.user_name.is_some() => Dialect::Broadcast,
            _ if self.from_user_id.is_some() => Dialect::Blocks,
            _ => Dialect::Broadcast,
        }
    }

    /// Dialect A's user, when it has a number.
    pub(super) fn user(&self) -> Option<u64> {
        self.user_id.and_then(loose_id)
    }

    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        self.user_name.and_then(json::string)
    }

    /// Dialect C's sender.
    pub(super) fn from(&self) -> Option<u64> {
        self.from_user_id.and_then(loose_id)
    }

    /// Whether a message that the blocks dialect was shown is from another protocol, whose people have no numbers.
    pub(super) fn is_foreign(&self) -> bool {
        self.from_user_id.is_some() && self.from().is_none()
    }

    /// Dialect C's own number of a message.
    pub(super) fn temp(&self) -> Option<Arc<str>> {
        // Number or text, as it is written: the client repeats it in the same way.
        self.temp_id.map(|raw| raw.get()).filter(|raw| raw.len() <= 64 && *raw != "null").map(Into::into)
    }

    pub(super) fn message_id(&self) -> Option<u64> {
        self.message_id.and_then(loose_id)
    }

    pub(super) fn to(&self) -> Option<To> {
        // 0 is the system, to which nobody writes.
        let person = || self.to_user_id.and_then(loose_id).filter(|id| *id > 0).map(To::Person);
        let block = || self.block_id.and_then(loose_id).map(To::Block);
        match self.chat_type.and_then(json::string).as_deref() {
            Some("PTP") => person(),
            Some("BLOCK") => block(),
            _ => person().or_else(block),
        }
    }

    /// The names that a message calls with `@name`, each followed by a space or the end; at most ten.
    pub(super) fn mentions(&self) -> Vec<Arc<str>> {
        let Some(message) = self.message.and_then(json::string) else { return Vec::new() };
        let named = message.split('@').skip(1).map(|rest| rest.split(' ').next().unwrap_or_default());
        named.filter(|name| (1..=255).contains(&name.len())).take(10).map(Into::into).collect()
    }

    /// What is stored of a message.
    pub(super) fn content(&self, dialect: Dialect, text: &str) -> Content {
        let body = self
            .message
            .and_then(json::string)
            .map_or_else(|| canonical::opaque_body(text.as_bytes()), |message| canonical::text_body(&message));
        Content { body, verbatim: Some(verbatim(dialect, text)) }
    }

    /// Who speaks, as far as the broadcast dialect says.
    pub(super) fn author(&self) -> Author {
        let id = self.user().map_or_else(|| "m".to_owned(), |id| format!("m{id}"));
        Author { id: id.into(), name: self.shown_name().unwrap_or_else(|| "anonymous".into()), extra: None }
    }

    /// The name that the frame gives its sender, if others can be shown it.
    pub(super) fn shown_name(&self) -> Option<Arc<str>> {
        self.name().and_then(|name| shown_name(&name))
    }
}

/// A name as others are shown it: its first 64 characters, but those that control. None when it may not be shown.
pub(super) fn shown_name(name: &str) -> Option<Arc<str>> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    text::check_name(&shown).is_ok().then(|| text::normalized(&shown).into())
}

/// What is stored in a person's inbox when they are in another block than before: their session looks, and nobody is
/// shown anything. No frame is stored like this, because each begins with its dialect.
pub(super) const NOTICE: &[u8] = b"N";

/// What makes the connections that read an inbox look at the account again. Shown to nobody.
pub(super) fn notice() -> Content {
    Content { body: canonical::text_body(""), verbatim: Some(NOTICE.into()) }
}

/// A message as `kind`, with the id that it has. None when it is no object, or one of too many fields.
pub(super) fn with_id(text: &str, kind: &str, id: u64) -> Option<String> {
    json::with(text, &[("type", &json::write(&kind)), ("message_id", &json::write(&message_id(id)))])
}

/// Clients order messages by comparing these as text: one width, below 2^53.
pub(super) fn message_id(id: u64) -> String {
    format!("{id:016}")
}

/// A number below 2^53, as a number or as text: clients change between the two.
fn loose_id(raw: &RawValue) -> Option<u64> {
    let id = json::read::<u64>(raw).or_else(|| json::string(raw)?.parse().ok());
    id.filter(|id| *id < 1 << 53)
}

/// The frame, marked by its dialect.
fn verbatim(dialect: Dialect, text: &str) -> Bytes {
    let mut stored = Vec::with_capacity(1 + text.len());
    stored.push(dialect.mark());
    stored.extend_from_slice(text.as_bytes());
    stored.into()
}

/// Reads what [`Frame::content`] stored for `dialect`.
pub(super) fn read_verbatim(dialect: Dialect, stored: &[u8]) -> Option<&[u8]> {
    stored.split_first().filter(|(mark, _)| **mark == dialect.mark()).map(|(_, frame)| frame)
}
