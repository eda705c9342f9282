//! Moderation as native clients are shown it: the answer to `moderate`, notices, and what is refused because of them.
//!
//! Decides what each outcome is called, and nothing else.

use std::time::Duration;

use serde_json::value::RawValue;

use super::reply::{Code, Logged, Milliseconds, Reply};
use crate::{
    fanout::session::{Effect, Effects},
    moderation::{Actions, News, NewsCode, Refusal, Refused},
    rooms::Unavailable,
};

/// Answers what became of an action.
pub(super) fn moderated(id: Option<&RawValue>, result: Result<(), Refused>, retry: Duration, out: &mut Effects) {
    let (code, message, retry) = match &result {
        Ok(()) => return out.push(Effect::Text(Reply::Moderated { id }.text())),
        Err(Refused::BadRequest(fault)) => (Code::BadRequest, (*fault).to_owned(), None),
        Err(none @ Refused::NotFound) => (Code::NotFound, none.to_string(), None),
        Err(full @ Refused::Full(_)) => (Code::TooLarge, full.to_string(), None),
        Err(Refused::Unavailable(_)) => {
            (Code::Unavailable, "the action cannot be stored now: try again".to_owned(), Some(retry))
        }
    };
    refuse(id, code, &message, retry, out);
}

/// Answers what moderators did in a room.
pub(super) fn actions(
    id: Option<&RawValue>,
    room: &str,
    result: &Result<Actions, Unavailable>,
    retry: Duration,
    out: &mut Effects,
) {
    match result {
        Ok(Actions { records, before }) => {
            let actions = records.iter().map(Logged::from).collect();
            let more = before.is_some();
            out.push(Effect::Text(Reply::Actions { id, room, actions, more, before: *before }.text()));
        }
        Err(_) => refuse(id, Code::Unavailable, "the log of moderation cannot be read now", Some(retry), out),
    }
}

/// Tells what a moderator did.
pub(super) fn notice(news: &News, out: &mut Effects) {
    let seconds = match news.code {
        NewsCode::Slow(seconds) => Some(seconds),
        NewsCode::Muted | NewsCode::Kicked | NewsCode::Banned | NewsCode::Readonly => None,
    };
    let remaining = news.remaining.filter(|left| *left > 0);
    let notice =
        Reply::Notice { room: news.room.as_str(), code: news.code.name(), until: news.until, remaining, seconds };
    out.push(Effect::Text(notice.text()));
}

/// Answers a post that is not wanted.
pub(super) fn not_wanted(id: Option<&RawValue>, refusal: &Refusal, out: &mut Effects) {
    let (code, retry) = code_of(refusal);
    refuse(id, code, &refusal.to_string(), retry, out);
}

/// The code of a refusal, and when the next message may come.
pub(crate) fn code_of(refusal: &Refusal) -> (Code, Option<Duration>) {
    match refusal {
        Refusal::Muted { .. } => (Code::Muted, None),
        Refusal::Banned { .. } => (Code::Banned, None),
        Refusal::SlowMode { retry } => (Code::SlowMode, Some(*retry)),
        Refusal::ReadOnly { .. } => (Code::ReadOnly, None),
        Refusal::Refused(_) => (Code::Refused, None),
    }
}

fn refuse(id: Option<&RawValue>, code: Code, message: &str, retry: Option<Duration>, out: &mut Effects) {
    out.push(Effect::Refused(code.label()));
    out.push(Effect::Text(Reply::Error { id, code, message, retry: retry.map(Milliseconds::at_least) }.text()));
}
