//! A reactor in virtual time: messages come at set times, work costs set times, and the scheduler says what is done.

use std::collections::VecDeque;

use super::*;

/// A reactor that has a room of readers.
struct World {
    scheduler: Scheduler,
    now: Micros,
    /// When messages of the hub come.
    coming: VecDeque<Micros>,
    /// When frames of clients come.
    frames: VecDeque<Micros>,
    /// What a part of a flush costs, and how many parts one has.
    part: Duration,
    parts: u32,
    /// Messages taken and not written to every reader yet, and the parts left of the flush that writes them.
    taken: Vec<Micros>,
    left: u32,
    found: Found,
}

#[derive(Debug, Default)]
struct Found {
    turns: u32,
    flushes: u32,
    /// Of each message, from when it came until its last reader was written to.
    waits: Vec<Duration>,
    pauses: Vec<Duration>,
    writing: Duration,
}

impl Found {
    fn longest_wait(&self) -> Duration {
        self.waits.iter().copied().max().unwrap_or_default()
    }
}

fn millis(n: u64) -> Micros {
    Micros(n * 1000)
}

impl World {
    fn new(part: Duration, parts: u32) -> Self {
        Self {
            scheduler: Scheduler::new(Micros(0)),
            now: Micros(0),
            coming: VecDeque::new(),
            frames: VecDeque::new(),
            part,
            parts,
            taken: Vec::new(),
            left: 0,
            found: Found::default(),
        }
    }

    fn messages(mut self, every: u64, from: Micros, to: Micros) -> Self {
        self.coming.extend((from.0..to.0).step_by(every as usize).map(Micros));
        self
    }

    fn frames(mut self, every: u64, from: Micros, to: Micros) -> Self {
        self.frames.extend((from.0..to.0).step_by(every as usize).map(Micros));
        self
    }

    fn run(mut self, to: Micros) -> Found {
        while self.now < to {
            let work = Work { readable: false, news: !self.taken.is_empty() || self.left > 0, timer: None };
            let step = self.scheduler.next(self.now, work);
            self.carry_out(step, to);
        }
        self.found
    }

