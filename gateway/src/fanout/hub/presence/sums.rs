//! How many members rooms have on other gateways, as last read from the bus.
//!
//! Decides how fresh a number must be for somebody who asks for it, and when it is read again. Single flight for a room.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::super::call::{BusAccess, BusCall, Failure, within_limit};
use crate::{
    deadlines::hub::{FRESH, SUM},
    fanout::messages::ConnectionId,
    rooms::{RoomName, Unavailable},
};

/// Connections of one partition that wait for a sum. Each has one pending request, so reactors bound them too.
const REQUESTS: usize = 4096;
/// Rooms of one partition whose sums are kept. Beyond it requests are answered as unavailable.
const ROOMS: usize = 1 << 14;
/// How long a sum that nobody asks for is kept.
const KEPT: Duration = Duration::from_secs(10);

/// Members of a room on other gateways.
#[derive(Debug, Default)]
struct Sum {
    /// As last read.
    others: u64,
    /// When it was read; `None`: not yet, or it is known to have changed.
    at: Option<Instant>,
    reading: bool,
    /// Counts changed while it was read.
    again: bool,
    requests: Vec<ConnectionId>,
}

/// The sums of a partition's rooms.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    rooms: HashMap<RoomName, Sum>,
    requests: usize,
}

/// What follows from a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SumAsked {
    /// Members on other gateways.
    Known(u64),
    /// It is read, by this call or by one under way.
    Waits(Option<SumCall>),
    /// Too many wait.
    Refused,
}

/// A sum that is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SumCall {
    room: RoomName,
}

/// A sum that was read.
#[derive(Debug)]
pub(crate) struct SumDone {
    room: RoomName,
    result: Result<u64, Unavailable>,
}

/// What follows from a sum.
#[derive(Debug)]
pub(crate) struct SumNext {
    pub(crate) room: RoomName,
    pub(crate) others: u64,
    /// Who asked.
    pub(crate) requests: Vec<ConnectionId>,
    /// It has changed while it was read.
    pub(crate) again: Option<SumCall>,
}

impl Sums {
    /// The number that was read last; 0 where none was read yet.
    pub(crate) fn last_known(&self, room: &RoomName) -> u64 {
        self.rooms.get(room).map_or(0, |sum| sum.others)
    }

    /// The number, if it was read within [`FRESH`].
    pub(crate) fn fresh(&self, room: &RoomName) -> Option<u64> {
        let sum = self.rooms.get(room)?;
        sum.at.filter(|at| at.elapsed() < FRESH).map(|_| sum.others)
    }

    /// When the room's sum was read; `None`: not yet, or it is known to have changed.
    pub(crate) fn read_at(&self, room: &RoomName) -> Option<Instant> {
        self.rooms.get(room)?.at
    }

    /// Reads the room's sum, unless it is fresh or being read.
    pub(crate) fn refresh(&mut self, room: &RoomName) -> Option<SumCall> {
        if self.fresh(room).is_some() { None } else { self.read(room) }
    }

    fn read(&mut self, room: &RoomName) -> Option<SumCall> {
        let sum = self.rooms.entry(room.clone()).or_default();
        if std::mem::replace(&mut sum.reading, true) {
            return None;
        }
        sum.again = false;
        Some(SumCall { room: room.clone() })
    }

    /// Counts of the room have changed somewhere.
    pub(crate) fn outdate(&mut self, room: &RoomName) {
        if let Some(sum) = self.rooms.get_mut(room) {
            sum.at = None;
            sum.again = sum.reading;
        }
    }

    /// Somebody asks for the number.
    pub(crate) fn ask(&mut self, from: ConnectionId, room: &RoomName) -> SumAsked {
        if let Some(others) = self.fresh(room) {
            return SumAsked::Known(others);
        }
        if self.requests >= REQUESTS || self.rooms.len() >= ROOMS {
            return SumAsked::Refused;
        }
        self.requests += 1;
        self.rooms.entry(room.clone()).or_default().requests.push(from);
        SumAsked::Waits(self.read(room))
    }

    /// Takes a sum. `reported`: this gateway's part of it. While the bus is unavailable the last number counts: nobody
    /// waits for it.
    pub(crate) fn done(&mut self, SumDone { room, result }: SumDone, reported: u32) -> Option<SumNext> {
        let sum = self.rooms.get_mut(&room)?;
        if let Ok(all) = result {
            sum.others = all.saturating_sub(reported.into());
        }
        (sum.reading, sum.at) = (false, Some(Instant::now()));
        let (others, again) = (sum.others, sum.again);
        let requests = std::mem::take(&mut sum.requests);
        self.requests -= requests.len();
        let again = again.then(|| {
            self.outdate(&room);
            self.read(&room)
        });
        Some(SumNext { room, others, requests, again: again.flatten() })
    }

    /// True without sums.
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Forgets the sums of rooms that are not in use and that nobody has asked for lately.
    pub(crate) fn forget_unused(&mut self, in_use: impl Fn(&RoomName) -> bool) {
        let wanted = |sum: &Sum| sum.reading || sum.at.is_some_and(|at| at.elapsed() < KEPT);
        self.rooms.retain(|room, sum| in_use(room) || wanted(sum));
    }
}

impl SumDone {
    pub(crate) fn room(&self) -> &RoomName {
        &self.room
    }
}

impl BusCall for SumCall {
    type Done = SumDone;

    async fn run(self, BusAccess { bus, .. }: &BusAccess) -> SumDone {
        let result = within_limit(SUM, bus.members(&self.room)).await;
        SumDone { room: self.room, result }
    }
}

impl Failure for SumDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        Some(("failed to read the number of members of a room", self.result.as_ref().err()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::messages::ReactorId;

    const AT: ConnectionId = ConnectionId { reactor: ReactorId(0), slot: 1, generation: 1 };

    fn room() -> RoomName {
        RoomName::new("lobby").unwrap()
    }

    fn done(result: Result<u64, Unavailable>) -> SumDone {
        SumDone { room: room(), result }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sum_is_read_once_for_all_who_ask_and_counts_for_a_quarter_of_a_second() {
        let mut sums = Sums::default();
        assert!(matches!(sums.ask(AT, &room()), SumAsked::Waits(Some(_))));
        assert_eq!(sums.ask(AT, &room()), SumAsked::Waits(None));
        let next = sums.done(done(Ok(5)), 2).unwrap();
        assert_eq!((next.others, next.requests.len(), next.again), (3, 2, None));
        assert_eq!(sums.ask(AT, &room()), SumAsked::Known(3));
        tokio::time::sleep(FRESH).await;
        assert_eq!((sums.fresh(&room()), sums.last_known(&room())), (None, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sum_that_changes_while_it_is_read_is_read_again() {
        let mut sums = Sums::default();
        sums.refresh(&room()).unwrap();
        sums.outdate(&room());
        assert!(sums.refresh(&room()).is_none(), "it is being read");
        assert!(sums.done(done(Ok(5)), 0).unwrap().again.is_some());
        assert_eq!(sums.fresh(&room()), None);
        assert!(sums.done(done(Ok(6)), 0).unwrap().again.is_none());
        assert_eq!(sums.fresh(&room()), Some(6));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_number_counts_while_the_bus_is_unavailable() {
        let mut sums = Sums::default();
        sums.refresh(&room()).unwrap();
        sums.done(done(Ok(5)), 0);
        sums.outdate(&room());
        sums.refresh(&room()).unwrap();
        let next = sums.done(done(Err(Unavailable("as the test wants".into()))), 0).unwrap();
        assert_eq!(next.others, 5);
    }
}
