//! The auditor: publishes numbered messages through many connections, follows the room as a real client does, and
//! judges what every member was shown.
//!
//! [`run`] drives [`native`] and [`onlyone`] members and returns a [`Report`]; [`verdict`] judges and is pure.

mod clock;
mod native;
mod onlyone;
mod report;
mod run;
pub mod tag;
pub mod trace;
pub mod verdict;
#[cfg(test)]
mod verdict_tests;

use std::{net::SocketAddr, time::Duration};

pub use report::Report;
pub use run::run;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// URLs of native endpoints; members spread over them, and reconnect to the next one.
    pub native: Vec<String>,
    /// URLs of OnlyOne endpoints; half of the members use them, if there are any.
    pub onlyone: Vec<String>,
    /// Where to connect for URLs whose host is a name: an ingress, which goes by the name it is asked for.
    pub via: Option<SocketAddr>,
    /// Rooms, by name.
    pub rooms: Vec<String>,
    /// Members of each room; each is a connection that posts and reads.
    pub members: u32,
    /// Posts per second over all members.
    pub rate: f64,
    /// How long to post.
    pub duration: Duration,
    /// About this many bytes of text a post.
    pub bytes: usize,
    /// Native members delete each message of theirs whose number this divides, once it is acknowledged; 0: none.
    pub deletes: u32,
    /// How long stragglers are waited for at the end.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            native: Vec::new(),
            onlyone: Vec::new(),
            via: None,
            rooms: vec!["audit".into()],
            members: 20,
            rate: 50.0,
            duration: Duration::from_secs(10),
            bytes: 100,
            deletes: 0,
            patience: Duration::from_secs(20),
        }
    }
}

impl Plan {
    /// When a message was meant to be sent, from when posting began; None: it is not part of the plan.
    pub fn due(&self, (sender, n): trace::Key) -> Option<Duration> {
        let members = self.members * u32::try_from(self.rooms.len()).ok()?;
        let timetable = clock::Timetable::of(sender, members, self.rate, self.duration);
        timetable.due(n).map(Duration::from_micros)
    }
}
