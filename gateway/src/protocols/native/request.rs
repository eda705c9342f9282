//! Reads what a client sends. Decides whether a request is well formed and within its bounds, never whether it is
//! allowed now: that is the session's.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use super::{
    bounds::{Problem, bounded_key, check_body, check_name, check_room},
    reply::{Code, read_epoch},
};
use crate::{
    moderation::Action,
    protocols::json,
    rooms::{Change, Position, RoomName, emoji, text},
};

/// Longest id of a request, in bytes as written.
const MAX_ID_BYTES: usize = 128;
/// Items of a history page when the client does not say, and at most.
const PAGE: (u32, u32) = (50, 100);

/// One operation, with its fields read and bounded.
#[derive(Debug)]
pub(super) enum Op<'a> {
    Auth {
        token: Cow<'a, str>,
    },
    Join {
        room: RoomName,
        name: Option<Cow<'a, str>>,
        token: Option<Cow<'a, str>>,
        after: Option<Position>,
    },
    Post {
        room: RoomName,
        key: Option<Arc<str>>,
        body: &'a RawValue,
        durable: bool,
        /// The key of the post that must be stored first.
        follows: Option<Arc<str>>,
    },
    /// Changes an earlier message. The body is there for an edit.
    Amend {
        room: RoomName,
        key: Option<Arc<str>>,
        seq: u64,
        change: Change,
        body: Option<&'a RawValue>,
    },
    History {
        room: RoomName,
        before: Option<u64>,
        limit: u32,
    },
    /// With a limit, people are named.
    Members {
        room: RoomName,
        limit: Option<u32>,
    },
    Typing {
        room: RoomName,
    },
    Leave {
        room: RoomName,
    },
    Moderate {
        room: RoomName,
        action: Action,
    },
    Actions {
        room: RoomName,
        before: Option<u64>,
        limit: u32,
    },
    Ping,
}

impl Op<'_> {
    /// Whether somebody whose token has ended may do it still.
    pub(super) fn outlives_token(&self) -> bool {
        match self {
            Self::Auth { .. } | Self::History { .. } | Self::Members { .. } | Self::Leave { .. } | Self::Ping => true,
            // It may bring a new one.
            Self::Join { token, .. } => token.is_some(),
            Self::Post { .. }
            | Self::Amend { .. }
            | Self::Typing { .. }
            | Self::Moderate { .. }
            | Self::Actions { .. } => false,
        }
    }
}

/// What a client calls its request: echoed byte for byte, never read.
pub(super) type Id = Box<RawValue>;

