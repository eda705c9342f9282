//! A gateway reduced to its reactors.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tungstenite::{Message, WebSocket, protocol::Role};

use super::super::{Prepared, ReactorSender, ReactorSettings, Reactors, prepare_listener};
use crate::{
    clock::Clock,
    fanout::{
        encoding::{Chunk, ChunkWriter, EncodingId},
        messages::{ConnectionId, ReactorId, RoomId, ToHub, ToReactor},
        session::{
            Accepted, Answer, Ask, Context, Effect, Effects, Input, Join, Joined, NewPost, OverRate, Policy, Session,
            TimerId,
        },
    },
    moderation::Moderation,
    rooms::{Author, Content, Epoch, Position, ProtocolId, RoomName},
};

pub(super) const ENCODING: EncodingId = EncodingId(8);

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

pub(super) fn author() -> Author {
    Author { id: "u1".into(), name: "ada".into(), extra: None }
}

fn content() -> Content {
    Content { body: serde_json::value::RawValue::from_string(r#"{"text":"hi"}"#.into()).unwrap(), verbatim: None }
}

/// Does what its client says, word by word, and tells what happens to it.
struct Script {
    events: SyncSender<String>,
    /// What it asks once it has its answer.
    then: Option<Ask>,
}

impl Script {
    fn text(&mut self, text: &str, out: &mut Effects) {
        let mut words = text.split(' ');
        let (word, rest) = (words.next().unwrap(), words.next().unwrap_or_default());
        out.push(match word {
            "join" => Effect::Join(Join {
                room: room(rest),
                who: author(),
                encoding: ENCODING,
                after: None,
                presence: true,
                announce: true,
            }),
            "leave" => Effect::Leave { room: room(rest), asked: true },
            "post" => Effect::Post(NewPost {
                tag: 7,
                room: room(rest),
                from: author(),
                key: None,
                content: content(),
                amends: None,
                durable: false,
            }),
            "members" => Effect::Ask(Ask::Members { room: room(rest) }),
            "twice" => {
                self.then = Some(Ask::Members { room: room(rest) });
                Effect::Ask(Ask::Members { room: room(rest) })
            }
            "standing" => Effect::Standing { room: room(rest), person: author().id },
            "timer" => Effect::Timer(TimerId(1), Duration::from_millis(rest.parse().unwrap())),
            "cancel" => Effect::Cancel(TimerId(1)),
            "close" => Effect::Close { code: 1008, reason: "asked" },
            "terminate" => Effect::Terminate,
            "ping" => Effect::Ping,
            "big" => Effect::Text("x".repeat(rest.parse().unwrap())),
            _ => Effect::Text(text.to_owned()),
        });
    }
}

impl Session for Script {
    fn handle(&mut self, input: Input<'_>, _: &Context, out: &mut Effects) {
        let said = match input {
            Input::Open => "open".to_owned(),
            Input::Text(text) => return self.text(text, out),
            Input::Binary(bytes) => return out.push(Effect::Binary(bytes.to_vec())),
            Input::Limited { text, retry } => format!("limited {text} {}", !retry.is_zero()),
            Input::Pong => "pong".to_owned(),
            Input::Timer(_) => "timer".to_owned(),
            Input::Answer(Answer::Joined(joined)) => format!("joined {} {}", joined.room, joined.head.seq),
            Input::Answer(_) if self.then.is_some() => return out.extend(self.then.take().map(Effect::Ask)),
            Input::Answer(Answer::Members(n)) => format!("members {n}"),
            Input::Answer(answer) => format!("{answer:?}"),
            Input::Posted { result: Ok(posted), .. } => format!("posted {}", posted.seq),
            Input::Posted { result: Err(error), .. } => error.to_string(),
            Input::Gap { room, from, to, .. } => format!("gap {room} {from} {to:?}"),
            Input::Presence { presence, .. } => format!("present {}", presence.members),
            Input::Notice { room } => format!("notice {room}"),
            Input::Moderated(news) => format!("{} {:?}", news.code.name(), news.until),
            Input::Moved { .. } => "moved".to_owned(),
            Input::Closed { read } => {
                let read = read.iter().map(|(room, Position { epoch, seq })| format!(" {room} {}:{seq}", epoch.0));
                let _ = self.events.try_send(format!("closed{}", read.collect::<String>()));
                out.push(Effect::Text("nobody hears this".to_owned()));
                return;
            }
        };
        out.push(Effect::Text(said));
    }
}

/// A client that reads with patience.
pub(super) struct Client {
    pub(super) socket: WebSocket<TcpStream>,
    /// What its session told.
    pub(super) events: Receiver<String>,
    /// Who it is on its reactor, once it has joined something.
    pub(super) id: Option<ConnectionId>,
}

impl Client {
    pub(super) fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next message; a close frame as its code.
    pub(super) fn hear(&mut self) -> String {
        match self.socket.read() {
            Ok(Message::Text(text)) => text.to_string(),
            Ok(Message::Binary(bytes)) => format!("{bytes:?}"),
            Ok(Message::Ping(_)) => "(ping)".to_owned(),
            Ok(Message::Pong(payload)) => format!("(pong {payload:?})"),
            Ok(Message::Close(frame)) => {
                frame.map_or("(close)".to_owned(), |frame| format!("({} {})", frame.code, frame.reason))
            }
            Ok(Message::Frame(_)) => unreachable!("never read"),
            Err(error) => format!("({error})"),
        }
    }

    /// Whether nothing comes within `wait`.
    pub(super) fn hears_nothing(&mut self, wait: Duration) -> bool {
        self.socket.get_ref().set_read_timeout(Some(wait)).unwrap();
        let silent = matches!(self.socket.read(), Err(tungstenite::Error::Io(error))
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        self.socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }
}

pub(super) struct Rig {
    pub(super) reactors: Reactors,
    pub(super) senders: Vec<ReactorSender>,
    /// The hub's queue is full while this is set.
    pub(super) moderation: Arc<Moderation>,
    pub(super) full: Arc<AtomicBool>,
    from_reactors: Receiver<ToHub>,
    waiting: VecDeque<ToHub>,
    listener: TcpListener,
}

pub(super) fn settings() -> ReactorSettings {
    ReactorSettings { threads: 1, ..ReactorSettings::new(9) }
}

pub(super) fn policy() -> Policy {
    Policy { message_bytes: 4096, messages_per_second: 10_000, over_rate: OverRate::StopReading, resumes: true }
}

impl Rig {
    pub(super) fn start(settings: ReactorSettings) -> Self {
        let moderation = Moderation::in_memory(Clock::start(), Arc::default());
        let prepared: Prepared = Reactors::prepare(settings, Arc::clone(&moderation)).unwrap();
        let senders = prepared.senders();
        let (queue, from_reactors) = sync_channel(100_000);
        let full = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&full);
        let hub = move |message: ToHub| {
            if closed.load(SeqCst) {
                return Err(message);
            }
            queue.try_send(message).map_err(|error| match error {
                std::sync::mpsc::TrySendError::Full(message) | std::sync::mpsc::TrySendError::Disconnected(message) => {
                    message
                }
            })
        };
        let reactors = prepared.start(hub).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        prepare_listener(&listener).unwrap();
        Self { reactors, senders, moderation, full, from_reactors, waiting: VecDeque::new(), listener }
    }

    pub(super) fn connect(&mut self, policy: Policy) -> Client {
        self.connect_with(policy, Bytes::new())
    }

    /// Connects, with bytes that came along with the upgrade request.
    pub(super) fn connect_with(&mut self, policy: Policy, leftover: Bytes) -> Client {
        let ours = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        let (told, events) = sync_channel(64);
        let session = Box::new(Script { events: told, then: None });
        let address = Ipv4Addr::LOCALHOST.into();
        let accepted =
            Accepted { stream, leftover, session, policy, address, protocol: ProtocolId::Native, deflate: false };
        assert!(self.reactors.adopt(accepted).is_ok());
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours.set_nodelay(true).unwrap();
        let mut client = Client { socket: WebSocket::from_raw_socket(ours, Role::Client, None), events, id: None };
        assert_eq!(client.hear(), "open");
        client
    }

    /// The next message of a reactor.
    pub(super) fn next(&mut self) -> ToHub {
        self.waiting.pop_front().unwrap_or_else(|| self.from_reactors.recv_timeout(PATIENCE).expect("a reactor speaks"))
    }

    /// Whether the reactors say nothing for a while.
    pub(super) fn is_silent(&mut self, wait: Duration) -> bool {
        match self.from_reactors.recv_timeout(wait) {
            Ok(message) => {
                self.waiting.push_back(message);
                false
            }
            Err(_) => true,
        }
    }

    pub(super) fn push(&self, reactor: ReactorId, batch: Vec<ToReactor>) {
        let mut batch = batch;
        let deadline = Instant::now() + PATIENCE;
        while let Err(back) = self.senders[usize::from(reactor.0)].try_send(batch) {
            assert!(Instant::now() < deadline, "the inbox stays full");
            std::thread::sleep(Duration::from_millis(1));
            batch = back;
        }
    }

    /// Has the client join `name` as room number `number`, with a backlog.
    pub(super) fn join(&mut self, client: &mut Client, name: &str, number: u32, backlog: Vec<Chunk>) {
        client.say(&format!("join {name}"));
        let ToHub::Join { from, join, .. } = self.next() else { panic!("a join") };
        assert_eq!(join.room.as_str(), name);
        client.id = Some(from);
        self.answer_join(from, name, number, backlog);
        assert_eq!(client.hear(), format!("joined {name} 5"));
    }

    pub(super) fn answer_join(&self, to: ConnectionId, name: &str, number: u32, backlog: Vec<Chunk>) {
        let answer = Answer::Joined(Joined {
            room: room(name),
            head: Position { epoch: Epoch(1), seq: 5 },
            members: 1,
            recovered: false,
            gap: None,
            announced: true,
        });
        let joined = ToReactor::Joined { to, room: RoomId(number), encoding: ENCODING, answer, backlog };
        self.push(to.reactor, vec![joined]);
    }

    /// Gives every reactor a chunk of room `number`.
    pub(super) fn publish(&self, number: u32, chunk: &Chunk) {
        for sender in &self.senders {
            self.push(sender.id(), vec![chunk_of(number, chunk.clone())]);
        }
    }
}

pub(super) fn chunk_of(number: u32, chunk: Chunk) -> ToReactor {
    ToReactor::Chunk { room: RoomId(number), encoding: ENCODING, epoch: Epoch(2), chunk }
}

/// A chunk with one entry.
pub(super) fn entry(seq: u64, text: &str) -> Chunk {
    let mut writer = ChunkWriter::default();
    writer.text(text.as_bytes());
    writer.seal(Some((seq, seq)))
}

/// Waits until `done`.
pub(super) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
