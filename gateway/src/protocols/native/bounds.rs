//! What names, keys, ids and bodies may be, and how a request that breaks a bound is refused.
//!
//! Decides nothing about what a request asks for. Called for frames of the native protocol, and by the server API, whose
//! rules are the same.

use serde_json::value::RawValue;

use super::{identity::is_id, reply::Code};
use crate::{
    protocols::json,
    rooms::{
        RoomName, RoomNameError,
        text::{self, MAX_NAME_CHARS, NameFault},
    },
};

/// Longest key of a post, in bytes.
const MAX_KEY_BYTES: usize = 128;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: &'static str,
}

impl Problem {
    pub(super) fn new(code: Code, message: &'static str) -> Self {
        Self { code, message }
    }

    pub(super) fn bad(message: &'static str) -> Self {
        Self::new(Code::BadRequest, message)
    }
}

/// The room of that name.
pub(crate) fn check_room(name: &str) -> Result<RoomName, Problem> {
    RoomName::new(name).map_err(|fault| match fault {
        RoomNameError::Length(0) => Problem::bad("room is empty"),
        RoomNameError::Length(_) => Problem::new(Code::TooLarge, "a room name has at most 128 bytes"),
        RoomNameError::Control => Problem::bad("a room name has no control characters"),
        RoomNameError::Form => Problem::bad("a room name is in Unicode normalization form C"),
        RoomNameError::Invisible => {
            Problem::bad("a room name has no invisible characters, and at least one that can be seen")
        }
    })
}

/// Whether a person may have that id.
pub(crate) fn check_id(id: &str) -> Result<(), Problem> {
    if is_id(id) { Ok(()) } else { Err(Problem::bad("an id has 1 to 128 bytes and no control characters")) }
}

/// Whether a post may have that key.
pub(crate) fn check_key(key: &str) -> Result<(), Problem> {
    bounded_key(key, "key is empty")
}

pub(super) fn bounded_key(key: &str, empty: &'static str) -> Result<(), Problem> {
    match key.len() {
        0 => Err(Problem::bad(empty)),
        1..=MAX_KEY_BYTES => Ok(()),
        _ => Err(Problem::new(Code::TooLarge, "a key has at most 128 bytes")),
    }
}

/// Whether every reader can take a body.
pub(crate) fn check_body(body: &RawValue) -> Result<(), Problem> {
    if !body.get().starts_with('{') {
        return Err(Problem::bad("body is a JSON object"));
    }
    if !json::portable(body) {
        return Err(Problem::bad("body is JSON that every reader can take: Unicode, finite numbers, 124 levels"));
    }
    Ok(())
}

/// Names are shown by every protocol: bounded, and one line with something to see.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    if name.chars().nth(MAX_NAME_CHARS).is_some() {
        return Err(Problem::new(Code::TooLarge, "a name has at most 64 characters"));
    }
    text::check_name(name).map_err(|fault| match fault {
        NameFault::Control => Problem::bad("a name has no control characters"),
        NameFault::Invisible => Problem::bad("a name has no invisible characters"),
        NameFault::Blank => Problem::bad("name is empty"),
    })
}
