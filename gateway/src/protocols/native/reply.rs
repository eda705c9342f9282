//! What the server says: every shape of the protocol's answers and pushes, in one place.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    identity::base36,
    item::{Item, Person},
};
use crate::{
    moderation::{Action, Record},
    protocols::json,
    rooms::Epoch,
};

/// One frame to a client. `id` is the request's, absent where it had none.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Reply<'a> {
    Joined {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
        #[serde(serialize_with = "write_epoch")]
        epoch: Epoch,
        seq: u64,
        you: You<'a>,
        members: u64,
        recovered: bool,
        limits: Limits,
    },
    Authenticated {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        you: Person<'a>,
        role: &'static str,
        /// In seconds since the Unix epoch.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<u64>,
    },
    Posted {
        id: &'a RawValue,
        room: &'a str,
        seq: u64,
        duplicate: bool,
    },
    History {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
        #[serde(serialize_with = "write_epoch")]
        epoch: Epoch,
        /// The newest entry of the room then: items are in the form that amendments up to it made of them.
        seq: u64,
        items: Vec<Item<'a>>,
        more: bool,
    },
    Members {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
        count: u64,
        /// Only where names were asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        people: Option<Vec<Person<'a>>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        more: Option<bool>,
    },
    Typing {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Person<'a>>,
    },
    Left {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
    },
    Presence {
        room: &'a str,
        members: u64,
        joined: Vec<Person<'a>>,
        left: Vec<Person<'a>>,
    },
    Gap {
        room: &'a str,
        #[serde(serialize_with = "write_epoch")]
        epoch: Epoch,
        from: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    },
    Moderated {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    },
    /// What moderators did in a room, the newest action first.
    Actions {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        room: &'a str,
        actions: Vec<Logged<'a>>,
        more: bool,
        /// Where the next page begins, if there may be more.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<u64>,
    },
    /// `until` in milliseconds since the Unix epoch: absent until it is undone, 0 when it is over.
    Notice {
        room: &'a str,
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<u64>,
        /// Milliseconds until then.
        #[serde(skip_serializing_if = "Option::is_none")]
        remaining: Option<u64>,
        /// Of a slow room: the pause between two messages of a person.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    Moved {
        after: u64,
    },
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    },
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        code: Code,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry: Option<Milliseconds>,
    },
}

impl Reply<'_> {
    /// The frame's payload.
    pub(super) fn text(&self) -> String {
        json::write(self)
    }
}

/// A time to wait, in milliseconds on the wire.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Milliseconds(u64);

impl Milliseconds {
    /// Rounded up: a client that waits this long has waited long enough.
    pub(super) fn at_least(wait: Duration) -> Self {
        Self(u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
    }
}

/// The client's own identity.
#[derive(Serialize)]
pub(super) struct You<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// Absent for people who come with a token from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
}

/// An action that was carried out, as the log has it.
#[derive(Serialize)]
pub(super) struct Logged<'a> {
    number: u64,
    time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    by: Person<'a>,
    #[serde(flatten)]
    action: &'a Action,
}

impl<'a> From<&'a Record> for Logged<'a> {
    fn from(Record { number, time, until, act }: &'a Record) -> Self {
        Self { number: *number, time: *time, until: *until, by: Person::from(&act.by), action: &act.action }
    }
}

/// What the server takes from this client.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    /// Bytes of a whole message.
    pub(super) message_bytes: u32,
    /// Posts that may wait for the one that they follow.
    pub(super) posts: usize,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    UnknownOp,
    BadRequest,
    NotJoined,
    RateLimited,
    TooLarge,
    RoomLimit,
    Unavailable,
    NotDurable,
    OutOfOrder,
    Unauthorized,
    NotFound,
    Expired,
    Forbidden,
    Muted,
    Banned,
    SlowMode,
    ReadOnly,
    Refused,
}

impl Code {
    /// The code as written, also the label of the refusals metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::UnknownOp => "unknown_op",
            Self::BadRequest => "bad_request",
            Self::NotJoined => "not_joined",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::RoomLimit => "room_limit",
            Self::Unavailable => "unavailable",
            Self::NotDurable => "not_durable",
            Self::OutOfOrder => "out_of_order",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::Muted => "muted",
            Self::Banned => "banned",
            Self::SlowMode => "slow_mode",
            Self::ReadOnly => "read_only",
            Self::Refused => "refused",
        }
    }
}

/// Epochs are text, in base 36: clients compare them and nothing else.
fn write_epoch<S: Serializer>(epoch: &Epoch, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&self::epoch(*epoch))
}

/// An epoch as clients know it.
pub(crate) fn epoch(epoch: Epoch) -> String {
    base36(u128::from(epoch.0))
}

/// Reads an epoch that a client received.
pub(super) fn read_epoch(text: &str) -> Option<Epoch> {
    // from_str_radix takes a sign, an epoch has none.
    let digits = text.bytes().all(|b| b.is_ascii_alphanumeric());
    digits.then(|| u64::from_str_radix(text, 36).ok()).flatten().map(Epoch)
}
