//! Pages of history that clients ask for and the room's log in memory does not hold: read from the bus.
//!
//! Single flight per (room, before, limit): a thousand clients that scroll to the same page cost one read.

use std::collections::HashMap;

use super::super::call::{BusAccess, BusCall, Failure, RETRY};
use crate::{
    bus::{Head, Page},
    fanout::{messages::ConnectionId, session::Answer},
    rooms::{Position, RoomName, Unavailable},
};

/// Entries in a page, at most.
const LIMIT: u32 = 1000;
/// Reads of one partition that are under way at once. Requests beyond them are answered as unavailable.
const READS: usize = 64;

/// What is asked for. `before` is exclusive; `None`: the newest page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HistoryRequest {
    pub(crate) room: RoomName,
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
}

impl HistoryRequest {
    pub(crate) fn new(room: RoomName, before: Option<u64>, limit: u32) -> Self {
        Self { room, before, limit: limit.clamp(1, LIMIT) }
    }
}

/// Who waits for which page.
#[derive(Debug, Default)]
pub(crate) struct HistoryRequests {
    waiting: HashMap<HistoryRequest, Vec<ConnectionId>>,
}

/// What follows from a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Read(HistoryRequest),
    /// The same page is being read.
    Waits,
    /// Too many pages are being read.
    Refused,
}

/// A page that was read.
#[derive(Debug)]
pub(crate) struct PageDone {
    request: HistoryRequest,
    result: Result<Page, Unavailable>,
}

impl HistoryRequests {
    /// Somebody asks for a page.
    pub(crate) fn ask(&mut self, from: ConnectionId, request: HistoryRequest) -> Asked {
        if let Some(waiting) = self.waiting.get_mut(&request) {
            waiting.push(from);
            Asked::Waits
        } else if self.waiting.len() >= READS {
            Asked::Refused
        } else {
            self.waiting.insert(request.clone(), vec![from]);
            Asked::Read(request)
        }
    }

    /// Takes a page: who is answered what.
    pub(crate) fn done(&mut self, done: PageDone) -> impl Iterator<Item = (ConnectionId, Answer)> {
        let PageDone { request, result } = done;
        self.waiting.remove(&request).unwrap_or_default().into_iter().map(move |from| {
            let answer = match &result {
                Ok(Page { head: Head { epoch, seq }, entries, more }) => {
                    let head = Position { epoch: *epoch, seq: *seq };
                    Answer::History { head, entries: entries.clone(), more: *more }
                }
                Err(_) => Answer::Unavailable { retry: RETRY },
            };
            (from, answer)
        })
    }
}

impl BusCall for HistoryRequest {
    type Done = PageDone;

    async fn run(self, access: &BusAccess) -> PageDone {
        let result = access.page(&self.room, self.before, self.limit).await;
        PageDone { request: self, result }
    }
}

impl Failure for PageDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        Some(("failed to read a page of history", self.result.as_ref().err()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::messages::ReactorId;

    fn request(before: u64) -> HistoryRequest {
        HistoryRequest::new(RoomName::new("lobby").unwrap(), Some(before), 50)
    }

    fn at(slot: u32) -> ConnectionId {
        ConnectionId { reactor: ReactorId(0), slot, generation: 1 }
    }

    #[test]
    fn a_page_is_read_once_for_all_who_ask_and_reads_are_bounded() {
        let mut requests = HistoryRequests::default();
        assert_eq!(requests.ask(at(1), request(0)), Asked::Read(request(0)));
        assert_eq!(requests.ask(at(2), request(0)), Asked::Waits);
        for before in 1..READS as u64 {
            assert!(matches!(requests.ask(at(3), request(before)), Asked::Read(_)));
        }
        assert_eq!(requests.ask(at(4), request(1000)), Asked::Refused);
        let failed = PageDone { request: request(0), result: Err(Unavailable("as the test wants".into())) };
        let told: Vec<_> = requests.done(failed).map(|(to, _)| to.slot).collect();
        assert_eq!(told, [1, 2]);
        assert!(matches!(requests.ask(at(4), request(1000)), Asked::Read(_)));
    }
}
