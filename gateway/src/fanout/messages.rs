//! What reactors and the hub say to each other.
//!
//! Both directions keep their order, and a reactor learns of a join and of the chunks after it on the same queue: a
//! connection's cursor therefore starts exactly where the join's answer says.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    directory::Query,
    fanout::{
        encoding::{Chunk, EncodingId},
        presence::Presence,
        session::{Answer, Ask, IfGone, Join, PostError, Posted},
    },
    moderation::News,
    rooms::{Epoch, Partition, Post, ProtocolId, RoomName, Signal},
};

/// A reactor thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReactorId(pub u16);

/// A connection on a reactor: the slot is reused, the generation is not, so no stranger gets an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    pub reactor: ReactorId,
    pub slot: u32,
    pub generation: u32,
}

/// A room that is in use on this gateway, numbered so that the delivery path never hashes a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub u32);

/// From a reactor to the hub's actor of the room's partition.
#[derive(Debug)]
pub enum ToHub {
    Join {
        from: ConnectionId,
        protocol: ProtocolId,
        join: Join,
    },
    /// The connection left, or ended (`asked` false).
    Leave {
        from: ConnectionId,
        room: RoomName,
        asked: bool,
    },
    Post {
        from: ConnectionId,
        tag: u64,
        post: Post,
        if_gone: Option<IfGone>,
    },
    Signal {
        room: RoomName,
        signal: Signal,
    },
    Ask {
        from: ConnectionId,
        ask: Ask,
    },
    /// For the directory, of something that happened at `at`; not answered.
    Tell {
        from: ConnectionId,
        query: Query,
        at: Instant,
    },
    /// A moderator did something in a room, which is news to those concerned here.
    Moderated(News),
}

impl ToHub {
    /// Whose actor takes the message: that of its room, or for the directory, any that is always the same for a
    /// connection.
    pub fn partition(&self) -> Partition {
        match self {
            Self::Join { join, .. } => Partition::of(&join.room),
            Self::Leave { room, .. } | Self::Signal { room, .. } => Partition::of(room),
            Self::Post { post, .. } => Partition::of(&post.room),
            Self::Ask { ask: Ask::History { room, .. } | Ask::Members { room } | Ask::People { room, .. }, .. } => {
                Partition::of(room)
            }
            Self::Ask { ask: Ask::Moderate { room, .. } | Ask::Actions { room, .. }, .. } => Partition::of(room),
            Self::Moderated(news) => Partition::of(&news.room),
            Self::Ask { from, ask: Ask::Directory(_) } | Self::Tell { from, .. } => Partition::nth(from.slot),
        }
    }
}

/// What is done when an acknowledgement never reaches its session: the connection has ended, or its reactor has.
pub struct Unheard(Option<Box<dyn FnOnce() + Send>>);

impl Unheard {
    /// `act` is called when this is dropped, unless the session has heard.
    pub fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(act)))
    }

    /// The session has heard: what follows is up to it.
    pub fn heard(mut self) {
        self.0 = None;
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

impl std::fmt::Debug for Unheard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unheard")
    }
}

/// From the hub to a reactor.
#[derive(Debug)]
pub enum ToReactor {
    /// The end of a join. `backlog` is written after the session's effects, before any later chunk of the room.
    Joined {
        to: ConnectionId,
        room: RoomId,
        encoding: EncodingId,
        answer: Answer,
        backlog: Vec<Chunk>,
    },
    /// The end of an ask, or of a join that failed.
    Answer {
        to: ConnectionId,
        answer: Answer,
    },
    Posted {
        to: ConnectionId,
        tag: u64,
        result: Result<Posted, PostError>,
        unheard: Option<Unheard>,
    },
    /// A moderator did something that concerns the connection.
    Moderated {
        to: ConnectionId,
        news: Arc<News>,
    },
    /// The next chunk of a room, for all its readers here with this encoding.
    Chunk {
        room: RoomId,
        encoding: EncodingId,
        /// The epoch that readers of the room know once they have this chunk: what a reader that skips it learns.
        epoch: Epoch,
        chunk: Chunk,
    },
    /// Entries were lost or cannot be read: every reader of the room learns so. `to` as in
    /// [`crate::fanout::session::Input::Gap`].
    Gap {
        room: RoomId,
        epoch: Epoch,
        from: u64,
        to: Option<u64>,
    },
    /// For the sessions of an encoding that does not write it.
    Presence {
        room: RoomId,
        encoding: EncodingId,
        presence: Arc<Presence>,
    },
}
