//! People with numbers and what is kept for them until they confirm it: the questions and answers. What they tell the
//! directory of themselves (contacts, blocks, conversations) is [`super::social`].

use std::sync::Arc;

use crate::rooms::{Origin, RoomName};

/// The person whom everyone knows and whose block everyone is in. No person logs in as this one: were the first who
/// comes to get the number, a stranger would be everyone's contact and seem to be the one who welcomes them.
pub const HOST: u64 = 1;
/// The name of [`HOST`].
pub const HOST_NAME: &str = "Parlor";
/// Longest name of a person or a block, in bytes.
pub const NAME: usize = 255;
/// Largest number of a person or a block: what every client reads exactly.
pub const MOST: u64 = (1 << 53) - 1;
/// Messages kept for one person; the oldest go first.
pub const QUEUE: usize = 1000;
/// How long a message is known by its sender's own number, in milliseconds.
pub const RECENT: u64 = 10 * 60 * 1000;
/// People who are known at once; beyond it nobody new is.
pub const PEOPLE: usize = 100_000;

/// With whom one talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum To {
    Person(u64),
    /// Everyone in a block but the sender.
    Block(u64),
}

/// What a connection or an endpoint asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The person of that name, made if there is none: in the first block, and a contact of [`HOST`]. Brings the first
    /// block to the top of their conversations.
    Login { name: Arc<str> },
    /// The person is here, on this connection and no other; answered with their name, empty for one without.
    Init { user: u64, name: Option<Arc<str>>, holder: Origin },
    /// The connection is gone; noted, not awaited.
    Release { user: u64, holder: Origin },
    /// The numbers of the blocks that a person is in.
    Blocks { user: u64 },
    /// What is kept for a person, oldest first; `take` also forgets it.
    Queue { user: u64, take: bool },
    /// Whether a message may be sent, and its id: the one that it got before, if it was; else thousandths of a
    /// millisecond since the Unix epoch, or one more than the last.
    Check { from: u64, holder: Origin, temp: Option<Arc<str>> },
    /// Keeps a message for all that it goes to, and its sender's number for it, and brings the conversation to the top
    /// for both sides.
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

/// Whether a person or a block may have this name: 1 to [`NAME`] bytes without control characters.
pub fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
