//! Why Redis did not do what it was asked, told apart by what helps: another server, another try, or a person.
//!
//! Decides from the first word of a refusal. The caller decides whether to try again.

use crate::rooms::{Cause, Unavailable};

/// What a server's refusal begins with that lasts until somebody changes something there.
const DENIALS: [&str; 6] = ["OOM", "MISCONF", "NOREPLICAS", "NOPERM", "NOAUTH", "WRONGPASS"];

/// Why a command was not answered with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The slot lives elsewhere now.
    #[error("the slot moved: {0}")]
    Moved(String),
    /// The slot's keys have gone ahead to another server.
    #[error("the slot is moving: {0}")]
    Ask(String),
    /// Some of the keys have moved, some not: again in a moment.
    #[error("the slot is between two servers")]
    TryAgain,
    /// The server no longer knows the script.
    #[error("the script is not loaded")]
    NoScript,
    /// The server will not do this now: loading, cluster down, a replica.
    #[error("the server refuses: {0}")]
    Refused(#[source] Cause),
    /// The server refuses this to everyone: memory or disk is full, too few replicas, a missing right, a wrong
    /// password. Nothing was done.
    #[error("Redis refuses: {0}")]
    Denied(String),
    /// The partition has no epoch here: its data is gone, or has just moved.
    #[error("the partition has no data here")]
    Absent,
    /// The data is not for this release; trying again does not help.
    #[error("{0}")]
    Unfit(#[source] Cause),
    /// The connection is of no more use; what was sent may have been done.
    #[error("the connection ended: {0}")]
    Gone(#[source] Cause),
}

impl Fault {
    /// What an error of the client means.
    pub(super) fn of(error: &fred::error::Error) -> Self {
        let text = error.details();
        match text.split_whitespace().next().unwrap_or_default() {
            "MOVED" => Self::Moved(text.into()),
            "ASK" => Self::Ask(text.into()),
            "TRYAGAIN" => Self::TryAgain,
            "NOSCRIPT" => Self::NoScript,
            word if DENIALS.contains(&word) => Self::Denied(text.into()),
            // What a server says begins with a word in capitals; the client's own errors do not.
            word if word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()) => {
                Self::Refused(text.to_owned().into())
            }
            _ => Self::Gone(Cause::because("a command was not answered", error.clone())),
        }
    }
}

/// Makes a fault the reason why `action` failed.
pub(crate) fn failed_to(action: &'static str) -> impl Fn(Fault) -> Unavailable {
    move |fault| Unavailable(Cause::because(format!("failed to {action}"), fault))
}
