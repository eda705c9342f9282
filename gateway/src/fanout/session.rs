//! The seam between the reactors and the protocols: bytes in, effects out, no I/O.
//!
//! A [`Session`] is the protocol state machine of one connection. It owns no socket, no clock and no bus: the reactor
//! hands it an [`Input`] and carries out the [`Effect`]s it pushed, in order. Sessions are written in `protocols/`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;

pub use super::presence::Presence;
use crate::{
    bus::AppendError,
    directory::{Query, Reply},
    fanout::encoding::EncodingId,
    moderation::{Action, Actions, News, Refusal, Refused},
    rooms::{
        Amendment, Author, Content, Entry, Epoch, Origin, Position, ProtocolId, Role, RoomName, Signal, Unavailable,
    },
};

/// The protocol state machine of one connection. Keep it small: there is one for every idle connection.
pub trait Session: Send {
    /// Takes one input; effects are carried out in the order they were pushed.
    fn handle(&mut self, input: Input<'_>, cx: &Context, out: &mut Effects);

    /// What the person may do beyond reading and writing.
    fn role(&self) -> Role {
        Role::Member
    }
}

/// What a session may know of the world at the time of an input.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Milliseconds on a monotonic clock.
    pub now: u64,
    /// Milliseconds since the Unix epoch.
    pub unix: u64,
    /// Names this connection in the whole ChatRoom.
    pub origin: Origin,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Input<'a> {
    /// The socket is there; comes once, first.
    Open,
    /// A whole TEXT message; valid UTF-8, within the size limit and the rate.
    Text(&'a str),
    /// A whole BINARY message.
    Binary(&'a [u8]),
    /// A message above `messagesPerSecond`; only for sessions with [`OverRate::Answer`]. After `retry` one is taken again.
    Limited { text: &'a str, retry: Duration },
    /// The peer answered a ws-level ping.
    Pong,
    /// A timer set with [`Effect::Timer`] ran out.
    Timer(TimerId),
    /// The answer to the pending [`Effect::Ask`]; the next message is read after it was handled.
    Answer(Answer),
    /// The fate of a post; posts of one connection to one room are answered in their order.
    Posted { tag: u64, result: Result<Posted, PostError> },
    /// Entries `from..=to` cannot be shown: trimmed, or skipped by the slow-consumer policy; the next one comes after
    /// `to`. `to` None: what was shown from `from` on is lost with its epoch; the next one may have the seq `from` again.
    Gap { room: RoomName, epoch: Epoch, from: u64, to: Option<u64> },
    /// At most once per second, and only for rooms joined with [`Join::presence`] in an encoding that leaves it to
    /// sessions.
    Presence { room: RoomName, presence: Arc<Presence> },
    /// An entry of the room is news for the session itself: its encoding said so ([`ChunkWriter::notice`]). Comes when
    /// the gateway has read the entry, which may be before the peer is written what came before it.
    ///
    /// [`ChunkWriter::notice`]: crate::fanout::encoding::ChunkWriter::notice
    Notice { room: RoomName },
    /// A moderator did something that concerns this connection, which may be closed after this ([`NewsCode::closes`]).
    ///
    /// [`NewsCode::closes`]: crate::moderation::NewsCode::closes
    Moderated(Arc<News>),
    /// The gateway drains: part politely. The reactor closes the socket itself 5 s after this.
    /// `after`: milliseconds until the client should reconnect, already jittered.
    Moved { after: u64 },
    /// The socket is gone or about to be; comes once, last. Replies go nowhere; posts and announcements still do.
    /// `read`: up to where the peer has got its rooms; empty where that is not known. It is known of a peer that says
    /// goodbye, and of one that moves: what was queued for it is written before the close frame.
    Closed { read: &'a [(RoomName, Position)] },
}

/// Chosen by the session, unique within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(pub u8);

/// What a session wants done.
#[derive(Debug)]
pub enum Effect {
    /// A TEXT message to this connection, after everything written so far.
    Text(String),
    /// A BINARY message to this connection.
    Binary(Vec<u8>),
    /// A ws-level ping.
    Ping,
    /// Adds this connection to a room's readers, or answers `Answer::Joined` again for one it reads already.
    /// Pending like an ask.
    Join(Join),
    /// Stops reading a room; later chunks of it are not written. `asked` as in [`Signal::Left`].
    Leave { room: RoomName, asked: bool },
    /// Appends to a room; answered with [`Input::Posted`]. `room` need not be joined (protocols decide that).
    Post(NewPost),
    /// The same for a post that the directory must know of, also if its sender is gone when it is acknowledged.
    PostForDirectory(NewPost, IfGone),
    /// Goes beside the log, conflated.
    Signal { room: RoomName, signal: Signal },
    /// One at a time: reading is paused until [`Input::Answer`].
    Ask(Ask),
    /// For the directory, after what this connection reported or asked before; not answered. Carried out even when the
    /// socket is gone.
    Tell(Query),
    /// What moderators did that is in force for a person in a room comes as [`Input::Moderated`].
    Standing { room: RoomName, person: Arc<str> },
    /// (Re)starts a timer. Kept to some 50 ms.
    Timer(TimerId, Duration),
    /// Stops a timer.
    Cancel(TimerId),
    /// Counted in the refusals metric by protocol and reason.
    Refused(&'static str),
    /// Writes what is queued, then a close frame, then ends the socket.
    Close { code: u16, reason: &'static str },
    /// Ends the socket without a close frame.
    Terminate,
}

/// Collects effects in order.
pub type Effects = Vec<Effect>;

/// Becoming a reader of a room.
#[derive(Debug)]
pub struct Join {
    pub room: RoomName,
    /// Who joins, as other people see it.
    pub who: Author,
    /// How this connection wants the room's entries written.
    pub encoding: EncodingId,
    /// None: show what comes from now on. Some: show everything after the position.
    pub after: Option<Position>,
    /// Whether to tell who is in the room: by the encoding, or else by [`Input::Presence`].
    pub presence: bool,
    /// Whether others learn of it ([`Signal::Joined`]).
    pub announce: bool,
}

/// A message on its way into a room.
#[derive(Debug)]
pub struct NewPost {
    /// Echoed in [`Input::Posted`].
    pub tag: u64,
    pub room: RoomName,
    pub from: Author,
    /// None: the reactor makes a unique one.
    pub key: Option<Arc<str>>,
    pub content: Content,
    /// The earlier message that this changes, if it does.
    pub amends: Option<Amendment>,
    pub durable: bool,
}

/// For the directory, about an acknowledged post whose session has ended before it could tell.
pub struct IfGone(Box<dyn FnOnce(Posted) -> Query + Send>);

impl IfGone {
    /// Makes the query only when it is needed.
    pub fn new(query: impl FnOnce(Posted) -> Query + Send + 'static) -> Self {
        Self(Box::new(query))
    }

    /// The query about the post.
    pub fn query(self, posted: Posted) -> Query {
        (self.0)(posted)
    }
}

impl std::fmt::Debug for IfGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IfGone")
    }
}

/// A question whose answer takes time.
#[derive(Debug)]
pub enum Ask {
    /// The newest `limit` entries below `before`.
    History { room: RoomName, before: Option<u64>, limit: u32 },
    /// Members of a room over the whole ChatRoom, all protocols.
    Members { room: RoomName },
    /// At most `limit` people of a room by name, each once, beside the number of its members.
    People { room: RoomName, limit: u32 },
    /// Of the directory.
    Directory(Query),
    /// An action of `by`, who is a moderator and speaks `protocol`.
    Moderate { room: RoomName, by: Author, protocol: ProtocolId, action: Action },
    /// What moderators did in a room: the newest `limit` actions below number `before`.
    Actions { room: RoomName, before: Option<u64>, limit: u32 },
}

/// The answer to a join or an ask.
#[derive(Debug)]
pub enum Answer {
    Joined(Joined),
    History {
        /// The room's head: entries are in the form that amendments up to it made of them.
        head: Position,
        entries: Vec<Arc<Entry>>,
        more: bool,
    },
    Members(u64),
    /// `count` members, some of whom are one person. `more`: there are more people than are named.
    People {
        count: u64,
        people: Vec<Author>,
        more: bool,
    },
    Directory(Reply),
    /// The bus cannot answer now. After `retry` it may.
    Unavailable {
        retry: Duration,
    },
    /// `limits.rooms`, `limits.roomsPerConnection` or `limits.newRoomsPerMinute` is reached.
    RoomLimit,
    /// The join is refused by what moderators did.
    Banned,
    Moderated(Result<(), Refused>),
    Actions(Result<Actions, Unavailable>),
}

/// A join that succeeded. What `after` asked for is written right after the effects of this answer.
#[derive(Debug)]
pub struct Joined {
    pub room: RoomName,
    /// The room's head: entries up to it were there before the join.
    pub head: Position,
    /// Members over the whole ChatRoom, this connection included.
    pub members: u64,
    /// True only if the join asked to resume and nothing is missing.
    pub recovered: bool,
    /// What is missing of what `after` asked for.
    pub gap: Option<Gap>,
    /// False above 50 joins per second in the room: the others do not learn of it, so the session tells the joiner itself
    /// where its protocol has such a push.
    pub announced: bool,
}

/// Entries that a resume cannot show; inclusive. `to` None: the position is on no known branch, nothing follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub from: u64,
    pub to: Option<u64>,
}

/// An acknowledged post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    pub seq: u64,
    pub epoch: Epoch,
    pub time: u64,
    pub duplicate: bool,
}

/// Why a post was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The queue to the bus is full. After `retry` it may have room.
    #[error("too many messages are waiting for the bus")]
    Full { retry: Duration },
    /// Refused by what moderators did, or by a filter; nothing was written.
    #[error(transparent)]
    Moderated(#[from] Refusal),
    /// The connection has opened as many rooms as it may, and is no member of this one, which may be new.
    #[error("too many new rooms")]
    RoomLimit,
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl PostError {
    /// What a refusal counts as; None for what failed.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Moderated(refusal) => Some(refusal.code()),
            Self::RoomLimit => Some("room_limit"),
            Self::Full { .. } | Self::Append(_) => None,
        }
    }
}

/// What happens to messages above `limits.messagesPerSecond`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverRate {
    /// The session answers each one ([`Input::Limited`]).
    Answer,
    /// The socket is not read until the rate allows it.
    StopReading,
}

/// How the reactor treats a connection; fixed at the upgrade.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Largest payload of a whole message in bytes; one more closes with 1009.
    pub message_bytes: usize,
    /// Sustained messages per second; the burst is twice that.
    pub messages_per_second: u32,
    pub over_rate: OverRate,
    /// Whether the client misses nothing when it reconnects elsewhere. The others are asked to move last.
    pub resumes: bool,
}

/// A socket that has been upgraded, on its way to a reactor.
pub struct Accepted {
    /// From a listener that was [prepared](crate::fanout::reactor::prepare_listener).
    pub stream: mio::net::TcpStream,
    /// Bytes read already, after the upgrade request.
    pub leftover: Bytes,
    pub session: Box<dyn Session>,
    pub policy: Policy,
    /// The network that the connection counts for.
    pub address: IpAddr,
    pub protocol: ProtocolId,
    /// Whether messages may be compressed, in both directions.
    pub deflate: bool,
}
