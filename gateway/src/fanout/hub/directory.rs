//! Questions to the directory: passed on, and answered to the connection that asked.
//!
//! Decides nothing. A connection has one question at a time, so there are at most as many under way as connections.

use std::sync::Arc;

use super::{
    actor::{Actor, Done},
    joins::RETRY,
    tail::within,
};
use crate::{
    directory::{Query, Reply},
    fanout::{link::ConnectionId, session::Answer},
    rooms::Unavailable,
};

impl Actor {
    pub(super) fn ask_directory(&mut self, from: ConnectionId, query: Query) {
        let directory = Arc::clone(&self.directory);
        self.work.push(Box::pin(async move {
            let result = within(directory.ask(query)).await;
            Done::Directory { from, result }
        }));
    }

    pub(super) fn directory_answered(&mut self, from: ConnectionId, result: Result<Reply, Unavailable>) {
        let answer = match result {
            Ok(reply) => Answer::Directory(reply),
            Err(away) => {
                tracing::debug!(%away, "the directory is not to be had");
                Answer::Unavailable { retry: RETRY }
            }
        };
        self.delivery.answer(from, answer);
    }
}
