//! When a reactor may flush, when it takes a turn, and when it writes to a large room: at once while there is time to
//! spare, less often as there is more to do.
//!
//! Budgets. Time earns a share of itself for flushing, a flush spends what it took; what is overdrawn is waited for, and
//! what arrives meanwhile shares a write. Turns of the loop likewise, and what arrives meanwhile shares a turn; and walks
//! over the readers of a large room, where a second message ends the wait. Pure: the caller passes the time.

use std::time::{Duration, Instant};

/// The part of a thread's time that flushing may take without a pause: a third. Below it a message waits for nothing;
/// above it many a write saves more than it costs.
const SHARE: u32 = 3;

/// Flush time saved up in quiet spells: some flushes of a thousand readers, so that a burst is shown at once.
const SAVED: Duration = Duration::from_millis(10);

/// The longest pause for a flush, kept between its parts and after it. A message waits for a pause and a flush at most;
/// longer ones save little more, since a write of fifty messages costs little more a message than one of a hundred.
const LONGEST: Duration = Duration::from_millis(8);

/// The longest pause between two parts of a flush: time enough for what was read before it to come back from the bus and
/// go to those in the next part, and little enough that a room of a thousand has one after each of its parts.
const BETWEEN: Duration = Duration::from_millis(1);

/// Shorter pauses are not kept: epoll waits whole milliseconds.
const SHORTEST: Duration = Duration::from_micros(250);

/// A flush, or a part of one.
pub(super) struct Part {
    /// The time that it took.
    pub(super) cost: Duration,
    /// Something new had come for it.
    pub(super) fresh: bool,
    pub(super) last: bool,
}

/// A reactor's budget for flushing.
pub(super) struct Pace {
    saved: Duration,
    /// The pauses of the last flush together.
    pause: Duration,
    /// Of the flush that is under way: the time that was not saved up for it, its pauses so far, and the parts for which
    /// something new had come.
    overdrawn: Duration,
    paused: Duration,
    fresh: u32,
    /// The last flush took the longest pause, and more came during it: the next has its pauses between its parts. Where
    /// nothing comes they would only make its later parts come later.
    spread: bool,
    /// When the pause is over and time earns again.
    next: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            saved: SAVED,
            pause: Duration::ZERO,
            overdrawn: Duration::ZERO,
            paused: Duration::ZERO,
            fresh: 0,
            spread: false,
            next: now,
        }
    }

    /// The pauses that the last flush had to be paid for with, together.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// How long the next flush, or the next part of it, has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Pays for what has ended at `now`.
    pub(super) fn flushed(&mut self, Part { cost, fresh, last }: Part, now: Instant) {
        let earned = now.saturating_duration_since(self.next) / SHARE;
        let saved = (self.saved + earned).min(SAVED);
        self.overdrawn += cost.saturating_sub(saved);
        let owed = (self.overdrawn * SHARE).min(LONGEST).saturating_sub(self.paused);
        let pause = match (last, self.spread) {
            (true, _) => owed,
            (false, true) => owed.min(BETWEEN),
            (false, false) => Duration::ZERO,
        };
        let pause = if pause < SHORTEST { Duration::ZERO } else { pause };
        self.paused += pause;
        self.fresh += u32::from(fresh);
        if last {
            self.pause = self.paused;
            self.spread = self.paused + SHORTEST > LONGEST && self.fresh > 1;
            (self.overdrawn, self.paused, self.fresh) = (Duration::ZERO, Duration::ZERO, 0);
        }
        self.saved = saved.saturating_sub(cost);
        self.next = now + pause;
    }
}

/// Time that a turn of the loop is worth: two thousand a second go on without a rest.
const TURN: Duration = Duration::from_micros(500);

/// Turns saved up in quiet spells, so that a short burst is taken as it comes.
const TURNS: u32 = 40;

/// How long a rest is, once turns are overdrawn by as much. A shorter one saves little: to fall asleep and wake up again
/// is most of what a turn costs.
const REST: Duration = Duration::from_millis(1);

