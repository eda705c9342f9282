//! The directory: what protocols with accounts know about people, beside the rooms. One decision at a time, made for
//! the whole ChatRoom at once.
//!
//! Decides who holds an account, who talks with whom, and what is kept for whom. Never delivers: what a person is to
//! see goes into a private room, their inbox, like any other message. Two implementations with the same semantics:
//! [`memory`] for one gateway, [`redis`] for a fleet. Each family keeps its script, its in-memory twin, its queries and
//! their tests in one folder. Asked by sessions, by way of the hub, and by endpoints; kept by [`keeper`].

pub mod keeper;
pub mod memory;
pub mod pairs;
pub mod people;
pub mod redis;
mod scripts;

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use self::people::social;
use crate::rooms::Unavailable;

/// A future of the directory.
pub type Task<'a, T> = BoxFuture<'a, T>;

/// A question that changes what it asks about; pure data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Pairs(pairs::Query),
    People(people::Query),
    Social(social::Query),
}

/// The answer of the same family as the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Pairs(pairs::Reply),
    People(people::Reply),
    Social(social::Reply),
}

/// What sessions, endpoints and the keeper need of a directory.
pub trait Directory: Send + Sync + 'static {
    /// Answers one question, atomically.
    fn ask(&self, query: Query) -> Task<'_, Result<Reply, Unavailable>>;

    /// Notes what is not awaited and happened at `at`, in no order with anything else. Kept while the directory is unavailable,
    /// the latest for each account.
    fn tell(&self, query: Query, at: Instant);

    /// Waits until a change has come that should not wait for the next tick.
    fn hurry(&self) -> Task<'_, ()>;

    /// Carries out the changes that have come, renews this gateway's hold on its accounts, lets graces run out, and forgets what is
    /// old; called once per second. Answers the notices that the keeper has to post, the same ones again until [`Directory::announced`].
    fn tick(&self) -> Task<'_, Result<Vec<pairs::Exit>, Unavailable>>;

    /// The keeper has posted these notices.
    fn announced<'a>(&'a self, exits: &'a [pairs::Exit]) -> Task<'a, Result<(), Unavailable>>;

    /// Writes what is still queued; waits at most `limit`.
    fn close(&self, limit: Duration) -> Task<'_, ()>;
}
