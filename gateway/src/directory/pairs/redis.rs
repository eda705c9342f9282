//! Questions about accounts in pairs as words for their script, and its answers.

use fred::types::Value;

use super::{Exit, Query, Reply};
use crate::{
    redis::connection::{exact, number},
    rooms::{Epoch, Origin, Position},
};

/// A connection as the scripts name one; begins with its gateway.
pub(in crate::directory) fn holder(Origin { gateway, connection }: Origin) -> String {
    format!("{gateway:x}:{connection:x}")
}

/// The operation and its arguments.
pub(in crate::directory) fn words(query: Query) -> Vec<String> {
    use Query::{Create, End, Enter, Match, Partner, Read, Reconnect, Release, Seen};
    let held = |operation: &str, account: u64, origin| vec![operation.to_owned(), account.to_string(), holder(origin)];
    let with = |mut words: Vec<String>, more: String| {
        words.push(more);
        words
    };
    match query {
        Create { nick, token, holder: origin, grace } => {
            vec![
                "create".into(),
                nick.as_ref().into(),
                token.as_ref().into(),
                holder(origin),
                grace.as_millis().to_string(),
            ]
        }
        Reconnect { account, token, holder: origin, grace } => {
            vec![
                "reconnect".into(),
                account.to_string(),
                token.as_ref().into(),
                holder(origin),
                grace.as_millis().to_string(),
            ]
        }
        Enter { account, holder } => held("enter", account, holder),
        Match { account, holder } => held("match", account, holder),
        Partner { account, holder, session, message } => {
            with(with(held("partner", account, holder), session.to_string()), u8::from(message).to_string())
        }
        Seen { account, holder } => held("seen", account, holder),
        Read { account, holder, read } => with(held("read", account, holder), position(read)),
        Release { account, holder } => held("release", account, holder),
        End { account, holder, session } => with(held("end", account, holder), session.to_string()),
    }
}

/// Reads an answer of the script.
pub fn reply(values: &[Value]) -> Option<Reply> {
    use Reply::{Back, Created, Done, Matched, NotFound, NotHeld, Partner};
    let id = |index: usize| values.get(index).and_then(exact);
    let text = |index: usize| values.get(index)?.as_str().map(|text| text.as_ref().into());
    let word = values.first()?.as_str()?;
    Some(match word.as_ref() {
        "CREATED" => Created { account: id(1)? },
        "DONE" => Done,
        "MATCHED" => Matched { session: id(1)?, partner: id(2)?, nick: text(3)? },
        "PARTNER" => Partner { partner: id(1)?, message: id(2)?, live: id(3)? == 1 },
        "BACK" => Back { nick: text(1)?, seen: values.get(2).and_then(number)?, read: values.get(3).and_then(read) },
        "NOT_FOUND" => NotFound,
        "NOT_HELD" => NotHeld,
        _ => return None,
    })
}

/// How far an inbox was read, as it is stored.
pub(in crate::directory) fn position(Position { epoch, seq }: Position) -> String {
    format!("{}:{seq}", epoch.0)
}

fn read(value: &Value) -> Option<Position> {
    let text = value.as_str()?;
    let (epoch, seq) = text.split_once(':')?;
    Some(Position { epoch: Epoch(epoch.parse().ok()?), seq: seq.parse().ok()? })
}

/// Reads one of the exits that a tick answers: `session:account:partner`.
pub fn exit(value: &Value) -> Option<Exit> {
    let text = value.as_str()?;
    let mut ids = text.split(':').map(str::parse);
    let mut next = || ids.next()?.ok();
    Some(Exit { session: next()?, account: next()?, partner: next()? })
}
