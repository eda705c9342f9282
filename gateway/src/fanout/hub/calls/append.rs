//! Posts on their way to the bus: gathered while the previous group is in flight, one group in flight.
//!
//! Decides what goes into a group, how long a group is retried (as a whole, which dedupe makes safe), and when a post
//! is refused. Never looks into a post.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::super::{
    backoff::Backoff,
    call::{BusAccess, BusCall, Failure},
};
use crate::{
    bus::{AppendError, Appended, GROUP_POSTS},
    deadlines::hub::{GROUP_AT_LEAST, POST},
    fanout::{
        messages::ConnectionId,
        session::{IfGone, PostError, Posted},
    },
    rooms::{Post, RoomName, Unavailable},
};

/// Bytes of a group, except that one post always goes: a script call stays under some milliseconds.
const GROUP_BYTES: usize = 1 << 20;
/// Posts of a partition that wait: some 100 ms of what a shard takes.
const QUEUE: usize = 4096;
/// Bytes of a partition's posts that wait: at most half a gibibyte over all 64.
const QUEUE_BYTES: usize = 8 << 20;
/// How long a sender whose post was refused should wait.
pub(crate) const FULL_RETRY: Duration = Duration::from_secs(1);

type Answers = Result<Vec<Result<Appended, AppendError>>, AppendError>;

/// Who learns the fate of a post, and by which tag.
#[derive(Debug)]
pub(crate) struct PostSender {
    pub(crate) to: ConnectionId,
    pub(crate) tag: u64,
    /// For the directory, if the sender is gone by then.
    pub(crate) if_gone: Option<IfGone>,
    /// The room, if the sender is no member of it: the post may open it.
    pub(crate) outside: Option<RoomName>,
}

#[derive(Debug)]
struct Queued {
    sender: PostSender,
    post: Post,
    since: Instant,
}

/// The posts of a partition that are not acknowledged yet.
#[derive(Debug, Default)]
pub(crate) struct Appender {
    queue: VecDeque<Queued>,
    bytes: usize,
    in_flight: bool,
    /// A group that waits until what was lost has been given back.
    held: Option<Group>,
}

/// Posts that go together, who learns their fate, and until when they are tried.
#[derive(Debug)]
pub(crate) struct Group {
    senders: Vec<PostSender>,
    posts: Vec<Post>,
    deadline: Instant,
}

/// A group whose fate is known.
#[derive(Debug)]
pub(crate) struct GroupDone {
    group: Group,
    answers: Answers,
}

/// What follows from the fate of a group.
#[derive(Debug)]
pub(crate) enum AppendNext {
    /// The data was lost: the group waits until rooms are given back.
    Restore,
    Tell(Fates),
}

/// The fates of posts, each for its sender.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    senders: Vec<PostSender>,
    answers: Vec<Result<Appended, AppendError>>,
    /// Told the same.
    failed: Option<(Vec<PostSender>, AppendError)>,
}

impl Appender {
    /// True when every post was answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.in_flight
    }

    /// Takes a post, unless too many are waiting.
    pub(crate) fn offer(&mut self, sender: PostSender, post: Post) -> Result<(), PostSender> {
        let size = post.size();
        if self.queue.len() >= QUEUE || self.bytes + size > QUEUE_BYTES {
            return Err(sender);
        }
        self.bytes += size;
        self.queue.push_back(Queued { sender, post, since: Instant::now() });
        Ok(())
    }

    /// The next group, unless one is in flight.
    pub(crate) fn next_group(&mut self) -> Option<Group> {
        let oldest = self.queue.front().filter(|_| !self.in_flight)?.since;
        let (mut senders, mut posts, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(queued) = self.queue.front() {
            let size = queued.post.size();
            if posts.len() == GROUP_POSTS || (bytes + size > GROUP_BYTES && !posts.is_empty()) {
                break;
            }
            bytes += size;
            if let Some(Queued { sender, post, .. }) = self.queue.pop_front() {
                senders.push(sender);
                posts.push(post);
            }
        }
        self.bytes -= bytes;
        self.in_flight = true;
        Some(Group { senders, posts, deadline: (oldest + POST).max(Instant::now() + GROUP_AT_LEAST) })
    }

    /// Takes the fate of the group in flight.
    pub(crate) fn done(&mut self, GroupDone { group, answers }: GroupDone) -> AppendNext {
        if let Err(AppendError::Lost) = answers {
            self.held = Some(group);
            return AppendNext::Restore;
        }
        self.in_flight = false;
        AppendNext::Tell(match answers {
            Ok(answers) => Fates { senders: group.senders, answers, failed: None },
            Err(error) => self.fail(group, error),
        })
    }

    /// What was lost has been given back: the group that waited for that continues.
    pub(crate) fn restored(&mut self) -> Option<Group> {
        self.held.take()
    }

    /// What was lost could not be given back: fails the group that waits for that, if its time is over.
    pub(crate) fn not_restored(&mut self, Unavailable(reason): &Unavailable) -> Fates {
        let Some(group) = self.held.take_if(|group| group.deadline <= Instant::now()) else { return Fates::default() };
        self.in_flight = false;
        self.fail(group, AppendError::Unavailable(reason.clone()))
    }

    /// The group fails, and with it the posts that have waited too long.
    fn fail(&mut self, group: Group, error: AppendError) -> Fates {
        let mut senders = group.senders;
        senders.extend(self.take_overdue());
        Fates { failed: Some((senders, error)), ..Fates::default() }
    }

    fn take_overdue(&mut self) -> Vec<PostSender> {
        let now = Instant::now();
        let late = self.queue.iter().take_while(|queued| queued.since + POST <= now).count();
        let late: Vec<_> = self.queue.drain(..late).collect();
        self.bytes -= late.iter().map(|queued| queued.post.size()).sum::<usize>();
        late.into_iter().map(|queued| queued.sender).collect()
    }
}