    fn carry_out(&mut self, step: Step, to: Micros) {
        match step {
            Step::Poll { timeout, ring } => {
                let frame = self.frames.front().copied();
                let rung = self.coming.front().copied().filter(|_| ring);
                let timeout = timeout.map(|timeout| self.now.plus(timeout));
                let woken = [frame, rung, timeout].into_iter().flatten().min().unwrap_or(to);
                self.now = self.now.max(woken);
            }
            Step::Read => {
                self.found.turns += 1;
                while self.frames.front().is_some_and(|at| *at <= self.now) {
                    self.frames.pop_front();
                }
                self.now = self.now.plus(Duration::from_micros(10));
            }
            Step::Pause(pause) => {
                self.found.pauses.push(pause);
                self.now = self.now.plus(pause);
            }
            Step::Take { .. } => {
                while let Some(at) = self.coming.front().copied().filter(|at| *at <= self.now) {
                    self.coming.pop_front();
                    self.taken.push(at);
                }
            }
            Step::Flush { .. } => {
                let fresh = self.left == 0 || self.found.flushes.is_multiple_of(2);
                self.left = if self.left == 0 { self.parts } else { self.left } - 1;
                self.now = self.now.plus(self.part);
                self.found.writing += self.part;
                let done = self.left == 0;
                self.scheduler.flushed(Flushed { cost: self.part, fresh, done }, self.now);
                if done {
                    self.found.flushes += 1;
                    let now = self.now;
                    self.found.waits.extend(self.taken.drain(..).map(|at| at.until(now)));
                }
            }
            Step::EndTurn => {}
        }
    }
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

#[test]
fn a_reactor_with_time_to_spare_writes_every_message_by_itself_at_once() {
    // 100 readers at 500 messages per second; 1,000 readers at 20 and 50.
    for (cost, every) in [(500, 2_000), (6_000, 50_000), (6_000, 20_000)] {
        let found = World::new(micros(cost), 1).messages(every, Micros(0), millis(2000)).run(millis(2000));
        assert_eq!(found.flushes, found.waits.len() as u32, "every {every} us: none shares a write");
        assert!(found.longest_wait() <= micros(cost + 20), "every {every} us: {:?}", found.longest_wait());
        assert!(found.pauses.is_empty());
    }
}

#[test]
fn a_reactor_without_time_to_spare_coalesces_and_writes_for_about_a_third_of_the_time() {
    let found = World::new(micros(2_000), 1).messages(300, Micros(0), millis(2000)).run(millis(2000));
    let share = found.writing.as_secs_f64() / 2.0;
    assert!((0.3..0.37).contains(&share), "{share}");
    assert!(found.waits.len() as u32 > 10 * found.flushes, "{} in {} flushes", found.waits.len(), found.flushes);
    assert!(found.longest_wait() < micros(12_000), "{:?}", found.longest_wait());
}

#[test]
fn no_message_waits_longer_than_two_flushes_and_the_longest_pause_however_slow_writing_is() {
    for (part, parts) in [(1_000, 1), (20_000, 1), (1_000, 8), (1_000, 40)] {
        let found = World::new(micros(part), parts).messages(500, Micros(0), millis(3000)).run(millis(3000));
        let flush = micros(part) * parts;
        assert!(
            found.longest_wait() <= 2 * (flush + LONGEST) + micros(1_000),
            "{parts} of {part}: {:?}",
            found.longest_wait()
        );
    }
}

#[test]
fn a_burst_after_a_quiet_spell_is_shown_at_once() {
    let burst = World::new(micros(3_000), 1).messages(3_100, millis(5000), millis(5009));
    let found = burst.run(millis(6000));
    assert_eq!(found.flushes, 3);
    assert!(found.longest_wait() <= micros(3_020), "{:?}", found.longest_wait());
}

#[test]
fn up_to_two_thousand_frames_per_second_each_have_their_turn_at_once() {
    let found = World::new(micros(0), 1).frames(500, Micros(0), millis(1000)).run(millis(1000));
    assert!(found.pauses.is_empty());
    assert!(found.turns >= 1999, "{} turns", found.turns);
}

#[test]
fn above_two_thousand_frames_per_second_they_share_turns() {
    let found = World::new(micros(0), 1).frames(20, Micros(0), millis(1000)).run(millis(1000));
    assert!((900..2100).contains(&found.turns), "{} turns", found.turns);
    assert!(found.pauses.iter().all(|pause| *pause == TURN_PAUSE));
}

#[test]
fn a_short_burst_of_frames_is_taken_as_it_comes() {
    let found = World::new(micros(0), 1).frames(20, Micros(0), Micros(20 * u64::from(TURNS))).run(millis(1));
    assert!(found.pauses.is_empty());
}

/// Pauses between the parts of the last of many flushes, and after it. `fresh`: something comes for every part.
fn pauses_of_a_flush_in_parts(fresh: bool) -> (u32, Duration) {
    let (mut now, mut writing, mut between) = (Micros(0), Writing::new(Micros(0)), 0);
    for part in 0..8 * 50 {
        now = now.plus(now.until(writing.next) + micros(2_000));
        let done = part % 8 == 7;
        writing.flushed(Flushed { cost: micros(2_000), fresh: fresh || part % 8 == 0, done }, now);
        between = if part % 8 == 0 { 0 } else { between } + u32::from(!done && !now.until(writing.next).is_zero());
    }
    (between, writing.last_pause)
}

#[test]
fn a_flush_in_parts_pauses_between_them_only_while_more_comes_during_it() {
    let (between, all) = pauses_of_a_flush_in_parts(true);
    assert!((4..8).contains(&between), "{between} pauses");
    assert_eq!(all, LONGEST);
    assert_eq!(pauses_of_a_flush_in_parts(false), (0, LONGEST));
}
