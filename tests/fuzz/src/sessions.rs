//! Sessions of one protocol under a script: up to four connections over one bus, with everything that a reactor and a hub
//! may tell them.
//!
//! One line of a script is one event; its first byte says which:
//!
//! | line | event |
//! |---|---|
//! | `>text` | the client sends TEXT |
//! | `#bytes` | the client sends BINARY; `%41` is a byte |
//! | `^text` | a message above the rate |
//! | `+ms` | time passes, timers run out; at most two minutes |
//! | `@n` | what follows concerns connection n, 0 to 3 |
//! | `!` | the bus is unavailable, or back |
//! | `~` | answers are held back, or come again |
//! | `?p`, `?g`, `?l`, `?r`, `?m` | a pong, a gap, a lost branch, presence, the order to move |
//! | `.` | the socket is gone |
//!
//! What is posted is stored, and rendered for the readers of every protocol.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use parlor_gateway::{
    bus::AppendError,
    fanout::session::{
        Answer, Ask, Context, Effect, Effects, Gap, Input, Join, Joined, NewPost, OverRate, PostError, Posted,
        Presence, Session, TimerId,
    },
    moderation::Actions,
    protocols::{Handshake, Protocol},
    rooms::{Epoch, Origin, Partition, Position, Post, ProtocolId, RoomName},
};
use tokio::time::Instant;

use crate::{
    seed::{lines, unescape},
    settings::{self, MESSAGE_BYTES, Stores},
    speech::{self, Said},
    stored,
};

/// When the clock starts, in milliseconds since the Unix epoch.
const UNIX: u64 = 1_700_000_000_000;
/// Effects of one message, timer or notice: pings and releases of 16 accounts, with room.
const EFFECTS: usize = 64;
/// Effects of one answer: a whole queue of 1000 kept messages, with room.
const EFFECTS_OF_AN_ANSWER: usize = 1064;
/// Answers that follow from one event: a person is in at most as many blocks as their script named.
const STEPS: usize = 500;
/// Bytes that are said after a message, beside what it causes by its own length: every byte may be escaped in six, and a
/// frame be said twice.
const SAID: usize = 4096;

/// Runs a script against `protocol`, then asks every connection that is still open for a sign of life.
pub(crate) fn script(protocol: ProtocolId, data: &[u8]) {
    let mut world = World::new(protocol);
    for line in lines(data) {
        world.event(line);
    }
    world.settle();
    for at in 0..world.peers.len() {
        if world.peers[at].open {
            world.peers[at].said.clear();
            world.send(at, &speech::probe(protocol));
            let said = &world.peers[at].said;
            assert!(said.iter().any(|said| speech::answers(protocol, said)), "the probe of {at} got {said:?}");
        }
        world.close(at);
    }
}

struct World {
    stores: Stores,
    protocol: Arc<dyn Protocol>,
    readers: Vec<Arc<dyn Protocol>>,
    peers: Vec<Peer>,
    current: usize,
    now: u64,
    away: bool,
    held: bool,
}

struct Peer {
    session: Box<dyn Session>,
    origin: Origin,
    timers: BTreeMap<u8, u64>,
    /// The join or ask that is not answered.
    pending: Option<Pending>,
    /// Posts that are not acknowledged.
    posts: VecDeque<NewPost>,
    said: Vec<Said>,
    open: bool,
}

enum Pending {
    Join(Join),
    Ask(Ask),
}

impl World {
    fn new(id: ProtocolId) -> Self {
        let stores = settings::stores();
        let readers = settings::protocols(&stores, false);
        let Some(protocol) = readers.iter().find(|protocol| protocol.id() == id).cloned() else {
            panic!("{id:?} is not served")
        };
        Self { stores, protocol, readers, peers: Vec::new(), current: 0, now: 0, away: false, held: false }.connected()
    }

    fn connected(mut self) -> Self {
        self.connect();
        self
    }

    fn connect(&mut self) {
        let headers = http::HeaderMap::new();
        let handshake =
            Handshake { target: "/", headers: &headers, public_url: "http://chat.example", unix: UNIX + self.now };
        let Ok(session) = self.protocol.accept(&handshake) else { panic!("an upgrade without conditions was refused") };
        let origin = Origin { gateway: 7, connection: self.peers.len() as u64 + 1 };
        let (timers, posts, said) = Default::default();
        self.peers.push(Peer { session, origin, timers, pending: None, posts, said, open: true });
        self.input(self.peers.len() - 1, Input::Open, EFFECTS);
    }