/// A reactor's budget for turns. To wake up for every frame costs more than the frame; those that come while the thread
/// rests share a turn, a read of their socket and a message to the hub.
pub(super) struct Turns {
    /// When all that was spent will have been earned back.
    even: Instant,
}

impl Turns {
    pub(super) fn new(now: Instant) -> Self {
        Self { even: now }
    }

    /// Pays for a turn that begins at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        // A stretch of work that left no time for rests is not made up for by many.
        self.even = (self.even.max(now) + TURN).min(now + TURN * TURNS + 2 * REST);
    }

    /// How long the turn rests, once it has read and before it writes.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        let overdrawn = self.even.saturating_duration_since(now).saturating_sub(TURN * TURNS);
        if overdrawn < REST { Duration::ZERO } else { REST }
    }
}

/// Time that a walk over the readers of a large room is worth: nobody reads more than twenty messages a second.
const WALK: Duration = Duration::from_millis(50);

/// Walks saved up in quiet spells, so that a message and the answer to it wait for nothing.
const WALKS: u32 = 2;

/// A large room's budget for walks over its readers with one message alone. To write two messages to hundreds of people
/// costs what it costs to write one, so once that budget is spent a message waits for another.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// When all that was spent will have been earned back, in microseconds on the reactor's clock.
    even: u64,
}

impl Walks {
    /// Pays for a walk that ends at `now`. Those with company are paid for as well; after any number of them a message alone
    /// waits for no more than one.
    pub(super) fn walked(&mut self, now: u64) {
        let walk = WALK.as_micros() as u64;
        self.even = (self.even.max(now) + walk).min(now + walk * u64::from(WALKS));
    }

    /// Until when a message that comes now, alone, waits for another; None when it need not.
    pub(super) fn rest(&self, now: u64) -> Option<u64> {
        let until = self.even.saturating_sub(WALK.as_micros() as u64 * u64::from(WALKS - 1));
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(cost: Duration) -> Part {
        Part { cost, fresh: true, last: true }
    }

    /// Flushes of `cost` as often as they are allowed, `every` at most, for a second: how many, and the longest pause.
    fn run(cost: u64, every: u64) -> (u32, Duration) {
        let start = Instant::now();
        let (mut pace, mut now, mut flushes, mut longest) = (Pace::new(start), start, 0, Duration::ZERO);
        while now < start + Duration::from_secs(1) {
            let due = now + Duration::from_micros(every.saturating_sub(cost));
            now = due + pace.wait(due) + Duration::from_micros(cost);
            pace.flushed(whole(Duration::from_micros(cost)), now);
            (flushes, longest) = (flushes + 1, longest.max(pace.pause()));
        }
        (flushes, longest)
    }

    #[test]
    fn a_thread_with_time_to_spare_never_pauses() {
        // 100 readers at 500 messages a second, 1,000 readers at 50.
        assert_eq!(run(500, 2_000), (500, Duration::ZERO));
        assert_eq!(run(6_000, 20_000), (50, Duration::ZERO));
    }

    #[test]
    fn flushing_without_end_takes_a_third_of_the_thread() {
        let (flushes, longest) = run(2_000, 0);
        assert!((165..=175).contains(&flushes), "{flushes} flushes of 2 ms");
        assert_eq!(longest.as_micros(), 4_000);
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        assert_eq!(run(50_000, 0).1, LONGEST);
    }

    #[test]
    fn a_flush_in_parts_for_which_nothing_comes_pauses_after_them() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for flush in 0..50 {
            for part in 1..=8 {
                now += pace.wait(now) + Duration::from_millis(1);
                pace.flushed(Part { cost: Duration::from_millis(1), fresh: part == 1, last: part == 8 }, now);
                assert!(part == 8 || pace.wait(now).is_zero(), "part {part} of flush {flush}");
            }
        }
        assert_eq!(pace.pause(), LONGEST);
    }

