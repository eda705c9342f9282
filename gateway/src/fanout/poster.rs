//! Posts into rooms without a connection, for HTTP endpoints and notices.
//!
//! Decides nothing about messages: moderation does. Retries by the same keys while the bus is unavailable, so that each is
//! stored once.

use std::{iter, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    bus::{AppendError, Appended, Bus, GROUP_POSTS},
    deadlines::hub::POST,
    fanout::session::PostError,
    moderation::{Moderation, Who},
    rooms::{
        Amendment, Author, Content, Origin, PARTITIONS, Partition, Post, ProtocolId, Role, RoomName, amendments,
        present::Change,
    },
};

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A message for a room.
#[derive(Clone, Debug)]
pub struct Message {
    pub room: RoomName,
    pub protocol: ProtocolId,
    pub from: Author,
    /// None: one is made that no other message has.
    pub key: Option<Arc<str>>,
    pub content: Content,
    /// Which earlier message it changes; `content` is then what an edit says, and nothing else's.
    pub amends: Option<Amendment>,
}

/// Appends to the bus beside the hub: another group in flight is as good as another gateway's.
#[derive(Clone)]
pub struct Poster {
    bus: Arc<dyn Bus>,
    moderation: Arc<Moderation>,
    role: Role,
}

impl Poster {
    /// Posts to `bus` what `moderation` lets pass of ordinary members.
    pub fn new(bus: Arc<dyn Bus>, moderation: Arc<Moderation>) -> Self {
        Self { bus, moderation, role: Role::Member }
    }

    /// Posts for who may write where members may not: into read-only rooms, and at any pace into slow ones.
    pub fn trusted(self) -> Self {
        Self { role: Role::Moderator, ..self }
    }

    /// Appends one message; the error is the last one after 10 s.
    pub async fn post(&self, message: Message) -> Result<Appended, PostError> {
        self.post_all(vec![message]).await.pop().unwrap_or_else(|| Err(no_answer().into()))
    }

    /// Appends messages in groups, and answers each in its place. Those of one room keep their order, unless one of them
    /// fails. Takes as long as the slowest partition, at most 10 s. The caller bounds how many bytes they are.
    pub async fn post_all(&self, messages: Vec<Message>) -> Vec<Result<Appended, PostError>> {
        let mut fates: Vec<_> = iter::repeat_with(|| Err(no_answer().into())).take(messages.len()).collect();
        let mut partitions: Vec<(Vec<usize>, Vec<Post>)> = vec![Default::default(); usize::from(PARTITIONS)];
        let mut passed: Vec<(usize, Post)> = Vec::with_capacity(messages.len());
        for (place, message) in messages.into_iter().enumerate() {
            let who = Who { person: &message.from.id, role: self.role, address: None };
            let wanted = self.moderation.may_post(&message.room, who);
            let wanted =
                wanted.and_then(|()| self.moderation.may_say(&message.room, &message.from, &message.content.body));
            match wanted {
                Ok(()) => passed.push((place, message.into())),
                Err(refusal) => fates[place] = Err(refusal.into()),
            }
        }
        let judged = passed.into_iter().map(async |(place, post)| (place, self.moderation.screen(post).await));
        for (place, judged) in join_all(judged).await {
            match judged {
                Ok(post) => {
                    let (places, posts) = &mut partitions[Partition::of(&post.room).index()];
                    places.push(place);
                    posts.push(post);
                }
                Err(refusal) => fates[place] = Err(refusal.into()),
            }
        }
        let deadline = Instant::now() + POST;
        let used = Partition::all().zip(partitions).filter(|(_, (places, _))| !places.is_empty());
        let appended = used.map(async |(partition, (places, posts))| {
            let mut fates = Vec::with_capacity(posts.len());
            for group in posts.chunks(GROUP_POSTS) {
                fates.extend(self.append(partition, group, deadline).await);
            }
            places.into_iter().zip(fates).collect::<Vec<_>>()
        });
        for (place, fate) in join_all(appended).await.into_iter().flatten() {
            fates[place] = fate.map_err(PostError::from);
        }
        fates
    }