    fn event(&mut self, line: &[u8]) {
        let Some((verb, rest)) = line.split_first() else { return };
        let at = self.current;
        let text = || String::from_utf8_lossy(rest);
        match verb {
            b'>' => self.send(at, &Said::Text(text().into_owned())),
            b'#' => self.send(at, &Said::Binary(unescape(rest))),
            b'^' if self.protocol.over_rate() == OverRate::Answer && self.reads(at) => {
                self.input(at, Input::Limited { text: &text(), retry: Duration::from_millis(250) }, EFFECTS);
            }
            b'+' => self.pass(text().trim().parse().unwrap_or(1000_u64).min(120_000)),
            b'@' => {
                self.current = usize::from(rest.first().copied().unwrap_or_default() % 4);
                while self.peers.len() <= self.current {
                    self.connect();
                }
            }
            b'!' => self.away = !self.away,
            b'~' => {
                self.held = !self.held;
                self.answer_all();
            }
            b'?' => self.notice(at, rest),
            b'.' => self.close(at),
            _ => {}
        }
    }

    /// Whether the reactor reads the socket.
    fn reads(&self, at: usize) -> bool {
        self.peers[at].open && self.peers[at].pending.is_none()
    }

    fn send(&mut self, at: usize, said: &Said) {
        let length = match said {
            Said::Text(text) => text.len(),
            Said::Binary(bytes) => bytes.len(),
        };
        if !self.reads(at) || length > MESSAGE_BYTES {
            return;
        }
        let before = self.peers[at].said.len();
        match said {
            Said::Text(text) => self.input(at, Input::Text(text), EFFECTS),
            Said::Binary(bytes) => self.input(at, Input::Binary(bytes), EFFECTS),
        }
        if self.held {
            let answered: usize = self.peers[at].said[before..].iter().map(size).sum();
            assert!(answered <= SAID + 12 * length, "{answered} bytes for {length}");
        }
    }

    /// The same from a hub or a reactor, which may come at any time.
    fn notice(&mut self, at: usize, kind: &[u8]) {
        if !self.peers[at].open {
            return;
        }
        let room = RoomName::new(settings::ROOM).expect("a constant that is a room name");
        let input = match kind.first() {
            Some(b'p') => Input::Pong,
            Some(b'g') => Input::Gap { room, epoch: Epoch(5), from: 3, to: Some(9) },
            Some(b'l') => Input::Gap { room, epoch: Epoch(6), from: 3, to: None },
            Some(b'r') => {
                let someone = parlor_gateway::rooms::Author { id: "u1".into(), name: "ada".into(), extra: None };
                let presence = Presence { members: 3, joined: vec![someone.clone()], left: vec![someone] };
                let account = kind.get(1..).and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
                let room = account.map_or(room, parlor_gateway::directory::pairs::inbox);
                Input::Presence { room, presence: Arc::new(presence) }
            }
            Some(b'm') => Input::Moved { after: 1500 },
            _ => return,
        };
        self.input(at, input, EFFECTS);
    }

    fn close(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        if std::mem::take(&mut peer.open) {
            peer.timers.clear();
            peer.pending = None;
            self.input(at, Input::Closed { read: &[] }, EFFECTS);
        }
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + millis;
        loop {
            let timers = self.peers.iter().enumerate().flat_map(|(at, peer)| {
                peer.timers.iter().map(move |(id, due)| (*due, at, *id)).filter(|(due, ..)| *due <= until)
            });
            let Some((due, at, id)) = timers.min() else { break };
            self.peers[at].timers.remove(&id);
            self.now = due;
            self.input(at, Input::Timer(TimerId(id)), EFFECTS);
        }
        self.now = until;
    }

    /// The bus is there and answers what it owes.
    fn settle(&mut self) {
        (self.away, self.held) = (false, false);
        self.answer_all();
    }

    /// Hands `input` to a session, and then every answer that follows from it.
    fn input(&mut self, at: usize, input: Input<'_>, bound: usize) {
        self.handle(at, input, bound);
        self.answer_all();
    }

    fn answer_all(&mut self) {
        if self.held {
            return;
        }
        for steps in 0.. {
            assert!(steps < STEPS, "a session asks for ever");
            if !(0..self.peers.len()).any(|at| self.answer_one(at)) {
                return;
            }
        }
    }

    /// Answers one join, ask or post of a connection; false when it waits for nothing.
    fn answer_one(&mut self, at: usize) -> bool {
        if let Some(pending) = self.peers[at].pending.take() {
            let answer = self.answer(pending);
            self.handle(at, Input::Answer(answer), EFFECTS_OF_AN_ANSWER);
            return true;
        }
        let Some(post) = self.peers[at].posts.pop_front() else { return false };
        let tag = post.tag;
        let result = self.append(at, post);
        // A connection that is gone receives nothing.
        if self.peers[at].open {
            self.handle(at, Input::Posted { tag, result }, EFFECTS);
        }
        true
    }

