//! The manifest: as it was at the start, and what it says of draining now. A change of that restarts no gateway.

use std::{fs, path::PathBuf};

use parlor_crds::{ChatRoom, chatroom::Drain};

pub(super) struct Manifest {
    pub(super) path: PathBuf,
    /// As it was at the start.
    pub(super) room: ChatRoom,
}

impl Manifest {
    /// How to drain, as the file says now; as it said at the start, if it cannot be read.
    pub(super) fn drain(&self) -> Drain {
        let now = fs::read_to_string(&self.path).ok().and_then(|text| parlor_crds::load(&text).ok());
        now.unwrap_or_else(|| self.room.clone()).spec.drain
    }
}
