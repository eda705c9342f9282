//! A reactor: one thread with its sockets, its readers and its way to the hub.
//!
//! Decides nothing itself: the scheduler says which step comes next, each step says what must happen next, and the loop
//! here carries both out. No other file of the folder knows this one but `mod.rs`, which starts the threads.

use std::{io, sync::Arc, thread, time::Duration};

use super::{
    clock::{Clock, Now},
    counters::Counters,
    drain_control::DrainControl,
    effects::{MOVED, Stage},
    flush::flush,
    from_hub::{Arrival, queue_backlog},
    hub_port::HubPort,
    ids::Slot,
    mailbox::{INBOX_BATCHES, Mailbox},
    next::{Next, Todo},
    readers::Readers,
    scheduler::{Flushed, Scheduler, Step, Work},
    settings::{HubQueue, ReactorSettings},
    sockets::{Heard, Intake, Key, Pending, Sockets, Stop},
    write::write_on,
};
use crate::{
    fanout::{
        messages::{ReactorId, ToReactor},
        session::{Accepted, Effects, Input},
    },
    moderation::Moderation,
    rooms::{Position, RoomName},
};

/// Connections read in a turn, before others are written to.
const SOCKETS: usize = 512;

/// A client that was asked to move is closed after this long.
const CUT: Duration = Duration::from_secs(5);

/// Clients that move are asked to come back within this time, spread evenly.
const JITTER: Duration = Duration::from_secs(2);

/// Everything a reactor thread owns.
pub(super) struct Reactor {
    settings: ReactorSettings,
    clock: Clock,
    now: Now,
    mailbox: Mailbox,
    scheduler: Scheduler,
    sockets: Sockets,
    readers: Readers,
    hub: HubPort,
    moderation: Arc<Moderation>,
    drain: Arc<DrainControl>,
    counters: Arc<Counters>,
    todo: Todo,
    /// Lent to one step at a time, so that nothing is allocated in it.
    effects: Effects,
    intake: Intake,
    /// Bytes of chunks that may still be taken for the flush that is under way.
    appetite: usize,
}

/// What all reactors of a gateway are given.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) hub: Arc<dyn HubQueue>,
    pub(super) moderation: Arc<Moderation>,
    pub(super) drain: Arc<DrainControl>,
}

impl Reactor {
    pub(super) fn new(
        id: ReactorId,
        settings: ReactorSettings,
        clock: Clock,
        mailbox: Mailbox,
        shared: Shared,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let Shared { hub, moderation, drain } = shared;
        let now = clock.now();
        let registry = mailbox.registry()?;
        Ok(Self {
            settings,
            clock,
            now,
            mailbox,
            scheduler: Scheduler::new(now.micros),
            sockets: Sockets::new(id, settings.gateway, settings.replies_bytes, registry, Arc::clone(&counters), now),
            readers: Readers::new(settings),
            hub: HubPort::new(hub, Arc::clone(&counters)),
            moderation,
            drain,
            counters,
            todo: Todo::new(),
            effects: Effects::new(),
            intake: Intake::new(),
            appetite: 0,
        })
    }

