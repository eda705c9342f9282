//! Questions about people as words for their script, and its answers.

use fred::types::Value;

use super::{LATE, Query, Reply, StoredAt, To};
use crate::{
    deadlines::ACCOUNT_LEASE,
    directory::pairs::redis::holder,
    redis::connection::{exact, number},
    rooms::Position,
};

/// The operation and its arguments.
pub(in crate::directory) fn words(query: Query) -> Vec<String> {
    let word = |word: &str| word.to_owned();
    let optional = |text: Option<std::sync::Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    match query {
        Query::Login { name } => vec![word("login"), word(&name)],
        Query::Init { user, name, holder: by } => {
            vec![word("init"), user.to_string(), optional(name), holder(by), ACCOUNT_LEASE.as_millis().to_string()]
        }
        Query::Release { user, holder: by } => vec![word("release"), user.to_string(), holder(by)],
        Query::Blocks { user, holder: by } => vec![word("blocks"), user.to_string(), holder(by)],
        Query::Queue { user, take, read } => {
            let words = [word("queue"), user.to_string(), u8::from(take).to_string()];
            let after =
                |(block, Position { epoch, seq }): (u64, Position)| [block, epoch.0, seq].map(|n| n.to_string());
            words.into_iter().chain(read.into_iter().flat_map(after)).collect()
        }
        Query::Check { from, holder: by, temp, to } => {
            let kind = match to {
                To::Person(_) => "person",
                To::Block(_) => "block",
            };
            vec![word("check"), from.to_string(), holder(by), optional(temp), word(kind)]
        }
        Query::Keep { from, temp, id, to, frame } => {
            vec![word("keep"), from.to_string(), optional(temp), id.to_string(), to.to_string(), word(&frame)]
        }
        Query::KeepPosted {
            from,
            temp,
            id,
            block,
            place: StoredAt { position: Position { epoch, seq }, time },
            frame,
        } => {
            let [from, id, block, epoch, seq, time] = [from, id, block, epoch.0, seq, time].map(|n| n.to_string());
            vec![word("keep_posted"), from, optional(temp), id, block, epoch, seq, time, word(&frame)]
        }
        Query::Confirm { user, id } => vec![word("confirm"), user.to_string(), id.to_string()],
        Query::Mention { names, frame } => {
            [word("mention"), word(&frame)].into_iter().chain(names.iter().map(|name| word(name))).collect()
        }
    }
}

/// Whether a message to a block is not kept for all yet: then the same call continues.
pub(in crate::directory) fn is_unfinished(values: &[Value]) -> bool {
    values.first().and_then(Value::as_str).as_deref() == Some("KEEPING")
}

/// Reads an answer of the script, or of several calls that continued it.
pub fn reply(values: &[Value]) -> Option<Reply> {
    let at = |index: usize| values.get(index).and_then(number);
    let text = |value: &Value| Some(value.as_str()?.as_ref().into());
    let word = values.first()?.as_str()?;
    Some(match word.as_ref() {
        "DONE" => Reply::Done,
        "USER" => {
            let (id, name) = (values.get(1).and_then(exact)?, text(values.get(2)?)?);
            Reply::User { id, name, taken: values.get(3).is_some() }
        }
        "BLOCKS" => Reply::Blocks(values[1..].iter().filter_map(exact).collect()),
        "QUEUED" => Reply::Queued(values[1..].iter().filter_map(text).collect()),
        "FRESH" => Reply::Fresh { id: at(1) },
        "DUPLICATE" => Reply::Duplicate { id: at(1)? },
        "KEPT" => Reply::Kept { late: values[1..].iter().filter_map(number).take(LATE).collect() },
        "FOREIGN" => Reply::Foreign,
        "FULL" => Reply::Full,
        _ => return None,
    })
}
