//! What every audited message says of itself, in its text: so that any reader of any protocol can tell it.

use std::{fmt, str::FromStr};

/// The `n`-th message of one sender, and when it was meant to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    pub sender: u32,
    /// 1, 2, 3, … per sender.
    pub n: u32,
    /// Microseconds from the start of the run; late sending counts as latency.
    pub due: u64,
}

/// Text that is not of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an audited message")]
pub struct Foreign;

impl Tag {
    /// The text, filled up to about `bytes`.
    pub fn text(&self, run: &str, bytes: usize) -> String {
        let mut text = format!("{run} {self} ");
        while text.len() < bytes {
            text.push('.');
        }
        text
    }

    /// Reads a text of this run.
    pub fn read(run: &str, text: &str) -> Result<Self, Foreign> {
        let rest = text.strip_prefix(run).and_then(|rest| rest.strip_prefix(' ')).ok_or(Foreign)?;
        rest.split(' ').next().ok_or(Foreign)?.parse()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.sender, self.n, self.due)
    }
}

impl FromStr for Tag {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let mut parts = text.split('/').map(|part| part.parse::<u64>().map_err(|_| Foreign));
        let mut part = || parts.next().unwrap_or(Err(Foreign));
        let narrow = |n: u64| u32::try_from(n).map_err(|_| Foreign);
        Ok(Self { sender: narrow(part()?)?, n: narrow(part()?)?, due: part()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_whatever_its_length() {
        let tag = Tag { sender: 7, n: 12, due: 3_000_000 };
        for bytes in [0, 10, 100, 1000] {
            let text = tag.text("run-1", bytes);
            assert_eq!(Tag::read("run-1", &text), Ok(tag));
            assert!(text.len() >= bytes);
        }
    }

    #[test]
    fn what_others_write_is_foreign() {
        for text in ["", "hello", "run-1", "run-1 ", "run-1 1/2", "run-1 a/b/c ", "run-2 1/2/3 ", "run-11/2/3 "] {
            assert_eq!(Tag::read("run-1", text), Err(Foreign), "{text}");
        }
    }
}
