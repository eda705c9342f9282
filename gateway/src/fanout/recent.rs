//! Reads what was said in rooms, and which there are, without a connection, for HTTP endpoints.
//!
//! Decides that amendments and deleted messages are not shown, and nothing else. Never tries again: the caller gets the error.

use std::sync::Arc;

use crate::{
    bus::{Bus, KnownRooms, Page},
    rooms::{Entry, Partition, RoomName, Unavailable},
};

/// Pages that are read at most: among many amendments, some messages are found, and the bus is not asked without end.
const PAGES: u32 = 5;

/// Reads from the bus beside the hub.
#[derive(Clone)]
pub struct Recent {
    bus: Arc<dyn Bus>,
}

impl Recent {
    /// Reads from `bus`.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus }
    }

    /// The newest `limit` messages of a room as they are now, the oldest of them first. Looks at [`PAGES`] times as many
    /// entries for them at most.
    pub async fn messages(&self, room: &RoomName, limit: u32) -> Result<Vec<Arc<Entry>>, Unavailable> {
        let (mut messages, mut before) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self.bus.history(room, before, limit).await?;
            before = page.entries.first().map(|oldest| oldest.seq);
            messages.extend(page.entries.into_iter().rev().filter(|entry| entry.is_message()));
            if messages.len() >= limit as usize || !page.more || before.is_none() {
                break;
            }
        }
        messages.truncate(limit as usize);
        messages.reverse();
        Ok(messages)
    }

    /// The newest `limit` entries of a room below `before`, the oldest of them first.
    pub async fn page(&self, room: &RoomName, before: Option<u64>, limit: u32) -> Result<Page, Unavailable> {
        self.bus.history(room, before, limit).await
    }

    /// Some of a partition's rooms in which something was said, behind the place `after`.
    pub async fn rooms(&self, partition: Partition, after: Option<&str>) -> Result<KnownRooms, Unavailable> {
        self.bus.rooms(partition, after).await
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recent")
    }
}