    /// Deletes messages of a room for `by`, a moderator who speaks `protocol`: nothing keeps them from it. Answers each in
    /// its place; one that they deleted a moment ago is answered as the first time. Takes at most 10 s.
    pub async fn delete(
        &self,
        room: &RoomName,
        by: &Author,
        protocol: ProtocolId,
        seqs: &[u64],
    ) -> Vec<Result<Appended, AppendError>> {
        let posts: Vec<_> = seqs.iter().map(|&seq| deletion(room, by, protocol, seq)).collect();
        let (deadline, mut fates) = (Instant::now() + POST, Vec::with_capacity(posts.len()));
        for group in posts.chunks(GROUP_POSTS) {
            fates.extend(self.append(Partition::of(room), group, deadline).await);
        }
        fates
    }

    /// Tries until the group is answered, or the deadline has passed.
    async fn append(
        &self,
        partition: Partition,
        group: &[Post],
        deadline: Instant,
    ) -> Vec<Result<Appended, AppendError>> {
        loop {
            match self.bus.append(partition, group).await {
                Ok(fates) => return fates,
                Err(AppendError::Unavailable(_) | AppendError::Lost) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(error) => return vec![Err(error); group.len()],
            }
        }
    }

    /// Appends one message in one try. Another try with the same key stores it once.
    pub async fn try_once(&self, post: &Post) -> Result<Appended, AppendError> {
        let mut fates = self.bus.append(Partition::of(&post.room), std::slice::from_ref(post)).await?;
        fates.pop().unwrap_or_else(|| Err(no_answer()))
    }
}

impl From<Message> for Post {
    fn from(Message { room, protocol, from, key, content, amends }: Message) -> Self {
        let key = key.unwrap_or_else(|| Uuid::new_v4().simple().to_string().into());
        Self { room, from, protocol, key, content, amends, durable: false, origin: Origin::default() }
    }
}

fn deletion(room: &RoomName, by: &Author, protocol: ProtocolId, seq: u64) -> Post {
    let message = Message {
        room: room.clone(),
        protocol,
        from: by.clone(),
        // Sent again, it is the same deletion.
        key: Some(format!("\u{1}delete\u{1}{seq}").into()),
        content: amendments::nothing(),
        amends: Some(Amendment { seq, change: Change::Delete, by: Role::Moderator }),
    };
    message.into()
}

fn no_answer() -> AppendError {
    AppendError::Unavailable("the bus answered nothing".into())
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poster")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::bus::{History, memory::MemoryBus};

    fn message(room: &str, key: Option<&str>) -> Message {
        Message {
            room: RoomName::new(room).unwrap(),
            protocol: ProtocolId::Native,
            from: Author { id: "u1".into(), name: "ada".into(), extra: None },
            key: key.map(Into::into),
            content: Content { body: RawValue::from_string("{}".into()).unwrap(), verbatim: None },
            amends: None,
        }
    }

    fn poster() -> Poster {
        let bus = MemoryBus::new(History { messages: 10, age: Duration::from_secs(60) });
        let clock = bus.clock();
        Poster::new(Arc::new(bus), Moderation::in_memory(clock, Arc::default()))
    }

    #[tokio::test]
    async fn each_message_is_answered_in_its_place_and_rooms_keep_their_order() {
        let poster = poster();
        let messages: Vec<_> = (0..2000).map(|n| message(&format!("room {}", n % 7), None)).collect();
        let fates = poster.post_all(messages).await;
        let seqs: Vec<u64> = fates.into_iter().map(|fate| fate.unwrap().seq).collect();
        assert_eq!(seqs, (0..2000).map(|n| n / 7 + 1).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn a_key_that_comes_again_is_stored_once() {
        let poster = poster();
        let first = poster.post(message("lobby", Some("k"))).await.unwrap();
        let again = poster.post(message("lobby", Some("k"))).await.unwrap();
        assert_eq!((first.seq, first.duplicate, again.seq, again.duplicate), (1, false, 1, true));
        assert_eq!(poster.post_all(Vec::new()).await.len(), 0);
    }
}