fn is_number(raw: &RawValue) -> bool {
    raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// Whether this can show the client what an answer is for, even if it is not what an id should be.
fn is_echoed(raw: &RawValue) -> bool {
    raw.get().len() <= MAX_ID_BYTES && (is_number(raw) || (raw.get().starts_with('"') && json::portable(raw)))
}

/// The request's id, as far as it could be read, and the operation or what is wrong with it.
pub(super) fn parse(text: &str) -> (Option<Id>, Result<Op<'_>, Problem>) {
    let Some(fields) = Fields::read(text) else {
        return (None, Err(Problem::bad("a frame is one JSON object")));
    };
    match fields.id {
        None => (None, fields.op()),
        Some(id) if is_number(id) && is_echoed(id) => (Some(id.to_owned()), fields.op()),
        Some(id) => (is_echoed(id).then(|| id.to_owned()), Err(Problem::bad("id is a number"))),
    }
}

/// What operations have, not read yet.
struct Fields<'a> {
    /// The frame, for operations that read fields of their own.
    text: &'a str,
    op: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    room: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    token: Option<&'a RawValue>,
    epoch: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    durable: Option<&'a RawValue>,
    before: Option<&'a RawValue>,
    limit: Option<&'a RawValue>,
    follows: Option<&'a RawValue>,
    seq: Option<&'a RawValue>,
    emoji: Option<&'a RawValue>,
    remove: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        const NAMES: [&str; 16] = [
            "op", "id", "room", "name", "token", "epoch", "after", "key", "body", "durable", "before", "limit",
            "follows", "seq", "emoji", "remove",
        ];
        // null counts as absent: some JSON writers have no other way to leave a field out.
        let [op, id, room, name, token, epoch, after, key, body, durable, before, limit, follows, seq, emoji, remove] =
            json::fields(text, NAMES)?.map(|raw| raw.filter(|raw| raw.get() != "null"));
        Some(Self {
            text,
            op,
            id,
            room,
            name,
            token,
            epoch,
            after,
            key,
            body,
            durable,
            before,
            limit,
            follows,
            seq,
            emoji,
            remove,
        })
    }

    fn op(&self) -> Result<Op<'a>, Problem> {
        let op = self.op.and_then(json::string).ok_or(Problem::bad("op is missing"))?;
        Ok(match op.as_ref() {
            "auth" => {
                let token = string(self.token, "token is text")?;
                Op::Auth { token: token.ok_or(Problem::bad("token is missing"))? }
            }
            "join" => {
                let token = string(self.token, "token is text")?;
                Op::Join { room: self.room()?, name: self.name()?, token, after: self.after()? }
            }
            "post" => Op::Post {
                room: self.room()?,
                key: key(self.key, "key is text", "key is empty")?,
                body: self.body()?,
                durable: flag(self.durable, "durable is true or false")?,
                follows: key(self.follows, "follows is the key of a post", "follows is empty")?,
            },
            "edit" => self.amend(Change::Edit, Some(self.body()?))?,
            "delete" => self.amend(Change::Delete, None)?,
            "react" => {
                let remove = flag(self.remove, "remove is true or false")?;
                self.amend(Change::React { emoji: self.emoji()?, remove }, None)?
            }
            "history" => Op::History {
                room: self.room()?,
                before: number(self.before, "before is a seq")?,
                limit: self.limit()?,
            },
            "members" => Op::Members { room: self.room()?, limit: self.people()? },
            "typing" => Op::Typing { room: self.room()? },
            "moderate" => Op::Moderate { room: self.room()?, action: action(self.text)? },
            "actions" => Op::Actions {
                room: self.room()?,
                before: number(self.before, "before is the number of an action")?,
                limit: self.limit()?,
            },
            "leave" => Op::Leave { room: self.room()? },
            "ping" => Op::Ping,
            _ => return Err(Problem::new(Code::UnknownOp, "no such op")),
        })
    }

    fn amend(&self, change: Change, body: Option<&'a RawValue>) -> Result<Op<'a>, Problem> {
        let seq = number(self.seq, "seq is a number")?.filter(|seq| *seq > 0);
        let seq = seq.ok_or(Problem::bad("seq is that of a message, from 1"))?;
        let key = key(self.key, "key is text", "key is empty")?;
        Ok(Op::Amend { room: self.room()?, key, seq, change, body })
    }

    fn emoji(&self) -> Result<Arc<str>, Problem> {
        let emoji = string(self.emoji, "emoji is text")?.ok_or(Problem::bad("emoji is missing"))?;
        if emoji::is_emoji(&emoji) { Ok(emoji.as_ref().into()) } else { Err(Problem::bad("emoji is one emoji")) }
    }

    fn room(&self) -> Result<RoomName, Problem> {
        let room = string(self.room, "room is text")?.ok_or(Problem::bad("room is missing"))?;
        check_room(&room)
    }

    fn name(&self) -> Result<Option<Cow<'a, str>>, Problem> {
        let name = string(self.name, "name is text")?;
        name.map(|name| check_name(&name).map(|()| normalized(name))).transpose()
    }

    fn after(&self) -> Result<Option<Position>, Problem> {
        let epoch = string(self.epoch, "epoch is text")?;
        let seq = number(self.after, "after is a seq")?;
        match (epoch, seq) {
            (None, None) => Ok(None),
            (Some(epoch), Some(seq)) => {
                let epoch = read_epoch(&epoch).ok_or(Problem::bad("epoch is none that a server told"))?;
                Ok(Some(Position { epoch, seq }))
            }
            _ => Err(Problem::bad("to resume takes both epoch and after")),
        }
    }

    fn body(&self) -> Result<&'a RawValue, Problem> {
        let body = self.body.ok_or(Problem::bad("body is missing"))?;
        check_body(body).map(|()| body)
    }

    /// How many people are to be named, if any.
    fn people(&self) -> Result<Option<u32>, Problem> {
        number(self.limit, "limit is a number")?.map(|_| self.limit()).transpose()
    }

    fn limit(&self) -> Result<u32, Problem> {
        let (default, most) = PAGE;
        match number(self.limit, "limit is a number")? {
            None => Ok(default),
            Some(limit) => u32::try_from(limit)
                .ok()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or(Problem::bad("limit is 1 to 100")),
        }
    }
}

