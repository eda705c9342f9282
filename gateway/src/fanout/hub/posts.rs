//! The posts of a partition: appended in groups, held while lost rooms are restored, and answered to their senders.
//!
//! Decides the order: rooms are restored before the group that was refused continues. Never decides what goes into a
//! group (the appender does), nor when a restore helps. Called by the partition's actor alone.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    bus_calls::BusCalls,
    calls::{
        append::{AppendNext, Appender, FULL_RETRY, Fates, GroupDone, PostSender},
        restore::{Restore, RestoreDone, RestoreNext},
        screening::{ScreenDone, Screened, Screening},
    },
    counters::tick,
    delivery::Delivery,
    rooms::Rooms,
    shared::Shared,
};
use crate::{
    fanout::{
        messages::{ToReactor, Unheard},
        session::{PostError, Posted},
    },
    rooms::{Epoch, Post},
};

/// What was posted and is not answered yet.
pub(crate) struct Posts {
    shared: Arc<Shared>,
    screening: Screening,
    appender: Appender,
    restore: Restore,
}

impl Posts {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, screening: Screening::default(), appender: Appender::default(), restore: Restore::default() }
    }

    /// True when every post was answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.screening.is_empty() && self.appender.is_empty()
    }

    /// Takes a post, or refuses it when too many are waiting, or when its sender has opened too many rooms to post into one
    /// that may be new. Where somebody has to be asked about it, it is asked about first.
    pub(crate) fn offer(&mut self, sender: PostSender, post: Post, calls: &mut BusCalls, delivery: &mut Delivery) {
        let (rooms, now) = (self.shared.new_rooms(), self.shared.millis());
        if sender.outside.as_ref().is_some_and(|room| !rooms.may_open(&sender.to, room, now)) {
            return self.answer(sender, Err(PostError::RoomLimit), calls, delivery);
        }
        if !calls.access().moderator.moderation().is_screened(&post.room) {
            return self.append(sender, post, calls, delivery);
        }
        match self.screening.offer(sender, post) {
            Ok(call) => calls.start(call),
            Err(sender) => self.refuse_full(sender, calls, delivery),
        }
    }

    /// Takes what was said about a post.
    pub(crate) fn screened(&mut self, done: ScreenDone, calls: &mut BusCalls, delivery: &mut Delivery) {
        let Screened { sender, result, next } = self.screening.done(done);
        calls.start(next);
        match result {
            Ok(post) => self.append(sender, post, calls, delivery),
            Err(refusal) => self.answer(sender, Err(PostError::Moderated(refusal)), calls, delivery),
        }
    }

    fn append(&mut self, sender: PostSender, post: Post, calls: &BusCalls, delivery: &mut Delivery) {
        if let Err(sender) = self.appender.offer(sender, post) {
            self.refuse_full(sender, calls, delivery);
        }
    }

    fn refuse_full(&self, sender: PostSender, calls: &BusCalls, delivery: &mut Delivery) {
        self.answer(sender, Err(PostError::Full { retry: FULL_RETRY }), calls, delivery);
    }

    /// Starts the next group, unless one is in flight.
    pub(crate) fn append_next(&mut self, calls: &mut BusCalls) {
        if let Some(group) = self.appender.next_group() {
            tick(&self.shared.counters().groups);
            calls.start([group]);
        }
    }

    /// Takes the fate of a group.
    pub(crate) fn appended(&mut self, done: GroupDone, rooms: &Rooms, calls: &mut BusCalls, delivery: &mut Delivery) {
        match self.appender.done(done) {
            AppendNext::Restore => self.begin_restore(rooms, calls),
            AppendNext::Tell(fates) => self.tell(fates, calls, delivery),
        }
    }

    /// True while histories must not be read: they would be compared with what is about to come back.
    pub(crate) fn is_restoring(&self) -> bool {
        self.restore.under_way()
    }

    /// True if what fell short in `epoch` can still be restored.
    pub(crate) fn can_restore(&self, epoch: Epoch) -> bool {
        self.restore.helps(epoch)
    }

    /// Restores the rooms that are held, unless that is under way.
    pub(crate) fn begin_restore(&mut self, rooms: &Rooms, calls: &mut BusCalls) {
        calls.start(self.restore.begin(|| rooms.to_restore()));
    }

    /// Takes the result of a restore.
    pub(crate) fn restored(&mut self, done: RestoreDone, rooms: &Rooms, calls: &mut BusCalls, delivery: &mut Delivery) {
        match self.restore.done(done, || rooms.to_restore()) {
            RestoreNext::Restored => calls.start(self.appender.restored()),
            RestoreNext::Failed { error, again } => {
                let fates = self.appender.not_restored(&error);
                self.tell(fates, calls, delivery);
                calls.start([again]);
            }
        }
    }

    fn tell(&self, fates: Fates, calls: &BusCalls, delivery: &mut Delivery) {
        if let Some(error) = fates.failure() {
            let partition = calls.access().partition.index();
            tracing::warn!(partition, %error, "failed to append a group of posts");
            tick(&self.shared.counters().unavailable);
        }
        fates.each(|sender, result| self.answer(sender, result, calls, delivery));
    }

    /// Tells the sender what became of the post; the directory learns it if the sender is gone by then.
    fn answer(&self, sender: PostSender, result: Result<Posted, PostError>, calls: &BusCalls, delivery: &mut Delivery) {
        let counters = self.shared.counters();
        let counter = match &result {
            Ok(_) => Some(&counters.posts),
            Err(PostError::Append(_)) => Some(&counters.posts_failed),
            Err(PostError::Full { .. } | PostError::RoomLimit) => Some(&counters.posts_full),
            // The session counts what it refuses, by protocol and reason.
            Err(PostError::Moderated(_)) => None,
        };
        counter.into_iter().for_each(tick);

        let PostSender { to, tag, if_gone, outside } = sender;
        if let (Some(room), Ok(Posted { seq: 1, duplicate: false, .. })) = (outside, &result) {
            // It is there now. If that was one too many, the next post from outside is refused.
            self.shared.new_rooms().open(to, &room, self.shared.millis());
        }
        let unheard = if_gone.zip(result.as_ref().ok().copied()).map(|(if_gone, posted)| {
            let (directory, at) = (Arc::clone(&calls.access().directory), Instant::now());
            Unheard::new(move || directory.tell(if_gone.query(posted), at))
        });
        delivery.push(to.reactor, ToReactor::Posted { to, tag, result, unheard });
    }
}
