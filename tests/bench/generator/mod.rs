//! The load generator: many members on one thread with its own event loop, posting in an open loop at the times of a
//! Poisson process.
//!
//! It counts what every member gets and checks some in full. Latency is measured from when a post was due, so that a
//! slow server cannot slow its own measurement down.

mod alarm;
mod alike;
mod arrivals;
mod dialect;
mod exchange;
mod inflate;
mod member;
mod seen;
mod text;
pub(crate) mod wire;

use std::{
    ops::Range,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};

use self::{
    alarm::Alarm,
    alike::Alike,
    arrivals::Arrivals,
    inflate::Inflater,
    member::{Checked, Member, dial},
    seen::Seen,
    text::Scan,
};
pub(crate) use self::{
    dialect::{Dialect, Endpoint},
    seen::Faults,
};

/// Members, of those who are added together, whose every message is checked; of the others messages are counted. They are
/// spread evenly: a server that writes to one after the other reaches the first of them early.
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
    alarm: Alarm,
    ready: Vec<usize>,
    members: Vec<Member>,
    rooms: Vec<Room>,
    lanes: Vec<Lane>,
    scan: Scan,
    inflater: Inflater,
    buffer: Vec<u8>,
    alike: Alike,
    start: Instant,
    /// Length of a message's text.
    bytes: usize,
    /// Native members keep a position to resume from.
    resumable: bool,
    /// Connections that wait for their 101, and members that wait for that or for a room.
    dialling: usize,
    waiting: usize,
    arrivals: Arrivals,
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

impl Load {
    /// No members yet; messages will have `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let start = Instant::now();
        let poll = Poll::new().context("make a poll")?;
        let alarm = Alarm::new(poll.registry())?;
        Ok(Self {
            poll,
            alarm,
            events: Events::with_capacity(1024),
            ready: Vec::new(),
            members: Vec::new(),
            rooms: Vec::new(),
            lanes: Vec::new(),
            scan: Scan::new(),
            inflater: Inflater::default(),
            buffer: vec![0; exchange::READ],
            alike: Alike::default(),
            start,
            bytes,
            resumable: false,
            dialling: 0,
            waiting: 0,
            arrivals: Arrivals::none(),
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

    /// Lets native members keep their position in their only room, so that they can resume after a cut.
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
        let apart = members.div_ceil(CHECKED).max(1);
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
                checked: (index - first).is_multiple_of(apart).then(Checked::default),
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

    /// Connects members again after a cut, to resume where they were; returns when all are in. Messages continue.
    pub(crate) fn dial(&mut self, members: Range<usize>) -> Result<()> {
        for index in members.clone() {
            let deadline = Instant::now() + PATIENCE;
            self.turn(Duration::ZERO)?;
            while self.dialling >= DIALLING {
                ensure!(Instant::now() < deadline, "connections are not answered");
                self.turn(Duration::from_millis(10))?;
            }
            let member = &mut self.members[index];
            let mut stream = dial(&member.endpoint).with_context(|| format!("connect member {index}"))?;
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE).context("register")?;
            member.stream = Some(stream);
            member.joining = if member.endpoint.dialect == Dialect::Plain { 0 } else { member.rooms.len() };
            self.dialling += 1;
            self.waiting += 1;
        }
        // Joins of many rooms each take their time: it is up when none is answered any longer.
        let (mut deadline, mut left) = (Instant::now() + PATIENCE, usize::MAX);
        while self.waiting > 0 {
            if Instant::now() >= deadline {
                let joins = self.members[members.clone()].iter().map(|member| member.joining).sum();
                let refusal = self.seen.refusal.as_deref().unwrap_or("");
                let waiting = self.waiting;
                ensure!(joins < left, "{waiting} of {} members were not let in: {refusal}", members.len());
                (deadline, left) = (Instant::now() + PATIENCE, joins);
            }
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Starts to post that many messages per second over all rooms; 0 stops.
    pub(crate) fn pace(&mut self, rate: f64) {
        self.arrivals = Arrivals::at(rate, Instant::now());
    }

    /// Posts `rate` messages per second for `duration`; 0 means to watch.
    pub(crate) fn run(&mut self, rate: f64, duration: Duration) -> Result<()> {
        self.pace(rate);
        let end = Instant::now() + duration;
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
}
