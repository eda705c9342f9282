//! A message of the blocks dialect on its way: the frames that others and its sender are shown of it, and what keeps it.
//!
//! Decides the id of a message to a block, which follows from its place in the room. Never sends or asks anything; the
//! dialect does ([`blocks`]).
//!
//! [`blocks`]: super::blocks

use std::sync::Arc;

use super::frame::with_id;
use crate::{
    directory::{
        self,
        people::{Query, StoredAt, To, message_id::in_block},
    },
    fanout::session::{IfGone, Posted},
    rooms::Position,
};

/// A message on its way.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) from: u64,
    /// The sender's own number of it.
    pub(super) temp: Option<Arc<str>>,
    pub(super) to: To,
    /// The frame as it came in.
    pub(super) text: String,
}

impl Outgoing {
    /// The frame with the id that the server gave it.
    pub(super) fn frame(&self, kind: &str, id: u64) -> String {
        // It was read as an object when it came in.
        with_id(&self.text, kind, id).unwrap_or_default()
    }

    /// The id of a message to a block that is in its room, and what keeps it.
    pub(super) fn keep_at(&self, place: StoredAt) -> Option<(u64, Query)> {
        let To::Block(block) = self.to else { return None };
        Some(self.kept_in(block, place))
    }

    fn kept_in(&self, block: u64, place: StoredAt) -> (u64, Query) {
        let id = in_block(block, place.time, place.position.seq);
        let (from, temp, frame) = (self.from, self.temp.clone(), self.frame("MESSAGE", id).into());
        (id, Query::KeepPosted { from, temp, id, block, place, frame })
    }

    /// Keeps a message to a block whose sender is gone when it is in its room: others were shown it.
    pub(super) fn if_gone(&self, block: u64) -> IfGone {
        let outgoing = self.clone();
        IfGone::new(move |posted| directory::Query::People(outgoing.kept_in(block, place_of(&posted)).1))
    }
}

/// Where a post is in its room.
pub(super) fn place_of(&Posted { seq, epoch, time, .. }: &Posted) -> StoredAt {
    StoredAt { position: Position { epoch, seq }, time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::Epoch;

    #[test]
    fn a_message_to_a_block_whose_sender_is_gone_is_kept_as_the_sender_would_have_kept_it() {
        let text = r#"{"type":"MESSAGE","from_user_id":2,"to_block_id":5,"message":"hi"}"#.to_owned();
        let outgoing = Outgoing { from: 2, temp: Some("t1".into()), to: To::Block(5), text };
        let posted = Posted { seq: 7, epoch: Epoch(3), time: 1_700_000_000_000, duplicate: false };
        let (_, kept) = outgoing.keep_at(place_of(&posted)).unwrap();
        assert_eq!(outgoing.if_gone(5).query(posted), directory::Query::People(kept));
    }
}
