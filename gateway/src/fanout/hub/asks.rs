//! Pages of history that clients ask for: from memory when the room's log holds them, else from the bus.
//!
//! Single flight per (room, before, limit): a thousand clients that scroll to the same page cost one read.

use std::{collections::HashMap, sync::Arc};

use super::{
    actor::{Actor, Done},
    counters::tick,
    joins::RETRY,
    room::Sync,
    tail::within,
};
use crate::{
    bus::Page,
    fanout::{link::ConnectionId, session::Answer},
    rooms::{RoomName, Unavailable},
};

/// Entries in a page, at most.
const LIMIT: u32 = 1000;
/// Reads under way at once, a partition; beyond it asks are answered as unavailable.
const READS: usize = 64;

/// What a page is asked for by: room, `before`, limit.
pub(super) type Key = (RoomName, Option<u64>, u32);

/// Who waits for which page.
#[derive(Debug, Default)]
pub(super) struct Pages {
    waiting: HashMap<Key, Vec<ConnectionId>>,
}

impl Actor {
    pub(super) fn ask_page(&mut self, from: ConnectionId, room: RoomName, before: Option<u64>, limit: u32) {
        let limit = limit.clamp(1, LIMIT);
        if let Some(answer) = self.page_in_memory(&room, before, limit) {
            self.delivery.answer(from, answer);
            return;
        }
        let key = (room, before, limit);
        if let Some(waiting) = self.pages.waiting.get_mut(&key) {
            waiting.push(from);
        } else if self.pages.waiting.len() >= READS {
            self.delivery.answer(from, Answer::Unavailable { retry: RETRY });
        } else {
            self.pages.waiting.insert(key.clone(), vec![from]);
            self.read_page(key);
        }
    }

    fn page_in_memory(&self, room: &RoomName, before: Option<u64>, limit: u32) -> Option<Answer> {
        let room = self.rooms.get(room).filter(|room| room.sync == Sync::Live)?;
        let log = room.log.as_ref()?;
        let (entries, more) = log.page(before, limit)?;
        Some(Answer::History { epoch: log.head().epoch, entries, more })
    }

    fn read_page(&mut self, key: Key) {
        tick(&self.shared.counters.reads);
        let bus = Arc::clone(&self.bus);
        self.work.push(Box::pin(async move {
            let (room, before, limit) = &key;
            let result = within(bus.history(room, *before, *limit)).await;
            Done::Page { key, result }
        }));
    }

    pub(super) fn page_read(&mut self, key: Key, result: Result<Page, Unavailable>) {
        for from in self.pages.waiting.remove(&key).unwrap_or_default() {
            let answer = match &result {
                Ok(Page { head, entries, more }) => {
                    Answer::History { epoch: head.epoch, entries: entries.clone(), more: *more }
                }
                Err(_) => Answer::Unavailable { retry: RETRY },
            };
            self.delivery.answer(from, answer);
        }
        if let Err(away) = result {
            tick(&self.shared.counters.away);
            tracing::debug!(room = %key.0, %away, "a page of history is not to be had");
        }
    }
}
