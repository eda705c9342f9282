//! Questions to the directory: passed on, and answered to the connection that asked.
//!
//! Decides nothing. A connection has one question at a time, so there are at most as many under way as connections.

use super::super::call::{BusAccess, BusCall, Failure, RETRY, within};
use crate::{
    directory::{Query, Reply},
    fanout::{messages::ConnectionId, session::Answer},
    rooms::Unavailable,
};

/// A question of a connection.
pub(crate) struct DirectoryCall {
    pub(crate) from: ConnectionId,
    pub(crate) query: Query,
}

/// What the directory said.
pub(crate) struct DirectoryDone {
    from: ConnectionId,
    result: Result<Reply, Unavailable>,
}

impl DirectoryDone {
    /// Who is answered what.
    pub(crate) fn answer(self) -> (ConnectionId, Answer) {
        (self.from, self.result.map_or(Answer::Unavailable { retry: RETRY }, Answer::Directory))
    }
}

impl BusCall for DirectoryCall {
    type Done = DirectoryDone;

    async fn run(self, BusAccess { directory, .. }: &BusAccess) -> DirectoryDone {
        DirectoryDone { from: self.from, result: within(directory.ask(self.query)).await }
    }
}

impl Failure for DirectoryDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        Some(("failed to ask the directory", self.result.as_ref().err()?))
    }
}
