//! What a reactor thread does next, and for how long: wait, read, pause, take what the hub sent, write.
//!
//! Decides when to coalesce: never while there is time to spare. Pure: the caller passes the time, carries each step out
//! and says what it cost. Two budgets, both earned by time passing. A turn of the loop is worth half a millisecond, so
//! that above two thousand turns per second those that come share a turn. Writing may take a third of the thread; what it
//! takes beyond that is paid for by pauses, and what arrives meanwhile shares a write.

use std::time::Duration;

use super::clock::Micros;

/// Writes in a turn, about one millisecond, before sockets are read again and the hub is listened to.
const WRITES: usize = 128;

/// What the loop carries out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for sockets and other threads, at most for `timeout` if there is one. `ring`: a thread that queues something has
    /// to ring; otherwise the time ends the wait.
    Poll { timeout: Option<Duration>, ring: bool },
    /// Take over new sockets, read those that are listed.
    Read,
    /// Look at nothing for so long. Not in the poll, which the first frame would end; what was read makes its way
    /// through the bus meanwhile.
    Pause(Duration),
    /// Take what the hub has sent. `first`: for a flush that begins.
    Take { first: bool },
    /// Write, with at most so many calls; then say what it cost with [`Scheduler::flushed`].
    Flush { writes: usize },
    /// Run timers, free what has ended.
    EndTurn,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Sockets are listed to be read.
    pub(super) readable: bool,
    /// Something waits to be written.
    pub(super) news: bool,
    /// When a timer may run out.
    pub(super) timer: Option<Duration>,
}

/// A flush, or a part of one, that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flushed {
    pub(super) cost: Duration,
    /// Something new had come for it.
    pub(super) fresh: bool,
    /// Nothing is left to write.
    pub(super) done: bool,
}

/// The step of a turn that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Poll,
    Read,
    Pause,
    Take,
    Flush,
    EndTurn,
}

/// The scheduler of one reactor.
#[derive(Debug)]
pub(super) struct Scheduler {
    phase: Phase,
    turns: Turns,
    writing: Writing,
}

impl Scheduler {
    pub(super) fn new(now: Micros) -> Self {
        Self { phase: Phase::Poll, turns: Turns { even: now }, writing: Writing::new(now) }
    }

    /// The next step, at `now`.
    pub(super) fn next(&mut self, now: Micros, work: Work) -> Step {
        loop {
            match self.phase {
                Phase::Poll => {
                    self.phase = Phase::Read;
                    return Step::Poll { timeout: self.timeout(now, work), ring: !work.news };
                }
                Phase::Read => {
                    self.phase = Phase::Pause;
                    self.turns.begin(now);
                    return Step::Read;
                }
                Phase::Pause => {
                    self.phase = Phase::Take;
                    let pause = self.turns.pause(now).max(self.writing.pause_within(now));
                    if !pause.is_zero() {
                        return Step::Pause(pause);
                    }
                }
                Phase::Take if work.news && !self.writing.may_continue(now) => self.phase = Phase::EndTurn,
                Phase::Take => {
                    self.phase = Phase::Flush;
                    return Step::Take { first: !self.writing.begun };
                }
                Phase::Flush => {
                    self.phase = Phase::EndTurn;
                    // One that has begun is brought to its end, though its rooms may all have emptied meanwhile.
                    if self.writing.begun || work.news && self.writing.may_continue(now) {
                        return Step::Flush { writes: WRITES };
                    }
                }
                Phase::EndTurn => {
                    self.phase = Phase::Poll;
                    return Step::EndTurn;
                }
            }
        }
    }

    /// Pays for a flush that has ended at `now`.
    pub(super) fn flushed(&mut self, flushed: Flushed, now: Micros) {
        self.writing.flushed(flushed, now);
    }

    /// The pauses that the last flush had to be paid for with, together.
    pub(super) fn flush_pause(&self) -> Duration {
        self.writing.last_pause
    }

    fn timeout(&self, now: Micros, work: Work) -> Option<Duration> {
        if work.readable || self.writing.begun {
            return Some(Duration::ZERO);
        }
        work.news.then(|| now.until(self.writing.next)).into_iter().chain(work.timer).min()
    }
}

/// What a turn is worth: two thousand per second continue without a pause.
const TURN: Duration = Duration::from_micros(500);

/// Turns saved up in quiet spells, so that a short burst is taken as it comes.
const TURNS: u32 = 40;

