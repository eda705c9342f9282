//! People with numbers and what is kept for them until they confirm it: the questions and answers. What they tell the
//! directory of themselves (contacts, blocks, conversations) is [`social`].

pub(super) mod memory;
pub mod message_id;
pub mod redis;
mod silent;
pub mod social;

use std::{sync::Arc, time::Duration};

use crate::{
    deadlines::DEDUPE,
    rooms::{Origin, Position, RoomName},
};

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
/// How long a message is known by its sender's own number: as long as the bus may know it by its key. A client that
/// sends it again later sends another one, both in the room and for those who are away.
pub const RECENT: Duration = Duration::from_millis(2 * DEDUPE.as_millis() as u64);
/// People who learn at once of a message that was kept after they had been given what was kept for them; others are
/// given it when they next enter.
pub const LATE: usize = 100;
/// People who are known at once. Beyond it who was not heard of for longest is forgotten; nobody new is known while all are here.
pub const PEOPLE: usize = 100_000;
/// By how much longer, in milliseconds, people and blocks count as silent that somebody only made: people who never came by a
/// connection, and blocks in which nobody spoke and which nobody joined. A flood of them pushes out itself.
pub const ONLY_MADE: u64 = 30 * 24 * 60 * 60 * 1000;
/// Connections that share an account with the one that has it; beyond it the oldest loses it. Each is one person's tab.
pub const SHARED: usize = 8;

/// With whom one talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum To {
    Person(u64),
    /// Everyone in a block but the sender.
    Block(u64),
}

/// Where and when the bus has put a message into a block's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAt {
    pub position: Position,
    /// In milliseconds since the Unix epoch.
    pub time: u64,
}

/// What a connection or an endpoint asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The person of that name, made if there is none: in the first block, and a contact of [`HOST`]. Brings the first
    /// block to the top of their conversations.
    Login { name: Arc<str> },
    /// The person is here. This connection alone reads what is theirs from now on; the one before may still send, as two tabs
    /// of one person do. Answered with their name, empty for one without.
    Init { user: u64, name: Option<Arc<str>>, holder: Origin },
    /// The connection is gone; noted, not awaited.
    Release { user: u64, holder: Origin },
    /// The numbers of the blocks that a person is in; [`Reply::Foreign`] where another live connection has the account.
    Blocks { user: u64, holder: Origin },
    /// What is kept for a person, oldest first; `take` also forgets it. `read` are blocks whose rooms the person's
    /// connection reads, and what it read them after: what was posted to them later comes by itself, and is left out.
    Queue { user: u64, take: bool, read: Vec<(u64, Position)> },
    /// Whether a message may be sent, and what of it is known: the id that it got before, if it was sent; else one that is
    /// higher than those before it, if it goes to a person.
    Check { from: u64, holder: Origin, temp: Option<Arc<str>>, to: To },
    /// Keeps a message to a person, and its sender's number for it, and brings the conversation to the top for both
    /// sides. Comes before the message is shown. A number that nobody has used becomes a person without a name.
    Keep { from: u64, temp: Option<Arc<str>>, id: u64, to: u64, frame: Arc<str> },
    /// The same for a message to a block that is in its room already, where its id comes from: kept for everyone in the
    /// block but the sender and those who have confirmed it meanwhile. Not awaited when the sender is gone;
    /// does nothing when it was kept by the same number of its sender.
    KeepPosted { from: u64, temp: Option<Arc<str>>, id: u64, block: u64, place: StoredAt, frame: Arc<str> },
    /// The person has the message; noted, not awaited. A message to a block may be kept only after that. It counts also where
    /// another connection has the account by now: it may have been on its way when that one came. Sessions that have lost their
    /// account send none.
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
        /// Another live connection had the account until now.
        taken: bool,
    },
    Blocks(Vec<u64>),
    Queued(Vec<Arc<str>>),
    /// None: it goes to a block, and gets its id with its place in the room.
    Fresh {
        id: Option<u64>,
    },
    Duplicate {
        id: u64,
    },
    /// It is kept. These are here and read the block from after it on, but were given what is kept for them before it was
    /// among that: at most [`LATE`].
    Kept {
        late: Vec<u64>,
    },
    /// Another live connection has the account, and does not share it with this one.
    Foreign,
    /// Too many people.
    Full,
}

/// The room through which a person receives what concerns only them.
pub fn inbox(user: u64) -> RoomName {
    RoomName::private("people", user)
}

/// Whether a person or a block may have this name: 1 to [`NAME`] bytes without control characters.
pub fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
