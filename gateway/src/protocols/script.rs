//! Drives a session in tests: virtual time, and effects as lines that a table can hold.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use crate::{
    fanout::{
        encoding::{ChunkWriter, Encoding},
        session::{Answer, Ask, Context, Effect, Effects, Input, Joined, Posted, Presence, Session},
    },
    rooms::{Amendment, Author, Content, Entry, Epoch, Origin, Position, ProtocolId, RoomName, Signal},
};

/// When the clock starts, in milliseconds since the Unix epoch.
pub(crate) const UNIX: u64 = 1_700_000_000_000;

/// A clock at [`UNIX`].
pub(crate) struct StandingStill;

impl super::Clock for StandingStill {
    fn unix(&self) -> u64 {
        UNIX
    }

    fn monotonic(&self) -> u64 {
        1_000_000
    }
}

/// One connection under test.
pub(crate) struct Peer {
    session: Box<dyn Session>,
    now: u64,
    origin: Origin,
    timers: BTreeMap<u8, u64>,
}

impl Peer {
    /// A connection that has just been opened; a session that speaks first says nothing here.
    pub(crate) fn new(session: Box<dyn Session>) -> Self {
        let mut peer = Self { session, now: 0, origin: Origin { gateway: 7, connection: 1 }, timers: BTreeMap::new() };
        assert_eq!(peer.input(Input::Open), Vec::<String>::new());
        peer
    }

    /// The client sends TEXT.
    pub(crate) fn text(&mut self, text: &str) -> Vec<String> {
        self.input(Input::Text(text))
    }

    /// The client sends BINARY.
    pub(crate) fn binary(&mut self, bytes: &[u8]) -> Vec<String> {
        self.input(Input::Binary(bytes))
    }

    /// Sends each left side and expects exactly the lines on its right side.
    pub(crate) fn table(&mut self, rows: &[(&str, &[&str])]) {
        for (send, expect) in rows {
            assert_eq!(self.text(send), *expect, "after {send}");
        }
    }

    /// Lets time pass and runs the timers that end, in their order.
    pub(crate) fn pass(&mut self, millis: u64) -> Vec<String> {
        let until = self.now + millis;
        let mut lines = Vec::new();
        while let Some((&id, &at)) = self.timers.iter().filter(|(_, at)| **at <= until).min_by_key(|(_, at)| **at) {
            self.timers.remove(&id);
            self.now = at;
            lines.extend(self.input(Input::Timer(crate::fanout::session::TimerId(id))));
        }
        self.now = until;
        lines
    }

    /// Anything else happens.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<String> {
        let cx = Context { now: self.now, unix: UNIX + self.now, origin: self.origin };
        let mut effects = Effects::new();
        self.session.handle(input, &cx, &mut effects);
        effects.into_iter().filter_map(|effect| self.line(effect)).collect()
    }

    /// The pending join succeeds in a room with entries up to `seq` in epoch 5 and 3 members.
    pub(crate) fn joined(&mut self, room: &str, seq: u64) -> Vec<String> {
        self.input(Input::Answer(Answer::Joined(joined(room, seq))))
    }

    /// Post `tag` is acknowledged with `seq`.
    pub(crate) fn posted(&mut self, tag: u64, seq: u64) -> Vec<String> {
        let posted = Posted { seq, epoch: Epoch(5), time: UNIX, duplicate: false };
        self.input(Input::Posted { tag, result: Ok(posted) })
    }

    fn line(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Text(text) => text,
            Effect::Binary(bytes) => hex(&bytes),
            Effect::Ping => "ping".to_owned(),
            Effect::Join(join) => {
                let mut line = format!("join {} as {} encoding {}", join.room, join.who.name, join.encoding.0);
                if let Some(Position { epoch, seq }) = join.after {
                    write!(line, " after {}:{seq}", epoch.0).unwrap();
                }
                if join.presence {
                    line.push_str(" presence");
                }
                if join.announce {
                    line.push_str(" announce");
                }
                line
            }
            Effect::Leave { room, asked } => format!("leave {room}{}", if asked { " asked" } else { "" }),
            Effect::Post(post) | Effect::PostForDirectory(post, _) => {
                let mut line = format!("post {} {} by {} {}", post.tag, post.room, post.from.name, post.content.body);
                if let Some(Amendment { seq, change, by }) = post.amends {
                    write!(line, " amends {seq} {change:?} as {by:?}").unwrap();
                }
                if let Some(verbatim) = post.content.verbatim {
                    let verbatim = std::str::from_utf8(&verbatim).map_or_else(|_| hex(&verbatim), str::to_owned);
                    write!(line, " verbatim {verbatim}").unwrap();
                }
                if let Some(key) = post.key {
                    write!(line, " key {key}").unwrap();
                }
                if post.durable {
                    line.push_str(" durable");
                }
                line
            }
            Effect::Signal { room, signal } => match signal {
                Signal::Typing { from } => format!("signal {room} typing {}", from.name),
                Signal::Joined { who, first, .. } => format!("signal {room} joined {} {first}", who.name),
                Signal::Left { who, asked, .. } => format!("signal {room} left {} {asked}", who.name),
                Signal::Count => format!("signal {room} count"),
                Signal::WhoIsHere { .. } | Signal::Here { .. } => unreachable!("gateways ask each other that"),
            },
            Effect::Ask(Ask::History { room, before, limit }) => format!("ask history {room} {before:?} {limit}"),
            Effect::Ask(Ask::Members { room }) => format!("ask members {room}"),
            Effect::Ask(Ask::People { room, limit }) => format!("ask people {room} {limit}"),
            Effect::Ask(Ask::Moderate { room, by, action, protocol: _ }) => {
                format!("moderate {room} {} {action:?}", by.name)
            }
            Effect::Ask(Ask::Actions { room, before, limit }) => format!("ask actions {room} {before:?} {limit}"),
            Effect::Ask(Ask::Directory(query)) => format!("ask {query:?}"),
            Effect::Tell(query) => format!("tell {query:?}"),
            Effect::Timer(id, after) => {
                self.timers.insert(id.0, self.now + after.as_millis() as u64);
                return None;
            }
            Effect::Cancel(id) => {
                self.timers.remove(&id.0);
                return None;
            }
            // It follows each join.
            Effect::Standing { .. } => return None,
            Effect::Refused(reason) => format!("refused {reason}"),
            Effect::Close { code, reason } => format!("close {code} {reason}"),
            Effect::Terminate => "terminate".to_owned(),
        })
    }
}

