//! What keeps moderation for the whole ChatRoom: rows of what is in force, and a log of what was done.
//!
//! Two implementations with the same semantics: [`super::memory`] for one gateway, [`super::redis`] for a fleet. Called by
//! [`super::Moderation`] alone.

use futures::future::BoxFuture;

use super::{
    action::Act,
    record::Record,
    rules::{Change, Kind},
};
use crate::rooms::Unavailable;

/// Actions that the log keeps: the newest ones.
pub const LOG: usize = 10_000;
/// Actions that one read of the log gives at most.
pub const PAGE: u32 = 100;
/// Ended rows that one action removes at most: some milliseconds of Redis.
pub(super) const SWEPT: usize = 200;

/// A future of the store.
pub(super) type Task<'a, T> = BoxFuture<'a, T>;

/// Why an action was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// So many are in force that nothing may be forgotten for another.
    #[error("too many {} are restricted: at most {}", .0.name(), .0.bound())]
    Full(Kind),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Everything that is in force.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Of the newest action.
    pub(super) number: u64,
    /// The server's time, in milliseconds since the Unix epoch.
    pub(super) time: u64,
    pub(super) rows: Vec<Record>,
    /// What was done after the number that was asked for, as far as the log reaches.
    pub(super) since: Vec<Record>,
}

/// What the rules need of a store.
pub trait Store: Send + Sync + 'static {
    /// Carries an action out, once two copies hold it: all of `changes` and its place in the log, or nothing.
    fn act<'a>(&'a self, act: &'a Act, changes: &'a [Change]) -> Task<'a, Result<Record, ActError>>;

    /// Everything that is in force, and what was done after `number`.
    fn read(&self, number: u64) -> Task<'_, Result<Snapshot, Unavailable>>;

    /// Waits up to a second for what is done after `number`; in order. Cancel-safe.
    fn follow(&self, number: u64) -> Task<'_, Result<Vec<Record>, Unavailable>>;

    /// The newest `limit` actions below `before` (exclusive; None: the newest), newest first.
    fn log(&self, before: Option<u64>, limit: u32) -> Task<'_, Result<Vec<Record>, Unavailable>>;
}
