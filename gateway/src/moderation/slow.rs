//! When each person last posted into a slow room.
//!
//! Decides whether another message may come now. Rows are kept in two generations, as rates are: those that were quiet for
//! longest are forgotten first, and a forgotten person may post.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use crate::rooms::RoomName;

/// People whose last message is remembered, at least; twice as many at most, in some 200 bytes each.
const ROWS: usize = 16 * 1024;

type Key = (RoomName, Arc<str>);

/// The newest message of each person, by the server's time in milliseconds.
#[derive(Debug, Default)]
pub(super) struct SlowPosts {
    young: HashMap<Key, u64>,
    old: HashMap<Key, u64>,
}

impl SlowPosts {
    /// Notes a message at `now`, if the one before it is `pause` ago. Err: how long to wait.
    pub(super) fn take(&mut self, room: &RoomName, person: &str, now: u64, pause: Duration) -> Result<(), Duration> {
        let last = self.last((room.clone(), person.into()));
        match (*last + pause.as_millis() as u64).checked_sub(now).filter(|wait| *last > 0 && *wait > 0) {
            Some(wait) => Err(Duration::from_millis(wait)),
            None => {
                *last = now;
                Ok(())
            }
        }
    }

    /// Notes a message that was seen at `now`.
    pub(super) fn saw(&mut self, room: &RoomName, person: &Arc<str>, now: u64) {
        let last = self.last((room.clone(), Arc::clone(person)));
        *last = now.max(*last);
    }

    fn last(&mut self, key: Key) -> &mut u64 {
        if self.young.len() >= ROWS && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        let before = self.old.remove(&key).unwrap_or(0);
        self.young.entry(key).or_insert(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(3);

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    #[test]
    fn a_person_posts_once_within_the_pause_wherever_the_message_came_in() {
        let mut posts = SlowPosts::default();
        assert_eq!(posts.take(&room(), "bob", 10_000, PAUSE), Ok(()));
        assert_eq!(posts.take(&room(), "bob", 11_000, PAUSE), Err(Duration::from_secs(2)));
        assert_eq!(posts.take(&room(), "ada", 11_000, PAUSE), Ok(()));
        assert_eq!(posts.take(&room(), "bob", 13_000, PAUSE), Ok(()));
        posts.saw(&room(), &"ada".into(), 12_500);
        assert_eq!(
            posts.take(&room(), "ada", 14_500, PAUSE),
            Err(Duration::from_secs(1)),
            "another gateway took one at 12,500"
        );
    }

    #[test]
    fn the_quietest_are_forgotten_first_and_newcomers_always_fit() {
        let mut posts = SlowPosts::default();
        for n in 0..5 * ROWS {
            assert_eq!(posts.take(&room(), &n.to_string(), 1_000, PAUSE), Ok(()));
            assert!(posts.young.len() + posts.old.len() <= 2 * ROWS);
        }
    }
}