    #[test]
    fn a_flush_in_parts_pauses_between_them_and_no_longer_in_all() {
        for (parts, pauses) in
            [(1, vec![8]), (2, vec![1, 7]), (8, vec![1; 8]), (10, vec![1, 1, 1, 1, 1, 1, 1, 1, 0, 0])]
        {
            let (mut now, mut found) = (Instant::now(), Vec::new());
            let mut pace = Pace::new(now);
            for nth in 0..3 * parts {
                now += pace.wait(now) + Duration::from_millis(20);
                let last = (nth + 1) % parts == 0;
                pace.flushed(Part { cost: Duration::from_millis(20), fresh: true, last }, now);
                found.push(pace.wait(now).as_millis());
            }
            assert_eq!(found[2 * parts..], pauses, "{parts} parts");
        }
    }

    /// Turns that are wanted `every` so many microseconds, for a second: how many there are, and how much rest.
    fn turn(every: u64) -> (u32, Duration) {
        let start = Instant::now();
        let (mut turns, mut now, mut number, mut rested) = (Turns::new(start), start, 0, Duration::ZERO);
        while now < start + Duration::from_secs(1) {
            let rest = turns.rest(now);
            now += rest + Duration::from_micros(every);
            turns.begin(now);
            (number, rested) = (number + 1, rested + rest);
        }
        (number, rested)
    }

    #[test]
    fn turns_that_are_not_many_wait_for_nothing() {
        assert_eq!(turn(500), (2000, Duration::ZERO));
    }

    #[test]
    fn turns_without_end_are_two_thousand_a_second() {
        let (number, rested) = turn(20);
        assert!((2000..=2000 + TURNS + 5).contains(&number), "{number} turns");
        assert!(rested > Duration::from_millis(900), "{rested:?} of rest");
    }

    #[test]
    fn a_short_burst_is_taken_as_it_comes() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        for _ in 0..TURNS {
            assert_eq!(turns.rest(start), Duration::ZERO);
            turns.begin(start);
        }
    }

    #[test]
    fn a_burst_after_a_quiet_spell_is_shown_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut now = start + Duration::from_secs(5);
        for _ in 0..3 {
            now += Duration::from_millis(3);
            pace.flushed(whole(Duration::from_millis(3)), now);
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
    }

    /// Messages `every` so many milliseconds for ten seconds in a large room: walks a second, and the longest wait.
    fn walk(every: u64) -> (u64, u64) {
        let (mut walks, mut number, mut longest, mut resting) = (Walks::default(), 0, 0, None);
        for now in (0..10_000_000).step_by(1000) {
            let comes = now % (every * 1000) == 0;
            let over = resting.is_some_and(|(_, until)| until <= now);
            if over || comes && (resting.is_some() || walks.rest(now).is_none()) {
                longest = longest.max(now - resting.take().map_or(now, |(since, _)| since));
                walks.walked(now);
                number += 1;
            } else if comes {
                resting = walks.rest(now).map(|until| (now, until));
            }
        }
        (number / 10, longest / 1000)
    }

    #[test]
    fn up_to_twenty_messages_a_second_in_a_large_room_wait_for_nothing() {
        assert_eq!([walk(1000), walk(100), walk(50)], [(1, 0), (10, 0), (20, 0)]);
    }

    #[test]
    fn more_of_them_go_in_pairs_and_wait_for_each_other_only() {
        assert_eq!([walk(20), walk(10), walk(2)], [(25, 20), (50, 10), (250, 2)]);
    }

    #[test]
    fn no_rate_makes_a_message_wait_longer_than_a_walk_is_worth() {
        for every in 1..200 {
            let (_, longest) = walk(every);
            assert!(longest < 50, "every {every} ms: {longest} ms");
        }
    }

    #[test]
    fn a_message_after_a_busy_spell_waits_no_longer_than_after_a_walk() {
        let mut walks = Walks::default();
        (0..1000).for_each(|n| walks.walked(n * 1000));
        assert_eq!(walks.rest(999_001), Some(999_000 + 50_000));
        assert_eq!(walks.rest(999_000 + 50_000), None);
    }

    #[test]
    fn a_message_and_the_answer_to_it_are_shown_at_once_and_the_next_one_may_wait() {
        let mut walks = Walks::default();
        for now in [1_000_000, 1_001_000] {
            assert_eq!(walks.rest(now), None);
            walks.walked(now);
        }
        assert!(walks.rest(1_002_000).is_some());
    }
}
