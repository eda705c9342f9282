//! Scripted reactors, a readable encoding, and several gateways over one memory bus.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::time::timeout;

use super::super::{Hub, HubSettings};
use crate::{
    bus::{Bus, History, memory::MemoryBus},
    clock::Clock,
    directory::{Directory, memory::MemoryDirectory},
    fanout::{
        encoding::{Chunk, ChunkWriter, Encoding, EncodingId},
        messages::{ConnectionId, ReactorId, ToHub, ToReactor},
        reactor::{Inbox, inbox},
        session::{Answer, Ask, Join, Joined, PostError, Posted},
    },
    moderation::{Moderation, Moderator},
    rooms::{Author, Content, Entry, Epoch, Origin, Position, Post, ProtocolId, RoomName, Signal},
};

pub(super) const PLAIN: EncodingId = EncodingId(8);
pub(super) const OTHER: EncodingId = EncodingId(16);

/// Writes `seq:key` for each entry, after `epoch!` when readers must learn it.
struct Plain(&'static str);

impl Encoding for Plain {
    fn entries(&self, _: &RoomName, epoch: Option<Epoch>, entries: &[Arc<Entry>], out: &mut ChunkWriter) {
        let entries = entries.iter().map(|entry| format!("{}:{} ", entry.seq, entry.key)).collect::<String>();
        let epoch = epoch.map_or_else(String::new, |_| "epoch! ".into());
        out.text(format!("{}{epoch}{}", self.0, entries.trim_end()).as_bytes());
    }

    fn signal(&self, _: &RoomName, signal: &Signal, out: &mut ChunkWriter) {
        match signal {
            Signal::Typing { from } => out.text(format!("{} types", from.name).as_bytes()),
            Signal::Joined { who, first, .. } => out.text(format!("{} joins {first}", who.name).as_bytes()),
            Signal::Left { who, asked, .. } => out.text(format!("{} leaves {asked}", who.name).as_bytes()),
            Signal::Count | Signal::WhoIsHere { .. } | Signal::Here { .. } => {}
        }
    }
}

/// The text of a chunk's frames; frames here are shorter than 64 KiB.
pub(super) fn text(chunk: &Chunk) -> String {
    let (mut bytes, mut frames) = (&chunk.bytes[..], Vec::new());
    while let [_, length, ..] = *bytes {
        let (start, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            length => (2, usize::from(length)),
        };
        frames.push(String::from_utf8(bytes[start..start + length].to_vec()).unwrap());
        bytes = &bytes[start + length..];
    }
    frames.join(" ")
}

pub(super) fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

pub(super) fn author(name: &str) -> Author {
    Author { id: name.into(), name: name.into(), extra: None }
}

pub(super) fn post(name: &str, key: &str) -> Post {
    Post {
        room: room(name),
        from: author("ada"),
        protocol: ProtocolId::Native,
        key: key.into(),
        content: Content { body: RawValue::from_string(r#"{"text":"hi"}"#.into()).unwrap(), verbatim: None },
        amends: None,
        durable: false,
        origin: Origin::default(),
    }
}

/// One gateway: a hub and its reactors.
pub(super) struct Gateway {
    pub(super) hub: Hub,
    pub(super) reactors: Vec<Inbox>,
    seen: Vec<VecDeque<ToReactor>>,
}

pub(super) fn memory() -> Arc<MemoryBus> {
    Arc::new(MemoryBus::new(History { messages: 1000, age: Duration::from_secs(3600) }))
}

impl Gateway {
    pub(super) fn start(bus: Arc<dyn Bus>) -> Self {
        Self::with(bus, HubSettings::default())
    }

    pub(super) fn with(bus: Arc<dyn Bus>, settings: HubSettings) -> Self {
        Self::of(bus, Arc::new(MemoryDirectory::default()), settings)
    }

    pub(super) fn beside(bus: Arc<dyn Bus>, directory: Arc<dyn Directory>) -> Self {
        Self::of(bus, directory, HubSettings::default())
    }

    fn of(bus: Arc<dyn Bus>, directory: Arc<dyn Directory>, settings: HubSettings) -> Self {
        let (senders, reactors): (Vec<_>, Vec<_>) = (0..2).map(|id| inbox(ReactorId(id), 4, || {})).unzip();
        let encodings: Vec<(_, Arc<dyn Encoding>)> =
            vec![(PLAIN, Arc::new(Plain(""))), (OTHER, Arc::new(Plain("other ")))];
        let seen = reactors.iter().map(|_| VecDeque::new()).collect();
        let moderator = Moderator::new(Moderation::in_memory(Clock::start(), Arc::default()));
        Self { hub: Hub::start(bus, directory, moderator, senders, encodings, settings), reactors, seen }
    }

    pub(super) fn send(&self, message: ToHub) {
        self.hub.try_send(message).unwrap();
    }

    pub(super) fn join(&self, at: ConnectionId, name: &str) -> JoinOf<'_> {
        let join = Join {
            room: room(name),
            who: author(&format!("p{}", at.slot)),
            encoding: PLAIN,
            after: None,
            presence: false,
            announce: false,
        };
        JoinOf { gateway: self, at, join }
    }

    pub(super) fn leave(&self, at: ConnectionId, name: &str, asked: bool) {
        self.send(ToHub::Leave { from: at, room: room(name), asked });
    }

    pub(super) fn post(&self, at: ConnectionId, name: &str, key: &str) {
        self.send(ToHub::Post { from: at, tag: 7, post: post(name, key), if_gone: None });
    }

    pub(super) fn ask(&self, at: ConnectionId, ask: Ask) {
        self.send(ToHub::Ask { from: at, ask });
    }

    /// The next message for a reactor, within ten seconds.
    pub(super) async fn next(&mut self, reactor: u16) -> ToReactor {
        let at = usize::from(reactor);
        while self.seen[at].is_empty() {
            let batch = timeout(Duration::from_secs(10), self.reactors[at].recv()).await;
            self.seen[at].extend(batch.expect("a message within ten seconds").unwrap());
        }
        self.seen[at].pop_front().unwrap()
    }

    /// The next message for a reactor that `pick` takes; others are dropped.
    pub(super) async fn find<T>(&mut self, reactor: u16, pick: impl Fn(ToReactor) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next(reactor).await) {
                return found;
            }
        }
    }

    pub(super) async fn joined(&mut self, reactor: u16) -> (Joined, String) {
        self.find(reactor, |message| match message {
            ToReactor::Joined { answer: Answer::Joined(joined), backlog, .. } => {
                Some((joined, backlog.iter().map(text).collect::<Vec<_>>().join(" ")))
            }
            _ => None,
        })
        .await
    }

    pub(super) async fn posted(&mut self, reactor: u16) -> Result<Posted, PostError> {
        self.find(reactor, |message| match message {
            ToReactor::Posted { result, .. } => Some(result),
            _ => None,
        })
        .await
    }

    pub(super) async fn answer(&mut self, reactor: u16) -> Answer {
        self.find(reactor, |message| match message {
            ToReactor::Answer { answer, .. } => Some(answer),
            _ => None,
        })
        .await
    }

    pub(super) async fn chunk(&mut self, reactor: u16) -> String {
        self.find(reactor, |message| match message {
            ToReactor::Chunk { chunk, .. } => Some(text(&chunk)),
            _ => None,
        })
        .await
    }

    /// Everything that comes within `time`, for all reactors.
    pub(super) async fn all_during(&mut self, time: Duration) -> Vec<ToReactor> {
        let end = tokio::time::Instant::now() + time;
        let read = async |inbox: &mut Inbox| {
            let mut heard = Vec::new();
            while let Ok(batch) = tokio::time::timeout_at(end, inbox.recv()).await {
                heard.extend(batch.unwrap());
            }
            heard
        };
        let heard = futures::future::join_all(self.reactors.iter_mut().map(read)).await;
        heard.into_iter().flatten().collect()
    }

    /// Everything that comes within `time`.
    pub(super) async fn during(&mut self, reactor: u16, time: Duration) -> Vec<ToReactor> {
        let at = usize::from(reactor);
        let end = tokio::time::Instant::now() + time;
        while let Ok(batch) = tokio::time::timeout_at(end, self.reactors[at].recv()).await {
            self.seen[at].extend(batch.unwrap());
        }
        self.seen[at].drain(..).collect()
    }
}

/// A join that is being put together.
pub(super) struct JoinOf<'a> {
    gateway: &'a Gateway,
    at: ConnectionId,
    join: Join,
}

impl JoinOf<'_> {
    pub(super) fn after(mut self, position: Position) -> Self {
        self.join.after = Some(position);
        self
    }

    pub(super) fn encoding(mut self, encoding: EncodingId) -> Self {
        self.join.encoding = encoding;
        self
    }

    pub(super) fn announced(mut self) -> Self {
        self.join.announce = true;
        self
    }

    pub(super) fn watching(mut self) -> Self {
        self.join.presence = true;
        self
    }

    pub(super) fn send(self) {
        self.gateway.send(ToHub::Join { from: self.at, protocol: ProtocolId::Native, join: self.join });
    }
}

pub(super) fn at(reactor: u16, slot: u32) -> ConnectionId {
    ConnectionId { reactor: ReactorId(reactor), slot, generation: 1 }
}