/// The pause of a turn, once turns are overdrawn by as much. A shorter one saves little: to fall asleep and wake up again
/// is most of what a turn costs.
const TURN_PAUSE: Duration = Duration::from_millis(1);

/// The budget for turns. To wake up for every frame costs more than the frame; those that come during a pause share a
/// turn, a read of their socket and a message to the hub. At 20,000 posts per second to a room of ten, a message costs a
/// quarter less CPU with it.
#[derive(Debug)]
struct Turns {
    /// When all that was spent will have been earned back.
    even: Micros,
}

impl Turns {
    /// Pays for a turn that begins at `now`.
    fn begin(&mut self, now: Micros) {
        // A stretch of work that left no time for pauses is not made up for by many.
        self.even = self.even.max(now).plus(TURN).min(now.plus(TURN * TURNS + 2 * TURN_PAUSE));
    }

    fn pause(&self, now: Micros) -> Duration {
        let overdrawn = now.until(self.even).saturating_sub(TURN * TURNS);
        if overdrawn < TURN_PAUSE { Duration::ZERO } else { TURN_PAUSE }
    }
}

/// The part of a thread's time that writing may take without a pause: a third. Below it a message waits for nothing;
/// above it many a write saves more than it costs.
const SHARE: u32 = 3;

/// Time saved up in quiet spells: some flushes of a thousand readers, so that a burst is shown at once.
const SAVED: Duration = Duration::from_millis(10);

/// The longest pauses for one flush together. A message waits for a pause and a flush at most; longer ones save little
/// more, since a write of fifty messages costs little more per message than one of a hundred.
const LONGEST: Duration = Duration::from_millis(8);

/// The longest pause between two parts of a flush: time enough for what was read before it to come back from the bus and
/// go to those in the next part, and little enough that a room of a thousand has one after each of its parts. In such a
/// room at 3,000 messages per second, pauses between parts shorten p99 by a seventh.
const BETWEEN: Duration = Duration::from_millis(1);

/// Shorter pauses are not kept: epoll waits whole milliseconds.
const SHORTEST: Duration = Duration::from_micros(250);

/// The budget for writing.
#[derive(Debug)]
struct Writing {
    /// A flush was interrupted.
    begun: bool,
    saved: Duration,
    last_pause: Duration,
    /// Of the flush that is under way: the time that was not saved up for it, its pauses so far, and the parts for which
    /// something new had come.
    overdrawn: Duration,
    paused: Duration,
    fresh: u32,
    /// The last flush took the longest pause, and more came during it: the next has its pauses between its parts. Where
    /// nothing comes they would only make its later parts come later.
    spread: bool,
    /// When the pause is over and time earns again.
    next: Micros,
}

impl Writing {
    fn new(now: Micros) -> Self {
        Self {
            begun: false,
            saved: SAVED,
            last_pause: Duration::ZERO,
            overdrawn: Duration::ZERO,
            paused: Duration::ZERO,
            fresh: 0,
            spread: false,
            next: now,
        }
    }

    fn may_continue(&self, now: Micros) -> bool {
        now >= self.next
    }

    /// How long a flush that has begun pauses before its next part.
    fn pause_within(&self, now: Micros) -> Duration {
        if self.begun { now.until(self.next) } else { Duration::ZERO }
    }

    fn flushed(&mut self, Flushed { cost, fresh, done }: Flushed, now: Micros) {
        let earned = self.next.until(now) / SHARE;
        let saved = (self.saved + earned).min(SAVED);
        self.overdrawn += cost.saturating_sub(saved);
        let owed = (self.overdrawn * SHARE).min(LONGEST).saturating_sub(self.paused);
        let pause = match (done, self.spread) {
            (true, _) => owed,
            (false, true) => owed.min(BETWEEN),
            (false, false) => Duration::ZERO,
        };
        let pause = if pause < SHORTEST { Duration::ZERO } else { pause };
        self.paused += pause;
        self.fresh += u32::from(fresh);
        self.begun = !done;
        if done {
            self.last_pause = self.paused;
            self.spread = self.paused + SHORTEST > LONGEST && self.fresh > 1;
            (self.overdrawn, self.paused, self.fresh) = (Duration::ZERO, Duration::ZERO, 0);
        }
        self.saved = saved.saturating_sub(cost);
        self.next = now.plus(pause);
    }
}

#[cfg(test)]
mod tests;
