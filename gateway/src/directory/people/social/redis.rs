//! Questions about contacts, blocks and conversations as words for their script, and its answers.

use std::sync::Arc;

use fred::types::Value;

use super::{Block, FOUND, Person, Query, Reply, newest_first};
use crate::{
    directory::{people::To, redis::RedisDirectory, scripts::SOCIAL},
    redis::connection::{Fault, exact, number},
};

impl RedisDirectory {
    pub(in crate::directory) async fn ask_social(&self, query: Query) -> Result<Reply, Fault> {
        let one = |word: &str, id: u64| vec![word.to_owned(), id.to_string()];
        let two = |word: &str, id: u64, other: u64| vec![word.to_owned(), id.to_string(), other.to_string()];
        let words = match query {
            Query::FindPeople { text } => return Ok(Reply::People(self.find("people", &text, person).await?)),
            Query::FindBlocks { text } => return Ok(Reply::Blocks(self.find("blocks", &text, block).await?)),
            Query::Person { user } => one("person", user),
            Query::Block { block } => one("block", block),
            Query::Contacts { user } => one("contacts", user),
            Query::Blocks { user } => one("memberships", user),
            Query::Conversations { user } => one("conversations", user),
            Query::Befriend { user, contact } => two("befriend", user, contact),
            Query::Join { user, block } => two("join", user, block),
            Query::Create { owner, name } => vec!["create".into(), owner.to_string(), name.as_ref().into()],
        };
        let values = self.run(&SOCIAL, &words).await?;
        reply(&values).ok_or_else(|| nonsense(&values))
    }

    /// Looks through all names, a page at a time; it ends because there is a bound on how many there are.
    async fn find<const N: usize, T: Ord>(
        &self,
        kind: &str,
        text: &str,
        row: fn(&[Value; N]) -> Option<T>,
    ) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let values = self.run(&SOCIAL, &["find".into(), kind.into(), text.into(), from.to_string()]).await?;
            let page = values.get(1).and_then(number).zip(rows(values.get(2..).unwrap_or_default(), row));
            let (next, page) = page.ok_or_else(|| nonsense(&values))?;
            found.extend(page);
            // While names come a scan may show one twice.
            found.sort_unstable();
            found.dedup();
            if next == 0 || found.len() >= FOUND {
                found.truncate(FOUND);
                return Ok(found);
            }
            from = next;
        }
    }
}

/// Reads an answer of the script.
pub fn reply(values: &[Value]) -> Option<Reply> {
    let (word, rest) = values.split_first()?;
    Some(match word.as_str()?.as_ref() {
        "DONE" => Reply::Done,
        "UNKNOWN" => Reply::Unknown,
        "FULL" => Reply::Full,
        "PEOPLE" => Reply::People(sorted(rows(rest, person)?)),
        "BLOCKS" => Reply::Blocks(sorted(rows(rest, block)?)),
        "CONVERSATIONS" => Reply::Conversations(newest_first(rows(rest, talk)?)),
        "CREATED" => Reply::Created(block(rest.first_chunk()?)?),
        _ => return None,
    })
}

fn rows<const N: usize, T>(values: &[Value], row: fn(&[Value; N]) -> Option<T>) -> Option<Vec<T>> {
    let (rows, rest) = values.as_chunks();
    rest.is_empty().then(|| rows.iter().map(row).collect())?
}

/// The script's order is that of the numbers as text.
fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort_unstable();
    rows
}

fn person([id, name]: &[Value; 2]) -> Option<Person> {
    Some(Person { id: exact(id)?, name: text(name)? })
}

fn block([id, name, owner]: &[Value; 3]) -> Option<Block> {
    Some(Block { id: exact(id)?, name: text(name)?, owner: exact(owner)? })
}

fn talk([with, at]: &[Value; 2]) -> Option<(To, u64)> {
    let with = with.as_str()?;
    let to = match with.split_at_checked(1)? {
        ("c", id) => To::Person(id.parse().ok()?),
        ("b", id) => To::Block(id.parse().ok()?),
        _ => return None,
    };
    Some((to, number(at)?))
}

fn text(value: &Value) -> Option<Arc<str>> {
    Some(value.as_str()?.as_ref().into())
}

fn nonsense(values: &[Value]) -> Fault {
    Fault::Refused(format!("the directory answered {values:?}").into())
}
