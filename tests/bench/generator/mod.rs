//! The load generator: many members on one thread with its own event loop, posting in an open loop.
//!
//! It counts what every member gets and checks some in full. Latency is measured from when a post was due, so that a
//! slow server cannot slow its own measurement down.

mod dialect;
mod member;
mod seen;
mod text;
pub(crate) mod wire;

use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};

pub(crate) use self::dialect::{Dialect, Endpoint};
use self::dialect::{Position, Said};
use self::member::{Checked, Member, dial};
pub(crate) use self::seen::Faults;
use self::seen::Seen;
use self::text::{Scan, Sent};
use self::wire::{CLOSE, PING, PONG};

/// Members whose every message is checked; of the others messages are counted.
const CHECKED: usize = 32;
/// Senders of a room; fewer where it has fewer members.
pub(crate) const SENDERS: usize = 8;
/// How long stragglers are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that wait for their answer at a time: below 128, the backlog of many listeners, beyond which the kernel
/// lets a connection wait for a second.
const DIALLING: usize = 100;

/// The members of one room, or of many.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    ready: Vec<usize>,
    members: Vec<Member>,
    rooms: Vec<Room>,
    lanes: Vec<Lane>,
    scan: Scan,
    buffer: Vec<u8>,
    start: Instant,
    /// Length of a message's text.
    bytes: usize,
    /// Native members keep a position to go on from.
    resumable: bool,
    /// Members that wait for an upgrade or for a room.
    waiting: usize,
    pace: Pace,
    /// Messages sent, which number the posts; and deliveries owed for them.
    sent: u64,
    owed: u64,
    /// Messages that checked members will not get, because they were refused.
    spared: u64,
    pub(crate) seen: Seen,
}

struct Room {
    name: String,
    members: Vec<u32>,
    posts: u64,
}

struct Lane {
    room: u32,
    sender: u32,
    count: u64,
}

/// When the next message is due.
struct Pace {
    begin: Instant,
    rate: f64,
    sent: u64,
}

impl Pace {
    fn next(&self) -> Option<Instant> {
        (self.rate > 0.0).then(|| self.begin + Duration::from_secs_f64(self.sent as f64 / self.rate))
    }
}

