//! Reads what was last said in a room without a connection, for HTTP endpoints.
//!
//! Decides nothing about what is shown of it. Never tries again: the caller gets the error.

use std::sync::Arc;

use crate::{
    bus::Bus,
    rooms::{Entry, RoomName, Unavailable},
};

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

    /// The newest `limit` entries of a room, the oldest of them first.
    pub async fn entries(&self, room: &RoomName, limit: u32) -> Result<Vec<Arc<Entry>>, Unavailable> {
        Ok(self.bus.history(room, None, limit).await?.entries)
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recent")
    }
}