    fn answer(&self, pending: Pending) -> Answer {
        let away = Answer::Unavailable { retry: Duration::from_millis(1000) };
        match pending {
            Pending::Join(_) if self.away => Answer::RoomLimit,
            Pending::Ask(_) if self.away => away,
            Pending::Join(Join { room, after, .. }) => {
                let Some(Ok(head)) = self.stores.bus.head(&room).now_or_never() else { return away };
                let head = Position { epoch: head.epoch, seq: head.seq };
                let recovered = after.is_some_and(|after| after.epoch == head.epoch && after.seq <= head.seq);
                let gap = after.filter(|_| !recovered).map(|after| Gap { from: after.seq.saturating_add(1), to: None });
                Answer::Joined(Joined { room, head, members: 3, recovered, gap, announced: head.seq.is_multiple_of(2) })
            }
            Pending::Ask(Ask::Moderate { .. }) => Answer::Moderated(Ok(())),
            Pending::Ask(Ask::Actions { .. }) => Answer::Actions(Ok(Actions { records: Vec::new(), before: None })),
            Pending::Ask(Ask::Members { .. }) => Answer::Members(3),
            Pending::Ask(Ask::People { .. }) => Answer::People { count: 3, people: Vec::new(), more: true },
            Pending::Ask(Ask::History { room, before, limit }) => {
                match self.stores.bus.history(&room, before, limit).now_or_never() {
                    Some(Ok(page)) => {
                        let head = Position { epoch: page.head.epoch, seq: page.head.seq };
                        Answer::History { head, entries: page.entries, more: page.more }
                    }
                    _ => away,
                }
            }
            Pending::Ask(Ask::Directory(query)) => match self.stores.directory.ask(query).now_or_never() {
                Some(Ok(reply)) => Answer::Directory(reply),
                _ => away,
            },
        }
    }

    fn append(&self, at: usize, post: NewPost) -> Result<Posted, PostError> {
        if self.away {
            return Err(PostError::Append(AppendError::Unavailable("the script says so".into())));
        }
        let NewPost { tag, room, from, key, content, amends, durable } = post;
        let origin = self.peers[at].origin;
        let key = key.unwrap_or_else(|| format!("{}-{tag}-{}", origin.connection, self.now).into());
        let post = Post { room, from, protocol: self.protocol.id(), key, content, amends, durable, origin };
        let group = std::slice::from_ref(&post);
        let fates = self.stores.bus.append(Partition::of(&post.room), group).now_or_never().and_then(Result::ok);
        let Some(fate) = fates.and_then(|mut fates| fates.pop()) else { panic!("a bus in memory was away") };
        let appended = fate.map_err(PostError::Append)?;
        if let Some(Ok(page)) = self.stores.bus.history(&post.room, None, 3).now_or_never() {
            stored::rendered(&self.readers, &post.room, post.protocol, &page.entries);
        }
        Ok(Posted { seq: appended.seq, epoch: appended.epoch, time: appended.time, duplicate: appended.duplicate })
    }

    fn handle(&mut self, at: usize, input: Input<'_>, bound: usize) {
        let peer = &mut self.peers[at];
        let cx = Context { now: self.now, unix: UNIX + self.now, origin: peer.origin };
        let mut effects = Effects::new();
        let event = format!("{input:?}");
        peer.session.handle(input, &cx, &mut effects);
        assert!(effects.len() <= bound, "{} effects of {event}", effects.len());
        let mut ends = false;
        for effect in effects {
            ends |= matches!(effect, Effect::Close { .. } | Effect::Terminate);
            self.carry_out(at, effect);
        }
        if ends {
            self.close(at);
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let peer = &mut self.peers[at];
        match effect {
            Effect::Text(text) => peer.hear(self.protocol.id(), Said::Text(text)),
            Effect::Binary(bytes) => peer.hear(self.protocol.id(), Said::Binary(bytes)),
            Effect::Join(join) => peer.wait(Pending::Join(join)),
            Effect::Ask(ask) => peer.wait(Pending::Ask(ask)),
            Effect::Post(post) | Effect::PostForDirectory(post, _) => peer.posts.push_back(post),
            Effect::Tell(query) => self.stores.directory.tell(query, Instant::now()),
            Effect::Timer(id, after) if peer.open => {
                assert!(after >= Duration::from_millis(50), "a timer of {after:?}");
                peer.timers.insert(id.0, self.now + after.as_millis() as u64);
            }
            Effect::Cancel(id) => drop(peer.timers.remove(&id.0)),
            Effect::Signal { room, signal } => stored::shown(&self.readers, &room, &signal),
            Effect::Close { code, reason } => {
                assert!(
                    matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999) && reason.len() <= 123,
                    "{code} {reason}"
                );
            }
            Effect::Timer(..)
            | Effect::Ping
            | Effect::Leave { .. }
            | Effect::Standing { .. }
            | Effect::Refused(_)
            | Effect::Terminate => {}
        }
    }
}

impl Peer {
    fn hear(&mut self, protocol: ProtocolId, said: Said) {
        speech::check(protocol, &said);
        if self.open {
            self.said.push(said);
        }
    }

    fn wait(&mut self, pending: Pending) {
        if self.open {
            assert!(self.pending.is_none(), "two questions at a time");
            self.pending = Some(pending);
        }
    }
}

fn size(said: &Said) -> usize {
    match said {
        Said::Text(text) => text.len(),
        Said::Binary(bytes) => bytes.len(),
    }
}