    /// Runs until the reactors are shut down.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut fresh = false;
        let mut began = self.clock.micros();
        while !self.drain.shutting_down() {
            let step = self.scheduler.next(self.clock.micros(), self.work());
            match step {
                Step::Poll { timeout, ring } => {
                    self.counters.turn(began.until(self.clock.micros()));
                    self.mailbox.wait(timeout, ring, || self.drain.shutting_down())?;
                    self.now = self.clock.now();
                    began = self.now.micros;
                }
                Step::Read => self.read(),
                Step::Pause(pause) => {
                    thread::sleep(pause);
                    let asleep = self.now.micros;
                    self.now = self.clock.now();
                    began = began.plus(asleep.until(self.now.micros));
                }
                Step::Take { first } => fresh = self.take(first) > 0,
                Step::Flush { writes } => self.flush(writes, fresh),
                Step::EndTurn => self.end_turn(),
            }
        }
        self.end_all();
        Ok(())
    }

    fn work(&self) -> Work {
        let ticking = self.sockets.has_timers() || self.hub.holds_back() || self.drain.draining();
        Work {
            readable: self.sockets.readable() > 0,
            news: self.sockets.has_writable() || self.readers.have_news(),
            timer: ticking.then(|| self.now.micros.until_tick()),
        }
    }

    // The steps of a turn.

    fn read(&mut self) {
        for event in self.mailbox.events() {
            let slot = Slot(event.token().0 as u32);
            if self.sockets.table().saw(slot, event) {
                write_on(slot, self.sockets.table(), &mut self.readers, &self.counters);
            }
        }
        let adopted: Vec<Accepted> = self.mailbox.adopted().collect();
        adopted.into_iter().for_each(|accepted| self.adopt(accepted));
        for _ in 0..self.sockets.readable().min(SOCKETS) {
            let Some(slot) = self.sockets.next_to_read(&mut self.intake) else { break };
            self.hear(slot);
        }
    }

    fn adopt(&mut self, accepted: Accepted) {
        match self.sockets.adopt(accepted) {
            Some(slot) => self.tell(slot, Input::Open),
            None => self.mailbox.ended(),
        }
        self.carry_on();
    }

    /// Tells the session what its peer says, until this turn brings nothing more.
    fn hear(&mut self, slot: Slot) {
        loop {
            match self.sockets.hear(slot, &mut self.intake, self.now, &mut self.effects) {
                Heard::Handled { .. } => self.carry_out(slot),
                Heard::Closed(code) => {
                    self.sockets.peer_closed(slot);
                    self.stage().close(slot, code, "");
                }
                Heard::Wait(micros) => {
                    self.sockets.count_refusal(slot, "rate_limited");
                    self.sockets.stop(slot, Stop::Rate, self.now);
                    self.sockets.set_timer(slot, Key::Resume, Duration::from_micros(micros), self.now.micros);
                }
                Heard::Flood => {
                    self.sockets.count_refusal(slot, "flood");
                    self.stage().close(slot, Some(1008), "flood");
                }
                Heard::Broken(violation) => {
                    self.sockets.count_refusal(slot, violation.reason());
                    self.stage().close(slot, Some(violation.code()), violation.reason());
                }
                Heard::Nothing => return,
            }
            self.carry_on();
        }
    }

    /// Takes what the hub has sent, as long as the flush that begins or is under way has an appetite for it: it would
    /// chase an end that moves. The rest waits, and its senders with it. Returns the bytes of chunks.
    fn take(&mut self, first: bool) -> usize {
        if first {
            self.appetite = self.settings.ring_bytes / 4;
        }
        let mut taken = 0;
        for _ in 0..INBOX_BATCHES {
            let Some(batch) = (taken < self.appetite).then(|| self.mailbox.next_batch()).flatten() else { break };
            taken += batch.into_iter().map(|message| self.take_message(message)).sum::<usize>();
        }
        self.appetite = self.appetite.saturating_sub(taken);
        taken
    }

    fn take_message(&mut self, message: ToReactor) -> usize {
        let mut arrival = Arrival {
            sockets: &mut self.sockets,
            readers: &mut self.readers,
            moderation: &self.moderation,
            counters: &self.counters,
            slow_consumer: self.settings.slow_consumer,
            todo: &mut self.todo,
        };
        let bytes = arrival.take(message);
        self.carry_on();
        bytes
    }

    fn flush(&mut self, writes: usize, fresh: bool) {
        let start = self.clock.now();
        let done = flush(writes, self.sockets.table(), &mut self.readers, &self.counters, start);
        let end = self.clock.micros();
        self.scheduler.flushed(Flushed { cost: start.micros.until(end), fresh, done }, end);
        self.counters.set_flush_pause(self.scheduler.flush_pause());
    }

    /// Runs the timers that are over, tries the hub again, asks clients to move, and frees what ended.
    fn end_turn(&mut self) {
        if self.sockets.ends_tick(self.now) {
            for (slot, key) in self.sockets.run_timers(self.now.tick()) {
                self.ran_out(slot, key);
            }
            for from in self.hub.retry() {
                if let Some(slot) = self.sockets.find(from) {
                    self.sockets.release(slot, self.now);
                }
            }
            self.move_on();
        }
        while let Some(slot) = self.sockets.next_dropped() {
            self.end(slot, &[]);
            self.carry_on();
            if self.sockets.free(slot) {
                self.mailbox.ended();
            }
        }
    }

    fn ran_out(&mut self, slot: Slot, key: Key) {
        match key {
            Key::Session(id) => self.tell(slot, Input::Timer(id)),
            Key::Resume => self.sockets.resume(slot, Stop::Rate, self.now),
            Key::Linger => self.sockets.drop(slot),
            Key::Cut => self.stage().close(slot, Some(MOVED), "moved"),
        }
        self.carry_on();
    }

    /// Asks as many clients to reconnect elsewhere as the rate of draining allows by now.
    fn move_on(&mut self) {
        while self.drain.draining() {
            let Some(slot) = self.sockets.next_to_move() else { return };
            if !self.drain.claim(self.now.micros) {
                return;
            }
            self.sockets.ask_to_move(slot);
            self.sockets.set_timer(slot, Key::Cut, CUT, self.now.micros);
            self.tell(slot, Input::Moved { after: rand::random_range(0..=JITTER.as_millis() as u64) });
            self.carry_on();
        }
    }

    /// Closes everything with 1012, as far as the sockets take it.
    fn end_all(&mut self) {
        for slot in self.sockets.slots().filter(|slot| self.sockets.is_used(*slot)).collect::<Vec<_>>() {
            self.stage().close(slot, Some(MOVED), "going_away");
            self.carry_on();
            write_on(slot, self.sockets.table(), &mut self.readers, &self.counters);
            self.sockets.drop(slot);
        }
        self.end_turn();
    }

    // What must happen next.

    /// Does what is to be done, until nothing is.
    fn carry_on(&mut self) {
        loop {
            if self.sockets.table().holds_too_much() {
                self.relieve();
            }
            let Some(next) = self.todo.pop_front() else { return };
            match next {
                Next::Tell(slot, input) => self.tell(slot, input),
                Next::Refuse(slot, input) => {
                    let from = self.todo.len();
                    self.tell(slot, input);
                    self.stage().refuse_once(slot, from);
                }
                Next::Joined { slot, feed, backlog } => {
                    if self.readers.reads(slot, feed) && !self.sockets.is_ended(slot) {
                        queue_backlog(slot, &backlog, self.sockets.table(), &self.counters);
                    }
                    self.sockets.read_on(slot, self.now);
                }
                Next::ReadOn(slot) => self.sockets.read_on(slot, self.now),
                Next::Close { slot, code, reason } => self.stage().close(slot, Some(code), reason),
                Next::End { slot, read } => self.end(slot, &read),
            }
        }
    }

    /// Hands `input` to the session, if there still is one, and carries out what it wants.
    fn tell(&mut self, slot: Slot, input: Input<'_>) {
        if self.sockets.tell(slot, input, self.now, &mut self.effects) {
            self.carry_out(slot);
        }
    }

    /// Carries out what a session wants, in order.
    fn carry_out(&mut self, slot: Slot) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut stage = self.stage();
        effects.drain(..).for_each(|effect| stage.carry_out(slot, effect));
        self.effects = effects;
    }

    /// Tells the session that it is over, once, carries out its last wishes, and takes it out of its rooms.
    fn end(&mut self, slot: Slot, read: &[(RoomName, Position)]) {
        let Some((mut session, pending)) = self.sockets.end_session(slot) else { return };
        session.handle(Input::Closed { read }, &self.sockets.context(slot, self.now), &mut self.effects);
        drop(session);
        self.carry_out(slot);
        if let Some(Pending::Join { room, .. }) = pending {
            self.stage().leave(slot, room, false);
        }
        while let Some(room) = self.readers.any_room(slot) {
            self.stage().leave(slot, room, false);
        }
    }

    /// Replies that clients leave unread take more memory than all connections may: writes what can be written, and cuts
    /// those that hold most.
    fn relieve(&mut self) {
        while let Some(slot) = self.sockets.table().next_to_write() {
            write_on(slot, self.sockets.table(), &mut self.readers, &self.counters);
        }
        if self.sockets.table().holds_too_much() {
            for slot in self.sockets.table().heaviest() {
                self.stage().cut_slow(slot);
            }
        }
    }

    fn stage(&mut self) -> Stage<'_> {
        Stage {
            sockets: &mut self.sockets,
            readers: &mut self.readers,
            hub: &mut self.hub,
            moderation: &self.moderation,
            counters: &self.counters,
            now: self.now,
            todo: &mut self.todo,
        }
    }
}
