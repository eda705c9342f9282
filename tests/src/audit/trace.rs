//! What happened in a run, as plain data: what was acknowledged, and what every member was shown, in order.

use std::collections::HashMap;

use super::tag::Tag;

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub rooms: Vec<RoomTrace>,
}

/// One room.
#[derive(Clone, Debug, Default)]
pub struct RoomTrace {
    pub room: String,
    /// The posts that were acknowledged, with the seq in the answer.
    pub acknowledged: HashMap<Key, u64>,
    /// The messages that their senders tried to delete, with the seq of the acknowledged deletion.
    pub deletions: HashMap<Key, Option<u64>>,
    /// Every post that was tried, by sender: 1 to this number.
    pub tried: HashMap<u32, u32>,
    pub members: Vec<MemberTrace>,
}

/// Names a message of the run.
pub type Key = (u32, u32);

impl Tag {
    /// Which message it is.
    pub fn key(&self) -> Key {
        (self.sender, self.n)
    }
}

/// What one member was shown.
#[derive(Clone, Debug)]
pub struct MemberTrace {
    pub member: String,
    pub promise: Promise,
    pub events: Vec<Event>,
}

/// What a member may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Everything from its first join to the end of the run: it resumes from its position.
    Whole,
    /// Everything within each of its connections: its protocol has no position.
    WhileConnected,
}

/// One thing that a member saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection began, or another one: what comes next is after this seq of the room, if the protocol says so.
    Connected { after: Option<u64> },
    /// A message; protocols without seqs leave it out.
    Shown { seq: Option<u64>, key: Key },
    /// The room's head when this connection joined: what is shown up to it is shown as it was then.
    Head { seq: u64 },
    /// There was a message here, which was deleted.
    Gone { seq: u64 },
    /// The server said that these are missing; `to` None: from there on, up to what comes next.
    Gap { from: u64, to: Option<u64> },
    /// A gap was announced together with a new epoch: entries were lost for good, and seqs may step back.
    NewEpoch,
}
