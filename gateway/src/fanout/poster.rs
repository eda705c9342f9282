//! Posts into a room without a connection, for HTTP endpoints.
//!
//! Decides nothing about the message. Retries by the same key while the bus is unavailable, so that it is stored once.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    bus::{AppendError, Appended, Bus},
    deadlines::hub::POST,
    rooms::{Author, Content, Origin, Partition, Post, ProtocolId, RoomName},
};

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Appends to the bus beside the hub: another group in flight is as good as another gateway's.
#[derive(Clone)]
pub struct Poster {
    bus: Arc<dyn Bus>,
}

impl Poster {
    /// Posts to `bus`.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus }
    }

    /// Appends one message; the error is the last one after 10 s.
    pub async fn post(
        &self,
        room: RoomName,
        protocol: ProtocolId,
        from: Author,
        content: Content,
    ) -> Result<Appended, AppendError> {
        let partition = Partition::of(&room);
        let key = Uuid::new_v4().simple().to_string().into();
        let post = Post { room, from, protocol, key, content, durable: false, origin: Origin::default() };
        let deadline = Instant::now() + POST;
        loop {
            let appended = self.bus.append(partition, std::slice::from_ref(&post)).await;
            match appended
                .and_then(|mut fates| fates.pop().unwrap_or(Err(AppendError::Unavailable("no answer".into()))))
            {
                Err(AppendError::Unavailable(_) | AppendError::Lost) if Instant::now() < deadline => sleep(PAUSE).await,
                fate => return fate,
            }
        }
    }
}

impl std::fmt::Debug for Poster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Poster")
    }
}