/// A join into a room with entries up to `seq` in epoch 5 and 3 members.
pub(crate) fn joined(room: &str, seq: u64) -> Joined {
    let head = Position { epoch: Epoch(5), seq };
    Joined { room: name(room), head, members: 3, recovered: false, gap: None, announced: true }
}

/// A valid room name.
pub(crate) fn name(room: &str) -> RoomName {
    RoomName::new(room).unwrap()
}

/// An entry `seq` at `UNIX + seq` of a person.
pub(crate) fn entry(seq: u64, from: &Author, protocol: ProtocolId, body: &str, verbatim: Option<&[u8]>) -> Arc<Entry> {
    let body = serde_json::value::RawValue::from_string(body.to_owned()).unwrap();
    Arc::new(Entry {
        seq,
        epoch: Epoch(5),
        time: UNIX + seq,
        from: from.clone(),
        protocol,
        key: format!("key{seq}").into(),
        content: Content { body, verbatim: verbatim.map(|bytes| bytes.to_vec().into()) },
        origin: Origin { gateway: 7, connection: seq },
        amends: None,
        present: None,
    })
}

/// A person without extras.
pub(crate) fn person(id: &str, name: &str) -> Author {
    Author { id: id.into(), name: name.into(), extra: None }
}

/// The payloads of the frames that an encoding makes of entries; each one is checked to be a whole unmasked frame.
pub(crate) fn frames(encoding: &dyn Encoding, room: &str, epoch: Option<u64>, entries: &[Arc<Entry>]) -> Vec<Vec<u8>> {
    let mut out = ChunkWriter::default();
    encoding.entries(&name(room), epoch.map(Epoch), entries, &mut out);
    payloads(out)
}

/// The same for a signal.
pub(crate) fn signal_frames(encoding: &dyn Encoding, room: &str, signal: &Signal) -> Vec<Vec<u8>> {
    let mut out = ChunkWriter::default();
    encoding.signal(&name(room), signal, &mut out);
    payloads(out)
}

/// The same for who is in a room.
pub(crate) fn presence_frames(encoding: &dyn Encoding, room: &str, presence: &Presence) -> Vec<Vec<u8>> {
    let mut out = ChunkWriter::default();
    encoding.presence(&name(room), presence, &mut out);
    payloads(out)
}

fn payloads(out: ChunkWriter) -> Vec<Vec<u8>> {
    let chunk = out.seal(None);
    let mut rest = chunk.bytes.as_ref();
    let mut payloads = Vec::new();
    while let [first, length, tail @ ..] = rest {
        assert!(matches!(first, 0x81 | 0x82));
        let (length, tail) = match length {
            126 => (usize::from(u16::from_be_bytes(tail[..2].try_into().unwrap())), &tail[2..]),
            127 => (u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize, &tail[8..]),
            length => (usize::from(*length), tail),
        };
        payloads.push(tail[..length].to_vec());
        rest = &tail[length..];
    }
    assert!(rest.is_empty());
    payloads
}

/// The payloads as text.
pub(crate) fn texts(payloads: Vec<Vec<u8>>) -> Vec<String> {
    payloads.into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect()
}

/// Bytes as `0a 1b`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
