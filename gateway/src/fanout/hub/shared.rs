//! What all partitions of a hub share: its settings, its clock, its counters, and the budget of rooms.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{counters::Counters, new_rooms::NewRooms};
use crate::{bus::Bus, rooms::log::Window};

/// What the ChatRoom says about rooms and their memory.
#[derive(Clone, Copy, Debug)]
pub struct HubSettings {
    /// `limits.rooms`: rooms with members on this gateway.
    pub rooms: usize,
    /// `limits.newRoomsPerMinute`.
    pub new_rooms_per_minute: u32,
    /// How much of a room is kept in memory, and therefore how far back a resume can reach.
    pub window: Window,
    /// Bytes of entries that one partition keeps in memory. Its rooms share them evenly when they want more.
    pub partition_bytes: usize,
    /// `history.age`: nothing older is shown.
    pub age: Duration,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            rooms: 100_000,
            new_rooms_per_minute: 60,
            window: Window { entries: 4096, bytes: 4 << 20 },
            // A gibibyte over 64 partitions, when all are full.
            partition_bytes: 16 << 20,
            age: Duration::from_secs(24 * 3600),
        }
    }
}

/// Shared by all partitions of a hub.
pub(crate) struct Shared {
    settings: HubSettings,
    counters: Arc<Counters>,
    /// Rooms with members on this gateway.
    rooms: AtomicUsize,
    new_rooms: NewRooms,
    started: Instant,
    /// Knows the time by which entries are dated.
    bus: Arc<dyn Bus>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    pub(crate) fn new(settings: HubSettings, bus: Arc<dyn Bus>) -> Self {
        let counters = Arc::new(Counters::default());
        let new_rooms = NewRooms::new(settings.new_rooms_per_minute);
        Self { settings, counters, rooms: AtomicUsize::new(0), new_rooms, started: Instant::now(), bus }
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Milliseconds since the start.
    pub(crate) fn millis(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Entries from before this time are not shown, in milliseconds since the Unix epoch.
    pub(crate) fn oldest_shown(&self) -> u64 {
        self.bus.now().saturating_sub(self.settings.age.as_millis() as u64)
    }

    /// What a room may keep when its partition has `rooms` of them.
    pub(crate) fn window(&self, rooms: usize) -> Window {
        let share = self.settings.partition_bytes / rooms.max(1);
        let window = self.settings.window;
        Window { bytes: window.bytes.min(share), ..window }
    }

    /// Entries of the stream that a room may set aside while its history is read.
    pub(crate) fn aside(&self) -> Window {
        self.settings.window
    }

    /// Rooms with members on this gateway.
    pub(crate) fn rooms(&self) -> usize {
        self.rooms.load(Relaxed)
    }

    /// Who may open new rooms.
    pub(crate) fn new_rooms(&self) -> &NewRooms {
        &self.new_rooms
    }

    /// Takes a place among `limits.rooms`; false if there is none.
    pub(crate) fn take_room(&self) -> bool {
        let free = |used: usize| (used < self.settings.rooms).then_some(used + 1);
        self.rooms.fetch_update(Relaxed, Relaxed, free).is_ok()
    }

    /// Gives a place back.
    pub(crate) fn give_room_back(&self) {
        self.rooms.fetch_sub(1, Relaxed);
    }
}
