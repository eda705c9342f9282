//! The load generator: many native members on one thread with its own event loop, posting in an open loop.
//!
//! It counts what every member gets, and checks order and latency of a few in full. Latency is measured from when a
//! post was due, so that a slow server cannot slow its own measurement down.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::wire::{self, CLOSE, Items, PING, PONG, TEXT};

/// Members whose every message is checked; the others are counted.
const CHECKED: usize = 32;
/// How long stragglers are waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The members of one room.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    items: Items,
    buffer: Vec<u8>,
    start: Instant,
    room: String,
    next_id: u64,
    pub(crate) seen: Seen,
}

/// What was seen so far.
pub(crate) struct Seen {
    pub(crate) joined: usize,
    pub(crate) posted: u64,
    pub(crate) refused: u64,
    pub(crate) first_refusal: Option<String>,
    /// Messages over all members.
    pub(crate) delivered: u64,
    /// Messages of checked members that did not follow the one before.
    pub(crate) disordered: u64,
    /// Microseconds, of checked members.
    pub(crate) latency: Histogram<u64>,
    pub(crate) closed: usize,
}

struct Member {
    stream: TcpStream,
    /// The beginning of a frame that is not whole yet.
    rest: Vec<u8>,
    delivered: u64,
    last_seq: Option<u64>,
}

impl Load {
    /// Connects that many members and joins them to `room`.
    pub(crate) fn connect(address: SocketAddr, room: &str, members: usize) -> Result<Self> {
        let mut load = Self {
            poll: Poll::new().context("make a poll")?,
            events: Events::with_capacity(1024),
            members: Vec::new(),
            items: Items::new(),
            buffer: vec![0; 256 * 1024],
            start: Instant::now(),
            room: room.to_owned(),
            next_id: 1,
            seen: Seen::new()?,
        };
        load.grow(address, members)?;
        Ok(load)
    }

