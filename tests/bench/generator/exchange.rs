//! What passes between a load's members and the server: posts when they are due, frames as they come.

use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Load, PATIENCE,
    alarm::ALARM,
    dialect::{Position, Said},
    text::Sent,
    wire::{self, CLOSE, PING, PONG},
};

/// Bytes read at a time, more than any frame has.
pub(super) const READ: usize = 256 << 10;
/// Members read before it is looked whether a message is due: some hundred microseconds.
const READS: usize = 32;

impl Load {
    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn post(&mut self, due: Instant) -> Result<()> {
        let id = self.sent;
        let nth = (id % self.lanes.len().max(1) as u64) as usize;
        let lane = self.lanes.get_mut(nth).context("no member is to speak")?;
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

    /// Takes a refused post, of that number from 1, out of the deliveries to come.
    fn refused(&mut self, id: Option<u64>, answer: &[u8]) {
        self.seen.refused += 1;
        self.seen.refusal.get_or_insert_with(|| String::from_utf8_lossy(answer).into_owned());
        let (Some(id), 1..) = (id.and_then(|id| id.checked_sub(1)), self.lanes.len()) else { return };
        let lane = &self.lanes[(id % self.lanes.len() as u64) as usize];
        let room = &mut self.rooms[lane.room as usize];
        room.posts = room.posts.saturating_sub(1);
        self.owed = self.owed.saturating_sub(room.members.len() as u64);
        let checked = |member: &&u32| self.members[**member as usize].checked.is_some();
        self.spared += room.members.iter().filter(checked).count() as u64;
    }

    pub(super) fn send(&mut self, index: usize, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut sent = 0;
        while sent < frame.len() {
            let Some(stream) = &mut self.members[index].stream else { return Ok(()) };
            match stream.write(&frame[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(Instant::now() < deadline, "the server does not read");
                    // No other frame may come between the parts of this one.
                    self.listen(Duration::from_millis(1), false)?;
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
    pub(super) fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut wait = wait;
        self.post_due()?;
        if let Some(due) = self.arrivals.next() {
            wait = wait.min(due.saturating_duration_since(Instant::now()));
            self.alarm.set(due, self.arrivals.rate())?;
        }
        self.listen(wait, true)
    }

    fn post_due(&mut self) -> Result<()> {
        while let Some(due) = self.arrivals.next().filter(|due| *due <= Instant::now()) {
            self.arrivals.advance();
            self.post(due)?;
        }
        Ok(())
    }

    /// Reads what is there or comes within `wait`; `posting` meanwhile, too.
    fn listen(&mut self, wait: Duration, posting: bool) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("poll")?,
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        ready.extend(self.events.iter().map(|event| event.token().0).filter(|token| *token != ALARM.0));
        for some in ready.chunks(READS) {
            some.iter().try_for_each(|index| self.read(*index))?;
            // To read everyone takes milliseconds, which are not the server's.
            if posting {
                self.post_due()?;
            }
        }
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
            self.seen.bytes += read as u64;
            member.rest.clear();
            let end = held + read;
            self.take(index, &buffer[..end], answers)?;
            if end < buffer.len() {
                // All that was there: the next event tells of more.
                return Ok(());
            }
        }
    }

    /// Reads the frames in `bytes`, and keeps the beginning of one that is not whole. What one member after the other is
    /// sent alike is counted once, where messages are all that is in it and no more than their number is wanted.
    fn take(&mut self, index: usize, bytes: &[u8], answers: &mut Vec<Vec<u8>>) -> Result<()> {
        let member = &mut self.members[index];
        let counted = member.open && member.checked.is_none() && member.position.is_none();
        if counted && let Some(messages) = self.alike.messages(bytes) {
            member.delivered += messages;
            self.seen.delivered += messages;
            return Ok(());
        }
        let (before, others) = (member.delivered, self.seen.others);
        let at = self.frames(index, bytes, answers)?;
        ensure!(at > 0 || bytes.len() < READ, "a frame larger than {} bytes", READ);
        let member = &mut self.members[index];
        member.rest.extend_from_slice(&bytes[at..]);
        if counted && at == bytes.len() && self.seen.others == others {
            self.alike.keep(bytes, member.delivered - before);
        }
        Ok(())
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
        // Taken out, as what it holds is read while the load counts.
        let mut inflater = std::mem::take(&mut self.inflater);
        while let Some(frame) = wire::parse(&bytes[at..]) {
            self.seen.others += u64::from(matches!(frame.opcode, PING | CLOSE | PONG));
            match frame.opcode {
                PING => answers.push(wire::frame(PONG, frame.payload)),
                CLOSE => self.lose(index),
                PONG => {}
                _ if frame.deflated => self.payload(index, inflater.read(frame.payload)?, now, answers),
                _ => self.payload(index, frame.payload, now, answers),
            }
            at += frame.length;
        }
        self.inflater = inflater;
        Ok(at)
    }

    fn opened(&mut self, index: usize, answers: &mut Vec<Vec<u8>>) {
        self.dialling -= 1;
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
            self.seen.others += 1;
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
            // It resumes from what it was shown, not from the room's end.
            Some(_) => self.seen.gaps += u64::from(!recovered),
        }
    }
}
