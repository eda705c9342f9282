//! Posts on their way to the bus: gathered while the previous group is in flight, one group in flight.
//!
//! Decides what goes into a group, how long a group is retried (as a whole, which dedupe makes safe), and when a post
//! is refused. Called by the actor after each round.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    actor::{Actor, Done},
    backoff::Backoff,
    counters::{add, tick},
};
use crate::{
    bus::{AppendError, Appended, Bus, GROUP_POSTS},
    fanout::{
        link::{ConnectionId, ToReactor},
        session::{PostError, Posted},
    },
    rooms::{Partition, Post, Unavailable},
};

/// Bytes of a group, except that one post always goes: a script call stays under some milliseconds.
const GROUP_BYTES: usize = 1 << 20;
/// Posts that wait, a partition: some 100 ms of what a shard takes.
const QUEUE: usize = 4096;
/// Bytes that wait, a partition: at most half a gibibyte over all 64.
const QUEUE_BYTES: usize = 8 << 20;
/// How long a post waits for the bus before it fails: longer than a failover takes, shorter than people wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// A group gets at least this long, however old its posts are.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Milliseconds after which a refused post is worth another try.
const RETRY: u64 = 1000;

type Answers = Result<Vec<Result<Appended, AppendError>>, AppendError>;

/// Who is told the fate of a post, and by which tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) to: ConnectionId,
    pub(super) tag: u64,
}

#[derive(Debug)]
struct Queued {
    reply: Reply,
    post: Post,
    since: Instant,
}

/// The posts of a partition that are not acknowledged yet.
#[derive(Debug, Default)]
pub(super) struct Appender {
    queue: VecDeque<Queued>,
    bytes: usize,
    flying: bool,
    /// A group that goes on once what was lost has been given back.
    held: Option<Group>,
}

/// Posts that go together, who is told their fate, and until when they are tried.
#[derive(Debug)]
struct Group {
    replies: Vec<Reply>,
    posts: Vec<Post>,
    deadline: Instant,
}

/// A group whose fate is known.
#[derive(Debug)]
pub(super) struct Flown {
    group: Group,
    answers: Answers,
}

impl Appender {
    /// True when every post was answered.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.flying
    }

    fn offer(&mut self, reply: Reply, post: Post) -> Result<(), Reply> {
        let size = post.size();
        if self.queue.len() >= QUEUE || self.bytes + size > QUEUE_BYTES {
            return Err(reply);
        }
        self.bytes += size;
        self.queue.push_back(Queued { reply, post, since: Instant::now() });
        Ok(())
    }

    /// The next group with its deadline, unless one is in flight.
    fn group(&mut self) -> Option<Group> {
        let oldest = self.queue.front().filter(|_| !self.flying)?.since;
        let (mut replies, mut posts, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(queued) = self.queue.front() {
            let size = queued.post.size();
            if posts.len() == GROUP_POSTS || (bytes + size > GROUP_BYTES && !posts.is_empty()) {
                break;
            }
            bytes += size;
            if let Some(Queued { reply, post, .. }) = self.queue.pop_front() {
                replies.push(reply);
                posts.push(post);
            }
        }
        self.bytes -= bytes;
        self.flying = true;
        Some(Group { replies, posts, deadline: (oldest + PATIENCE).max(Instant::now() + ATTEMPT) })
    }

    /// Takes out the posts whose patience is over.
    fn overdue(&mut self) -> Vec<Reply> {
        let now = Instant::now();
        let late = self.queue.iter().take_while(|queued| queued.since + PATIENCE <= now).count();
        let late: Vec<_> = self.queue.drain(..late).collect();
        self.bytes -= late.iter().map(|queued| queued.post.size()).sum::<usize>();
        late.into_iter().map(|queued| queued.reply).collect()
    }
}

/// Sends a group until it is answered or its deadline has passed.
async fn fly(bus: &dyn Bus, partition: Partition, posts: &[Post], deadline: Instant) -> Answers {
    let mut backoff = Backoff::default();
    loop {
        let reason = match timeout_at(deadline, bus.append(partition, posts)).await {
            Ok(Err(AppendError::Unavailable(reason))) => reason,
            Ok(answers) => return answers,
            Err(_) => "no answer in time".into(),
        };
        let pause = backoff.failed();
        if Instant::now() + pause >= deadline {
            return Err(AppendError::Unavailable(reason));
        }
        sleep(pause).await;
    }
}

impl Actor {
    pub(super) fn post(&mut self, reply: Reply, post: Post) {
        if let Err(reply) = self.appender.offer(reply, post) {
            tick(&self.shared.counters.posts_full);
            self.posted(reply, Err(PostError::Full { retry: RETRY }));
        }
    }

    /// Starts the next group if none is in flight.
    pub(super) fn append_next(&mut self) {
        let Some(group) = self.appender.group() else { return };
        tick(&self.shared.counters.groups);
        self.send_group(group);
    }

    fn send_group(&mut self, group: Group) {
        let (bus, partition) = (Arc::clone(&self.bus), self.partition);
        self.work.push(Box::pin(async move {
            let answers = fly(bus.as_ref(), partition, &group.posts, group.deadline).await;
            Done::Appended(Flown { group, answers })
        }));
    }

    /// What was lost has been given back: the group that waited for that goes on.
    pub(super) fn append_again(&mut self) {
        if let Some(group) = self.appender.held.take() {
            self.send_group(group);
        }
    }

    /// Fails the group that waits for what was lost, if its time is over.
    pub(super) fn give_up_overdue(&mut self, Unavailable(reason): &Unavailable) {
        let Some(group) = self.appender.held.take_if(|group| group.deadline <= Instant::now()) else { return };
        self.appended(Flown { group, answers: Err(AppendError::Unavailable(reason.clone())) });
    }

    pub(super) fn appended(&mut self, Flown { group, answers }: Flown) {
        if let Err(AppendError::Lost) = answers {
            self.appender.held = Some(group);
            self.restore();
            return;
        }
        let Group { replies, .. } = group;
        self.appender.flying = false;
        match answers {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    self.posted(reply, answer.map(Posted::from).map_err(PostError::from));
                }
            }
            Err(error) => {
                tracing::warn!(partition = self.partition.index(), %error, "a group of posts has failed");
                tick(&self.shared.counters.away);
                for reply in replies.into_iter().chain(self.appender.overdue()) {
                    self.posted(reply, Err(PostError::Append(error.clone())));
                }
            }
        }
    }

    fn posted(&mut self, reply: Reply, result: Result<Posted, PostError>) {
        match &result {
            Ok(_) => add(&self.shared.counters.posts, 1),
            Err(PostError::Append(_)) => add(&self.shared.counters.posts_failed, 1),
            Err(PostError::Full { .. }) => {}
        }
        let Reply { to, tag } = reply;
        self.delivery.push(to.reactor, ToReactor::Posted { to, tag, result });
    }
}

impl From<Appended> for Posted {
    fn from(Appended { seq, epoch, time, duplicate }: Appended) -> Self {
        Self { seq, epoch, time, duplicate }
    }
}
