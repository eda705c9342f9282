//! Posts into a room without a connection, for HTTP endpoints and notices.
//!
//! Decides nothing about the message: moderation does. Retries by the same key while the bus is unavailable, so that it is
//! stored once.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    bus::{AppendError, Appended, Bus},
    deadlines::hub::POST,
    fanout::session::PostError,
    moderation::{Moderation, Who},
    rooms::{Amendment, Author, Content, Origin, Partition, Post, ProtocolId, Role, RoomName},
};

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

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
    pub async fn post(
        &self,
        room: RoomName,
        protocol: ProtocolId,
        from: Author,
        content: Content,
    ) -> Result<Appended, PostError> {
        self.append(room, protocol, from, content, None).await
    }

    /// Changes an earlier message; `content` is what an edit says, and nothing else's. As [`Poster::post`].
    pub async fn amend(
        &self,
        room: RoomName,
        protocol: ProtocolId,
        from: Author,
        content: Content,
        amendment: Amendment,
    ) -> Result<Appended, PostError> {
        self.append(room, protocol, from, content, Some(amendment)).await
    }

    async fn append(
        &self,
        room: RoomName,
        protocol: ProtocolId,
        from: Author,
        content: Content,
        amends: Option<Amendment>,
    ) -> Result<Appended, PostError> {
        self.moderation.may_post(&room, Who { person: &from.id, role: self.role, address: None })?;
        let key = Uuid::new_v4().simple().to_string().into();
        let post = Post { room, from, protocol, key, content, amends, durable: false, origin: Origin::default() };
        let deadline = Instant::now() + POST;
        loop {
            match self.try_once(&post).await {
                Err(AppendError::Unavailable(_) | AppendError::Lost) if Instant::now() < deadline => sleep(PAUSE).await,
                fate => return Ok(fate?),
            }
        }
    }

    /// Appends one message in one try. Another try with the same key stores it once.
    pub async fn try_once(&self, post: &Post) -> Result<Appended, AppendError> {
        let mut fates = self.bus.append(Partition::of(&post.room), std::slice::from_ref(post)).await?;
        fates.pop().unwrap_or(Err(AppendError::Unavailable("the bus answered nothing".into())))
    }
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poster")
    }
}
