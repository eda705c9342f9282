//! Accounts that are matched in pairs: the questions and answers.

pub(super) mod memory;
pub mod redis;

use std::{sync::Arc, time::Duration};

use crate::rooms::{Origin, Position, RoomName};

/// First id of an account, a session or a message; they count on together, so each is unique in the ChatRoom.
pub const FIRST_ID: u64 = 10;
/// Sessions that one account may have in use at once; a further match finds nobody.
pub const SESSIONS_PER_ACCOUNT: usize = 1000;
/// Accounts that are kept at once. Beyond it the one goes that has been out of use for longest; none is made while all are in use.
pub const ACCOUNTS: usize = 100_000;
/// Sessions that are kept at once. Beyond it the one goes that ended first; nobody is matched while all are in use.
pub const SESSIONS: usize = 1_000_000;
/// How long what has ended is known: an account for its return, a session for a late word in it.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a connection asks about the accounts that it holds. A connection that is not the holder gets [`Reply::NotHeld`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A new account, which nobody is matched with before [`Query::Enter`]. It keeps its sessions for `grace`
    /// after its connection is gone.
    Create { nick: Arc<str>, token: Arc<str>, holder: Origin, grace: Duration },
    /// The account may be matched from now on; asked again it changes nothing.
    Enter { account: u64, holder: Origin },
    /// A session with someone at random, among all that may be matched.
    Match { account: u64, holder: Origin },
    /// Who is at the other end of a session; `message` also takes a number for the next message.
    Partner { account: u64, holder: Origin, session: u64, message: bool },
    /// Takes an account over, from whichever connection has or had it.
    Reconnect { account: u64, token: Arc<str>, holder: Origin, grace: Duration },
    /// The person is there; noted, not awaited.
    Seen { account: u64, holder: Origin },
    /// Up to where the person has got their inbox, as their connection ends; noted, not awaited. Comes before the release.
    Read { account: u64, holder: Origin, read: Position },
    /// The connection is gone: the grace begins.
    Release { account: u64, holder: Origin },
    /// Ends a session of which the other end never heard.
    End { account: u64, holder: Origin, session: u64 },
}

/// What a query found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Created {
        account: u64,
    },
    Done,
    Matched {
        session: u64,
        partner: u64,
        nick: Arc<str>,
    },
    Partner {
        partner: u64,
        message: u64,
        live: bool,
    },
    /// `seen`: the last sign of life of the connection before, in milliseconds of the directory's clock. `read`: up to where
    /// it got the inbox, if it could tell.
    Back {
        nick: Arc<str>,
        seen: u64,
        read: Option<Position>,
    },
    /// No such account or session, nobody to match with, or too many.
    NotFound,
    NotHeld,
}

/// A notice for someone that the other end of a session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exit {
    pub session: u64,
    /// Who left.
    pub account: u64,
    /// The receiver of the notice.
    pub partner: u64,
}

/// The room that carries the news for the holder of an account.
pub fn inbox(account: u64) -> RoomName {
    RoomName::private("pairs", account)
}