/// The action of a moderator in a frame, or in a request of the server API. Whether it is within its bounds is decided by moderation itself.
pub(crate) fn action(frame: &str) -> Result<Action, Problem> {
    const NAMES: [&str; 6] = ["action", "person", "seconds", "address", "on", "seq"];
    let fields = json::fields(frame, NAMES).unwrap_or_default();
    let [action, person, seconds, address, on, seq] = fields.map(|raw| raw.filter(|raw| raw.get() != "null"));
    let action = string(action, "action is text")?.ok_or(Problem::bad("action is missing"))?;
    let whom = || Ok(string(person, "person is text")?.ok_or(Problem::bad("person is missing"))?.as_ref().into());
    let lasts = || number(seconds, "seconds is a number");
    let flag = |raw: Option<&RawValue>, fault| raw.map(|raw| json::read(raw).ok_or(Problem::bad(fault))).transpose();
    let action = match action.as_ref() {
        "mute" => Action::Mute { person: whom()?, seconds: lasts()?.unwrap_or(0) },
        "unmute" => Action::Unmute { person: whom()? },
        "kick" => Action::Kick { person: whom()? },
        "ban" => Action::Ban {
            person: whom()?,
            seconds: lasts()?.unwrap_or(0),
            address: flag(address, "address is true or false")?.unwrap_or(false),
        },
        "unban" => Action::Unban { person: whom()? },
        "slow" => Action::Slow { seconds: lasts()?.ok_or(Problem::bad("seconds is missing"))? },
        "readonly" => Action::Readonly {
            on: flag(on, "on is true or false")?.ok_or(Problem::bad("on is missing"))?,
            seconds: lasts()?.unwrap_or(0),
        },
        "delete" => Action::Delete { seq: number(seq, "seq is a number")?.ok_or(Problem::bad("seq is missing"))? },
        "purge" => Action::Purge { person: whom()? },
        _ => {
            return Err(Problem::bad("action is mute, unmute, kick, ban, unban, slow, readonly, delete or purge"));
        }
    };
    action.check().map_err(Problem::bad)?;
    Ok(action)
}

fn key(raw: Option<&RawValue>, fault: &'static str, empty: &'static str) -> Result<Option<Arc<str>>, Problem> {
    string(raw, fault)?.map(|key| bounded_key(&key, empty).map(|()| key.as_ref().into())).transpose()
}

fn normalized(name: Cow<'_, str>) -> Cow<'_, str> {
    if text::is_normalized(&name) { name } else { text::normalized(&name).into_owned().into() }
}

fn string<'a>(raw: Option<&'a RawValue>, fault: &'static str) -> Result<Option<Cow<'a, str>>, Problem> {
    raw.map(|raw| json::string(raw).ok_or(Problem::bad(fault))).transpose()
}

/// False where it is absent.
fn flag(raw: Option<&RawValue>, fault: &'static str) -> Result<bool, Problem> {
    raw.map_or(Some(false), json::read).ok_or(Problem::bad(fault))
}

fn number(raw: Option<&RawValue>, fault: &'static str) -> Result<Option<u64>, Problem> {
    raw.map(|raw| json::read(raw).ok_or(Problem::bad(fault))).transpose()
}