    /// Adds that many members.
    pub(crate) fn grow(&mut self, address: SocketAddr, members: usize) -> Result<()> {
        let all = self.members.len() + members;
        for _ in 0..members {
            self.member(address)?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.seen.joined < all {
            ensure!(Instant::now() < deadline, "only {} of {all} members joined in time", self.seen.joined);
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    fn member(&mut self, address: SocketAddr) -> Result<()> {
        let (stream, rest) = wire::dial(address, "/chat")?;
        stream.set_nonblocking(true).context("unblock")?;
        let mut stream = TcpStream::from_std(stream);
        let index = self.members.len();
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE).context("register")?;
        self.members.push(Member { stream, rest, delivered: 0, last_seq: None });
        let join = format!(r#"{{"op":"join","id":0,"room":"{}","name":"m{index}"}}"#, self.room);
        self.send(index, &wire::frame(TEXT, join.as_bytes()))
    }

    /// Posts `rate` messages a second of about `bytes` each through eight members, for `duration`; 0 means to watch.
    pub(crate) fn run(&mut self, rate: f64, bytes: usize, duration: Duration) -> Result<()> {
        let (begin, mut posted) = (Instant::now(), 0_u64);
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= duration {
                return Ok(());
            }
            while rate > 0.0 && (posted as f64) < elapsed.as_secs_f64() * rate {
                let due = begin + Duration::from_secs_f64(posted as f64 / rate);
                self.post(due, bytes)?;
                posted += 1;
            }
            let next = begin + Duration::from_secs_f64(if rate > 0.0 { posted as f64 / rate } else { 1e6 });
            let wait = next.min(begin + duration).saturating_duration_since(Instant::now());
            self.turn(wait.min(Duration::from_millis(10)))?;
        }
    }

    /// Reads until every member has every message that was acknowledged; returns how many are missing at the end.
    pub(crate) fn settle(&mut self) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        while self.missing() > 0 && Instant::now() < deadline {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(self.missing())
    }

    fn missing(&self) -> u64 {
        let answered = self.seen.posted + self.seen.refused;
        let unanswered = (self.next_id - 1).saturating_sub(answered);
        let lacking: u64 = self.members.iter().map(|m| self.seen.posted.saturating_sub(m.delivered)).sum();
        lacking + unanswered
    }

    fn post(&mut self, due: Instant, bytes: usize) -> Result<()> {
        let posters = self.members.len().min(8) as u64;
        let (id, micros) = (self.next_id, due.saturating_duration_since(self.start).as_micros());
        self.next_id += 1;
        let text = format!("{:.<bytes$}", format!("{micros} "));
        let body = format!(r#"{{"op":"post","id":{id},"room":"{}","body":{{"text":"{text}"}}}}"#, self.room);
        self.send((id % posters) as usize, &wire::frame(TEXT, body.as_bytes()))
    }

    fn send(&mut self, index: usize, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut sent = 0;
        while sent < frame.len() {
            match self.members[index].stream.write(&frame[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(Instant::now() < deadline, "the server does not read");
                    self.turn(Duration::from_millis(1))?;
                }
                Err(error) => return Err(error).context("send"),
            }
        }
        Ok(())
    }

    /// Waits for something to read, and reads it.
    fn turn(&mut self, wait: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("poll")?,
        }
        let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        let mut pongs = Vec::new();
        for index in ready {
            self.read(index, &mut pongs)?;
        }
        for (index, payload) in pongs {
            self.send(index, &wire::frame(PONG, &payload))?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize, pongs: &mut Vec<(usize, Vec<u8>)>) -> Result<()> {
        let Self { members, buffer, items, start, seen, .. } = self;
        let member = &mut members[index];
        let now = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        loop {
            let held = member.rest.len();
            buffer[..held].copy_from_slice(&member.rest);
            member.rest.clear();
            let read = match member.stream.read(&mut buffer[held..]) {
                Ok(0) => bail!("member {index} was disconnected; {} were before", seen.closed),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    member.rest.extend_from_slice(&buffer[..held]);
                    return Ok(());
                }
                Err(error) => return Err(error).context("read"),
            };
            let (mut at, end) = (0, held + read);
            while let Some((opcode, payload, length)) = wire::parse(&buffer[at..end]) {
                match opcode {
                    TEXT => seen.text(index, member, payload, items, now),
                    PING => pongs.push((index, payload.to_vec())),
                    CLOSE => seen.closed += 1,
                    _ => {}
                }
                at += length;
            }
            ensure!(at > 0 || end < buffer.len(), "a frame larger than {} bytes", buffer.len());
            member.rest.extend_from_slice(&buffer[at..end]);
            if end < buffer.len() {
                // All that was there: the next event tells of more.
                return Ok(());
            }
        }
    }
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            joined: 0,
            posted: 0,
            refused: 0,
            first_refusal: None,
            delivered: 0,
            disordered: 0,
            latency: Histogram::new_with_bounds(1, 600_000_000, 3).context("make a histogram")?,
            closed: 0,
        })
    }

    fn text(&mut self, index: usize, member: &mut Member, payload: &[u8], items: &Items, now: u64) {
        if payload.starts_with(br#"{"op":"messages""#) {
            let count = items.count(payload);
            member.delivered += count;
            self.delivered += count;
            if index < CHECKED {
                items.read(payload, |seq, due| {
                    let follows = member.last_seq.is_none_or(|last| seq == last + 1);
                    self.disordered += u64::from(!follows);
                    member.last_seq = Some(seq);
                    self.latency.saturating_record(now.saturating_sub(due).max(1));
                });
            }
        } else if payload.starts_with(br#"{"op":"posted""#) {
            self.posted += 1;
        } else if payload.starts_with(br#"{"op":"joined""#) {
            self.joined += 1;
        } else if payload.starts_with(br#"{"op":"error""#) {
            self.refused += 1;
            self.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
        }
    }
}
