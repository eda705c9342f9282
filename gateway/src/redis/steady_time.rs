//! What time it is in Redis, whatever its servers' clocks do for a moment.
//!
//! Decides whether a clock has jumped: what the servers tell, against what has passed here since they told it last. Two
//! machines' clocks are never compared, and this machine's own time of day is not asked. Pure.

use std::time::Duration;

/// A server's clock that differs by more from what has passed has jumped.
const JUMP_MS: u64 = 5_000;

/// After this long what looked like a jump is the time.
const LONGEST_DOUBT: Duration = Duration::from_secs(600);

/// The time of the servers, followed. Instants are durations since the machine started, its sleep included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SteadyTime(Option<Followed>);

#[derive(Clone, Copy, Debug)]
struct Followed {
    /// Milliseconds since the Unix epoch, and when a server said so.
    told: (u64, Duration),
    /// Since when what they tell agrees with what has passed.
    since: Duration,
    /// Since when it does not.
    doubted: Option<Duration>,
}

impl SteadyTime {
    /// The servers tell that it is `told`. A jump is believed once it has lasted for as long as the time before it was
    /// known: who began to follow during a jump lets go of it soon after.
    pub(crate) fn tell(&mut self, told: u64, now: Duration) {
        let begins = Followed { told: (told, now), since: now, doubted: None };
        let followed = self.0.get_or_insert(begins);
        if told.abs_diff(followed.at(now)) <= JUMP_MS {
            (followed.told, followed.doubted) = ((told, now), None);
            return;
        }
        let doubted = *followed.doubted.get_or_insert(now);
        let known = doubted.saturating_sub(followed.since);
        if now.saturating_sub(doubted) >= known.min(LONGEST_DOUBT) {
            *followed = begins;
        }
    }

    /// The time in milliseconds since the Unix epoch; None before a server has said it.
    pub(crate) fn at(&self, now: Duration) -> Option<u64> {
        self.0.as_ref().map(|followed| followed.at(now))
    }
}

impl Followed {
    fn at(&self, now: Duration) -> u64 {
        let (told, when) = self.told;
        told.saturating_add(now.saturating_sub(when).as_millis() as u64)
    }
}

/// How long the machine has run, its sleep included.
pub(crate) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    /// Follows a clock that is `ahead` of the true one at each second; answers how far the steady time is then.
    fn follow(ahead: impl Fn(u64) -> u64, seconds: u64) -> Vec<u64> {
        let mut time = SteadyTime::default();
        let step = |second| {
            time.tell(second * 1000 + ahead(second), at(second));
            time.at(at(second)).unwrap() - second * 1000
        };
        (0..seconds).map(step).collect()
    }

    #[test]
    fn a_jump_is_not_followed_unless_it_lasts() {
        let jumps = |second| if (20..30).contains(&second) { 26 * HOUR_MS } else { 0 };
        assert_eq!(follow(jumps, 60), [0; 60]);
        let stays = |second| if second >= 700 { HOUR_MS } else { 0 };
        let followed = follow(stays, 1400);
        assert_eq!((followed[1299], followed[1300]), (0, HOUR_MS));
    }

    #[test]
    fn who_begins_during_a_jump_lets_go_of_it_as_soon_after_as_it_has_lasted() {
        let jumps = |second| if second < 10 { HOUR_MS } else { 0 };
        let followed = follow(jumps, 30);
        assert!(followed[..10].iter().all(|ahead| *ahead == HOUR_MS));
        assert!(followed[20..].iter().all(|ahead| *ahead == 0), "{followed:?}");
    }

    #[test]
    fn small_steps_are_followed_at_once() {
        assert_eq!(follow(|second| 50 * second, 20)[19], 950);
        assert_eq!(SteadyTime::default().at(at(1)), None);
    }
}
