//! Questions about people as words for their script, and its answers.

use fred::types::Value;

use super::{
    super::directory::people::{Query, Reply, To},
    accounts::LEASE,
    node::{exact, number},
    pair::holder,
};

/// The operation and its arguments.
pub(super) fn words(query: Query) -> Vec<String> {
    let word = |word: &str| word.to_owned();
    let optional = |text: Option<std::sync::Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    match query {
        Query::Login { name } => vec![word("login"), word(&name)],
        Query::Init { user, name, holder: by } => {
            vec![word("init"), user.to_string(), optional(name), holder(by), LEASE.to_string()]
        }
        Query::Release { user, holder: by } => vec![word("release"), user.to_string(), holder(by)],
        Query::Blocks { user } => vec![word("blocks"), user.to_string()],
        Query::Queue { user, take } => vec![word("queue"), user.to_string(), u8::from(take).to_string()],
        Query::Check { from, holder: by, temp } => vec![word("check"), from.to_string(), holder(by), optional(temp)],
        Query::Keep { from, temp, id, to, frame } => {
            let (kind, to) = match to {
                To::Person(user) => ("person", user),
                To::Block(block) => ("block", block),
            };
            let (from, id, to) = (from.to_string(), id.to_string(), to.to_string());
            vec![word("keep"), from, optional(temp), id, word(kind), to, word(&frame)]
        }
        Query::Confirm { user, id } => vec![word("confirm"), user.to_string(), id.to_string()],
        Query::Mention { names, frame } => {
            [word("mention"), word(&frame)].into_iter().chain(names.iter().map(|name| word(name))).collect()
        }
    }
}

/// Reads an answer of the script.
pub fn reply(values: &[Value]) -> Option<Reply> {
    let at = |index: usize| values.get(index).and_then(number);
    let text = |value: &Value| Some(value.as_str()?.as_ref().into());
    let word = values.first()?.as_str()?;
    Some(match word.as_ref() {
        "DONE" => Reply::Done,
        "USER" => Reply::User { id: values.get(1).and_then(exact)?, name: text(values.get(2)?)? },
        "BLOCKS" => Reply::Blocks(values[1..].iter().filter_map(exact).collect()),
        "QUEUED" => Reply::Queued(values[1..].iter().filter_map(text).collect()),
        "FRESH" => Reply::Fresh { id: at(1)? },
        "DUPLICATE" => Reply::Duplicate { id: at(1)? },
        "FOREIGN" => Reply::Foreign,
        "FULL" => Reply::Full,
        _ => return None,
    })
}
