//! People with numbers, the blocks they are in, and what is kept for them until they confirm it: the questions and
//! answers.

use std::sync::Arc;

use crate::rooms::{Origin, RoomName};

/// The block that everyone is in.
pub const EVERYONE: u64 = 1;
/// Messages kept for one person; the oldest go first.
pub const QUEUE: usize = 1000;
/// How long a message is known by its sender's own number, in milliseconds.
pub const RECENT: u64 = 10 * 60 * 1000;
/// People who are known at once; beyond it nobody new is.
pub const PEOPLE: usize = 100_000;

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Person(u64),
    /// Everyone in a block but the sender.
    Block(u64),
}

/// What a connection or an endpoint asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The person of that name, made if there is none.
    Login { name: Arc<str> },
    /// The person is here, on this connection and no other.
    Init { user: u64, name: Option<Arc<str>>, holder: Origin },
    /// The connection is gone; noted, not awaited.
    Release { user: u64, holder: Origin },
    /// What is kept for a person, oldest first; `take` also forgets it.
    Queue { user: u64, take: bool },
    /// Whether a message may be sent, and its id: the one that it got before, if it was; else thousandths of a
    /// millisecond since the Unix epoch, or one more than the last.
    Check { from: u64, holder: Origin, temp: Option<Arc<str>> },
    /// Keeps a message for all that it goes to, and its sender's number for it.
    Keep { from: u64, temp: Option<Arc<str>>, id: u64, to: To, frame: Arc<str> },
    /// The person has the message; noted, not awaited.
    Confirm { user: u64, id: u64 },
    /// Keeps a message for those of the named that are not here; noted, not awaited.
    Mention { names: Vec<Arc<str>>, frame: Arc<str> },
}

/// What a query found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    User {
        id: u64,
        name: Arc<str>,
    },
    Blocks(Vec<u64>),
    Queued(Vec<Arc<str>>),
    Fresh {
        id: u64,
    },
    Duplicate {
        id: u64,
    },
    /// Another live connection has the account.
    Foreign,
    /// Too many people.
    Full,
}

/// The room from which a person is told what concerns only them.
pub fn inbox(user: u64) -> RoomName {
    RoomName::private("people", user)
}