impl Fates {
    /// Why all of them failed, if they did.
    pub(crate) fn failure(&self) -> Option<&AppendError> {
        self.failed.as_ref().map(|(_, error)| error)
    }

    /// Each sender with the fate of its post, in the order of the posts.
    pub(crate) fn each(self, mut tell: impl FnMut(PostSender, Result<Posted, PostError>)) {
        for (sender, answer) in self.senders.into_iter().zip(self.answers) {
            tell(sender, answer.map(Posted::from).map_err(PostError::from));
        }
        if let Some((senders, error)) = self.failed {
            senders.into_iter().for_each(|sender| tell(sender, Err(PostError::Append(error.clone()))));
        }
    }
}

impl BusCall for Group {
    type Done = GroupDone;

    /// Sends the group until it is answered or its deadline has passed.
    async fn run(self, access: &BusAccess) -> GroupDone {
        let (mut backoff, mut last) = (Backoff::default(), None);
        loop {
            let attempt = timeout_at(self.deadline, access.bus.append(access.partition, &self.posts)).await;
            let reason = match attempt {
                Ok(Err(AppendError::Unavailable(reason))) => reason,
                Ok(answers) => return GroupDone { group: self, answers },
                // What the bus said before tells more than that it was late this time.
                Err(_) => last.take().unwrap_or_else(|| "no answer in time".into()),
            };
            let pause = backoff.failed();
            if Instant::now() + pause >= self.deadline {
                return GroupDone { group: self, answers: Err(AppendError::Unavailable(reason)) };
            }
            last = Some(reason);
            sleep(pause).await;
        }
    }
}

impl Failure for GroupDone {
    /// Logged with the fates of its posts: a group that failed is not retried.
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        None
    }
}

impl From<Appended> for Posted {
    fn from(Appended { seq, epoch, time, duplicate }: Appended) -> Self {
        Self { seq, epoch, time, duplicate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fanout::messages::ReactorId,
        rooms::{Author, Content, Epoch, Origin, ProtocolId, RoomName},
    };

    fn sender(tag: u64) -> PostSender {
        let to = ConnectionId { reactor: ReactorId(0), slot: 1, generation: 1 };
        PostSender { to, tag, if_gone: None, outside: None }
    }

    fn post() -> Post {
        Post {
            room: RoomName::new("lobby").unwrap(),
            from: Author { id: "u1".into(), name: "ada".into(), extra: None },
            protocol: ProtocolId::Native,
            key: "k".into(),
            content: Content { body: serde_json::value::to_raw_value(&serde_json::json!({})).unwrap(), verbatim: None },
            amends: None,
            durable: false,
            origin: Origin::default(),
        }
    }

    fn appender(posts: u64) -> Appender {
        let mut appender = Appender::default();
        (0..posts).for_each(|tag| appender.offer(sender(tag), post()).unwrap());
        appender
    }

    fn told(fates: Fates) -> Vec<(u64, bool)> {
        let mut told = Vec::new();
        fates.each(|sender, result| told.push((sender.tag, result.is_ok())));
        told
    }

    fn answered(group: Group) -> GroupDone {
        let appended = Appended { seq: 1, epoch: Epoch(1), time: 0, duplicate: false };
        let answers = Ok(group.posts.iter().map(|_| Ok(appended)).collect());
        GroupDone { group, answers }
    }

    #[tokio::test(start_paused = true)]
    async fn one_group_is_in_flight_and_what_comes_meanwhile_is_the_next() {
        let mut appender = appender(2);
        let group = appender.next_group().unwrap();
        appender.offer(sender(2), post()).unwrap();
        assert!(appender.next_group().is_none());
        let AppendNext::Tell(fates) = appender.done(answered(group)) else { panic!("answered") };
        assert_eq!(told(fates), [(0, true), (1, true)]);
        assert_eq!(appender.next_group().unwrap().posts.len(), 1);
        assert!(!appender.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_whose_data_was_lost_continues_after_the_restore_or_fails_at_its_deadline() {
        let mut appender = appender(1);
        let group = appender.next_group().unwrap();
        let lost = GroupDone { group, answers: Err(AppendError::Lost) };
        assert!(matches!(appender.done(lost), AppendNext::Restore));
        let reason = Unavailable("as the test wants".into());
        assert_eq!(told(appender.not_restored(&reason)), []);
        let group = appender.restored().unwrap();
        assert!(matches!(appender.done(GroupDone { group, answers: Err(AppendError::Lost) }), AppendNext::Restore));
        appender.offer(sender(1), post()).unwrap();
        tokio::time::sleep(POST).await;
        let fates = appender.not_restored(&reason);
        assert_eq!(fates.failure(), Some(&AppendError::Unavailable("as the test wants".into())));
        assert_eq!(told(fates), [(0, false), (1, false)], "with what has waited as long");
        assert!(appender.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn posts_beyond_the_queue_come_back() {
        let mut appender = appender(QUEUE as u64);
        assert_eq!(appender.offer(sender(7), post()).unwrap_err().tag, 7);
    }
}
