//! The commands that every request to a partition's primary is made of.

use super::connection::{Command, Fault};

/// How long one WAIT waits, in milliseconds: long enough for a busy replica, short enough to look around meanwhile.
const WAIT_MS: u32 = 500;

pub(crate) fn wait() -> Command {
    Command::new("WAIT").arg(1_u32).arg(WAIT_MS)
}

pub(crate) fn asking(asking: bool, command: Command) -> Vec<Command> {
    if asking { vec![Command::new("ASKING"), command] } else { vec![command] }
}

pub(crate) fn last(mut answers: Vec<Result<fred::types::Value, Fault>>) -> Result<fred::types::Value, Fault> {
    answers.pop().unwrap_or_else(|| Err(Fault::Gone("no answer".into())))
}