impl Load {
    /// No members yet; messages will have `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let start = Instant::now();
        Ok(Self {
            poll: Poll::new().context("make a poll")?,
            events: Events::with_capacity(1024),
            ready: Vec::new(),
            members: Vec::new(),
            rooms: Vec::new(),
            lanes: Vec::new(),
            scan: Scan::new(),
            buffer: vec![0; 256 * 1024],
            start,
            bytes,
            resumable: false,
            waiting: 0,
            pace: Pace { begin: start, rate: 0.0, sent: 0 },
            sent: 0,
            owed: 0,
            spared: 0,
            seen: Seen::new()?,
        })
    }

    /// One room of that many members.
    pub(crate) fn one_room(endpoint: &Rc<Endpoint>, name: &str, members: usize, bytes: usize) -> Result<Self> {
        let mut load = Self::new(bytes)?;
        let room = load.room(name);
        load.connect(endpoint, members, |_| vec![room])?;
        load.speak(SENDERS);
        Ok(load)
    }

    /// Lets native members keep their position in their only room, so that they can go on after a cut.
    pub(crate) fn resumable(mut self) -> Self {
        self.resumable = true;
        self
    }

    /// A room to connect members to.
    pub(crate) fn room(&mut self, name: &str) -> u32 {
        self.rooms.push(Room { name: name.to_owned(), members: Vec::new(), posts: 0 });
        (self.rooms.len() - 1) as u32
    }

    /// Adds members, each to the rooms that `rooms` names for its index; returns when all are in.
    pub(crate) fn connect(
        &mut self,
        endpoint: &Rc<Endpoint>,
        members: usize,
        rooms: impl Fn(usize) -> Vec<u32>,
    ) -> Result<()> {
        let first = self.members.len();
        for index in first..first + members {
            let rooms = rooms(index);
            rooms.iter().for_each(|room| self.rooms[*room as usize].members.push(index as u32));
            self.members.push(Member {
                endpoint: Rc::clone(endpoint),
                stream: None,
                open: false,
                joining: 0,
                rooms,
                rest: Vec::new(),
                delivered: 0,
                checked: (index < CHECKED).then(Checked::default),
                position: None,
            });
        }
        self.dial(first..first + members)
    }

    /// Makes the first members of each room, at most `senders`, those who post there, in turn over all rooms.
    pub(crate) fn speak(&mut self, senders: usize) {
        let of_room = |(index, room): (usize, &Room)| {
            let senders: Vec<u32> = room.members.iter().copied().take(senders).collect();
            senders.into_iter().map(move |sender| Lane { room: index as u32, sender, count: 0 })
        };
        self.lanes = self.rooms.iter().enumerate().flat_map(of_room).collect();
    }

    /// Ends these members' connections at once, and forgets what was half received.
    pub(crate) fn cut(&mut self, members: Range<usize>) {
        for member in &mut self.members[members] {
            (member.stream, member.open) = (None, false);
            member.rest.clear();
        }
    }

    /// Connects members again after a cut, to go on where they were; returns when all are in. Messages go on.
    pub(crate) fn dial(&mut self, members: Range<usize>) -> Result<()> {
        for index in members.clone() {
            let deadline = Instant::now() + PATIENCE;
            self.turn(Duration::ZERO)?;
            while self.waiting >= DIALLING {
                ensure!(Instant::now() < deadline, "connections are not answered");
                self.turn(Duration::from_millis(10))?;
            }
            let member = &mut self.members[index];
            let mut stream = dial(&member.endpoint).with_context(|| format!("connect member {index}"))?;
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE).context("register")?;
            member.stream = Some(stream);
            member.joining = if member.endpoint.dialect == Dialect::Plain { 0 } else { member.rooms.len() };
            self.waiting += 1;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.waiting > 0 {
            let refusal = self.seen.refusal.as_deref().unwrap_or("");
            ensure!(
                Instant::now() < deadline,
                "{} of {} members were not let in: {refusal}",
                self.waiting,
                members.len()
            );
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Starts to post that many messages a second over all rooms; 0 stops.
    pub(crate) fn pace(&mut self, rate: f64) {
        self.pace = Pace { begin: Instant::now(), rate, sent: 0 };
    }

    /// Posts `rate` messages a second for `duration`; 0 means to watch.
    pub(crate) fn run(&mut self, rate: f64, duration: Duration) -> Result<()> {
        self.pace(rate);
        let end = self.pace.begin + duration;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.pace(0.0);
                return Ok(());
            }
            self.turn(left.min(Duration::from_millis(10)))?;
        }
    }

    /// What members must say to stay connected, where a protocol asks for it.
    pub(crate) fn heartbeat(&mut self) -> Result<()> {
        for index in 0..self.members.len() {
            if let Some(frame) = self.members[index].endpoint.heartbeat() {
                self.send(index, &frame)?;
            }
        }
        Ok(())
    }

    /// Waits until every member has everything, or `patience` is over; then tells what is wrong.
    pub(crate) fn settle_within(&mut self, patience: Duration) -> Result<Faults> {
        let deadline = Instant::now() + patience;
        while !self.settled() && Instant::now() < deadline {
            self.turn(Duration::from_millis(5))?;
        }
        let (mut lost, mut surplus) = (0, 0);
        for member in &self.members {
            let owed: u64 = member.rooms.iter().map(|room| self.rooms[*room as usize].posts).sum();
            lost += owed.saturating_sub(member.delivered);
            surplus += member.delivered.saturating_sub(owed);
        }
        Ok(self.seen.faults(lost, surplus, self.spared))
    }

    /// [`Self::settle_within`] half a minute.
    pub(crate) fn settle(&mut self) -> Result<Faults> {
        self.settle_within(PATIENCE)
    }

    fn settled(&self) -> bool {
        let native = self
            .lanes
            .first()
            .is_some_and(|lane| self.members[lane.sender as usize].endpoint.dialect == Dialect::Native);
        self.seen.delivered >= self.owed && (!native || self.seen.posted + self.seen.refused >= self.sent)
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn post(&mut self, due: Instant) -> Result<()> {
        let id = self.sent;
        let nth = (id % self.lanes.len().max(1) as u64) as usize;
        let lane = self.lanes.get_mut(nth).context("nobody was told to speak")?;
        let due = due.saturating_duration_since(self.start).as_micros() as u64;
        let text = Sent { lane: nth as u32, count: lane.count, due }.text(self.bytes);
        let (room, sender) = (&mut self.rooms[lane.room as usize], lane.sender as usize);
        lane.count += 1;
        room.posts += 1;
        self.owed += room.members.len() as u64;
        self.sent += 1;
        let frame = self.members[sender].endpoint.post(&room.name, sender, id + 1, &text);
        self.send(sender, &frame)
    }

    /// Takes a refused post, of that number from 1, out of what is owed.
    fn refused(&mut self, id: Option<u64>, answer: &[u8]) {
        self.seen.refused += 1;
        self.seen.refusal.get_or_insert_with(|| String::from_utf8_lossy(answer).into_owned());
        let (Some(id), 1..) = (id.and_then(|id| id.checked_sub(1)), self.lanes.len()) else { return };
        let lane = &self.lanes[(id % self.lanes.len() as u64) as usize];
        let room = &mut self.rooms[lane.room as usize];
        room.posts = room.posts.saturating_sub(1);
        self.owed = self.owed.saturating_sub(room.members.len() as u64);
        self.spared += room.members.iter().filter(|member| (**member as usize) < CHECKED).count() as u64;
    }

    fn send(&mut self, index: usize, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut sent = 0;
        while sent < frame.len() {
            let Some(stream) = &mut self.members[index].stream else { return Ok(()) };
            match stream.write(&frame[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(Instant::now() < deadline, "the server does not read");
                    self.listen(Duration::from_millis(1))?;
                }
                Err(_) => self.lose(index),
            }
        }
        Ok(())
    }

    fn lose(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.stream.take().is_some() {
            self.seen.closed += 1;
        }
    }

    /// Posts what is due, then reads what is there or comes within `wait`, or until the next post.
    fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut wait = wait;
        while let Some(due) = self.pace.next() {
            let early = due.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                wait = wait.min(early);
                break;
            }
            self.pace.sent += 1;
            self.post(due)?;
        }
        self.listen(wait)
    }

    fn listen(&mut self, wait: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("poll")?,
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        ready.extend(self.events.iter().map(|event| event.token().0));
        ready.iter().try_for_each(|index| self.read(*index))?;
        self.ready = ready;
        Ok(())
    }

    /// Reads what a member was sent. Answers are sent after its frames were read.
    fn read(&mut self, index: usize) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut answers = Vec::new();
        let read = self.receive(index, &mut buffer, &mut answers);
        self.buffer = buffer;
        read?;
        answers.iter().try_for_each(|answer| self.send(index, answer))
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8], answers: &mut Vec<Vec<u8>>) -> Result<()> {
        loop {
            let member = &mut self.members[index];
            let Some(stream) = &mut member.stream else { return Ok(()) };
            let held = member.rest.len();
            buffer[..held].copy_from_slice(&member.rest);
            let read = match stream.read(&mut buffer[held..]) {
                Ok(read @ 1..) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Ok(0) | Err(_) => {
                    self.lose(index);
                    return Ok(());
                }
            };
            member.rest.clear();
            let end = held + read;
            let at = self.frames(index, &buffer[..end], answers)?;
            ensure!(at > 0 || end < buffer.len(), "a frame larger than {} bytes", buffer.len());
            self.members[index].rest.extend_from_slice(&buffer[at..end]);
            if end < buffer.len() {
                // All that was there: the next event tells of more.
                return Ok(());
            }
        }
    }

    /// Reads whole frames; returns where the first that is not begins.
    fn frames(&mut self, index: usize, bytes: &[u8], answers: &mut Vec<Vec<u8>>) -> Result<usize> {
        let now = self.now();
        let mut at = 0;
        if !self.members[index].open {
            let Some(end) = wire::head(bytes) else { return Ok(0) };
            let head = String::from_utf8_lossy(&bytes[..end]);
            ensure!(head.starts_with("HTTP/1.1 101"), "the upgrade was answered with {head}");
            at = end;
            self.opened(index, answers);
        }
        while let Some((opcode, payload, length)) = wire::parse(&bytes[at..]) {
            match opcode {
                PING => answers.push(wire::frame(PONG, payload)),
                CLOSE => self.lose(index),
                PONG => {}
                _ => self.payload(index, payload, now, answers),
            }
            at += length;
        }
        Ok(at)
    }

    fn opened(&mut self, index: usize, answers: &mut Vec<Vec<u8>>) {
        let member = &mut self.members[index];
        member.open = true;
        let joins = member
            .rooms
            .iter()
            .filter_map(|room| member.endpoint.join(&self.rooms[*room as usize].name, index, member.position.as_ref()));
        // One write for all of them.
        let joins: Vec<u8> = joins.flatten().collect();
        answers.push(joins);
        if member.joining == 0 {
            self.waiting -= 1;
        }
    }

    fn payload(&mut self, index: usize, payload: &[u8], now: u64, answers: &mut Vec<Vec<u8>>) {
        let member = &mut self.members[index];
        let count = self.scan.count(payload);
        if count == 0 {
            match member.endpoint.said(payload) {
                Said::Joined { position, recovered } => self.joined(index, position, recovered),
                Said::Posted => self.seen.posted += 1,
                Said::Refused(id) => self.refused(id, payload),
                Said::Ask(answer) => answers.push(answer),
                Said::Other => {}
            }
            return;
        }
        member.delivered += count;
        self.seen.delivered += count;
        if let Some(position) = &mut member.position {
            position.seq = self.scan.last_seq(payload).unwrap_or(position.seq);
        }
        if let Some(checked) = &mut member.checked {
            self.seen.check(checked, &self.scan, payload, self.bytes, now);
        }
    }

    fn joined(&mut self, index: usize, position: Option<Position>, recovered: bool) {
        let member = &mut self.members[index];
        if member.joining == 0 {
            return;
        }
        member.joining -= 1;
        if member.joining == 0 {
            self.waiting -= 1;
        }
        match member.position {
            None if self.resumable => member.position = position,
            None => {}
            // It goes on from what it was shown, not from the room's end.
            Some(_) => self.seen.gaps += u64::from(!recovered),
        }
    }
}
