//! The news of large rooms that wait for company, so that two messages share a walk over hundreds of readers.
//!
//! Decides which rooms are large, and ends a wait in time. How long one may be is for `pace`.

use std::collections::BTreeSet;

use super::{feed::Feed, turn::Reactor};

/// Feeds whose news wait, by when that ends: each at most once.
#[derive(Default)]
pub(super) struct Resting(BTreeSet<(u64, u32)>);

impl Resting {
    /// When the first wait ends.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.first().map(|(until, _)| *until)
    }
}

impl Reactor {
    /// The feed has a new chunk: it is flushed next, or rests until another comes or the time is over.
    pub(super) fn has_news(&mut self, index: u32) {
        let feed = &self.feeds[index as usize];
        let company = feed.wants_company(self.now.micros).filter(|_| !feed.dirty && self.is_large(feed));
        let Some(until) = company else { return self.mark_feed_dirty(index) };
        let until = *self.feeds[index as usize].rests.get_or_insert(until);
        self.resting.0.insert((until, index));
    }

    /// Whether the feed's room has many readers here, in all encodings together: they are written to together.
    fn is_large(&self, feed: &Feed) -> bool {
        let feeds = self.rooms.get(&feed.room).into_iter().flatten();
        feeds.map(|(_, index)| self.feeds[*index as usize].members.len()).sum::<usize>() >= self.settings.large_room
    }

    /// Takes the feed out of those that rest.
    pub(super) fn end_rest(&mut self, index: u32) {
        if let Some(until) = self.feeds[index as usize].rests.take() {
            self.resting.0.remove(&(until, index));
        }
    }

    /// Has those flushed that have rested for long enough.
    pub(super) fn end_rests(&mut self) {
        while let Some((_, index)) = self.resting.0.first().copied().filter(|(until, _)| *until <= self.now.micros) {
            self.mark_feed_dirty(index);
        }
    }
}
