//! What no message pays for: idle rooms are forgotten, and history segments beyond what a room keeps are dropped.
//!
//! Decides what is idle from what is stored, never from a clock of its own. Every gateway does it; the scripts check
//! again, so that two at once do no harm.

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use tokio::time::sleep;

use super::{super::History, forget, scripts::ROOMS};
use crate::{
    deadlines::EARLY,
    redis::{
        Servers,
        connection::{Command, Fault, list, number},
    },
    rooms::{Partition, RoomName},
};

/// Pause between two looks at the rooms of all partitions.
const EVERY: Duration = Duration::from_secs(300);

const ANSWER: Duration = Duration::from_secs(2);

/// Rooms looked at in one command, and forgotten in one script: some hundred microseconds of Redis.
const CHUNK: u32 = 500;

/// Segments that a room may have: a GiB of history, whatever its number of messages.
const SEGMENTS: u32 = 64;

/// Keeps the number of rooms and of history segments in bounds.
#[derive(Debug)]
pub(super) struct GarbageCollector {
    pub(super) servers: Arc<Servers>,
    history: History,
}

impl GarbageCollector {
    pub(super) fn new(servers: Arc<Servers>, history: History) -> Self {
        Self { servers, history }
    }

    /// Looks at all partitions now and every five minutes, for ever.
    pub(super) async fn run(&self) {
        loop {
            for partition in Partition::all() {
                if let Err(fault) = self.forget(partition).await {
                    tracing::debug!(partition = partition.index(), %fault, "failed to delete idle rooms");
                }
            }
            sleep(EVERY).await;
        }
    }

    async fn call(&self, partition: Partition, command: Command) -> Result<Value, Fault> {
        self.servers.cluster.call(&self.servers.cluster.primary(partition)?.server, command, ANSWER).await
    }

    /// Forgets idle rooms of a partition that has too many: first those whose history has ended, and where that is not
    /// enough those of few messages.
    async fn forget(&self, partition: Partition) -> Result<(), Fault> {
        for early in [None, Some(EARLY)] {
            let rooms = Command::new("HLEN").arg(self.servers.keys.heads(partition));
            let rooms = number(&self.call(partition, rooms).await?).unwrap_or(0);
            if rooms <= ROOMS {
                break;
            }
            self.forget_some(partition, early, rooms - ROOMS).await?;
        }
        Ok(())
    }

    /// Forgets idle rooms; of those that go `early` about as many as are `beyond` the bound.
    async fn forget_some(&self, partition: Partition, early: Option<Duration>, beyond: u64) -> Result<(), Fault> {
        let heads = self.servers.keys.heads(partition);
        let (mut cursor, mut gone) = ("0".to_owned(), 0);
        while early.is_none() || gone < beyond {
            let scan = Command::new("HSCAN").arg(heads.clone()).arg(cursor).arg("COUNT").arg(CHUNK);
            let mut answer = list(self.call(partition, scan).await?).into_iter();
            cursor = answer.next().and_then(|next| next.into_string()).unwrap_or_else(|| "0".into());
            let fields = answer.next().map(list).unwrap_or_default();
            let names = fields.into_iter().step_by(2).filter_map(|name| name.into_string());
            let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
            for chunk in names.chunks(CHUNK as usize) {
                let time = self.servers.health.time();
                let forget = forget::forget(&self.servers.keys, partition, time, self.history, early, chunk);
                gone += forget::forgotten(self.call(partition, forget).await?)?;
            }
            if cursor == "0" {
                break;
            }
        }
        if early.is_some() && gone > 0 {
            tracing::warn!(partition = partition.index(), gone, "too many rooms: some of few messages were forgotten");
        }
        Ok(())
    }

    /// Drops the segments of a room that lie beyond what it keeps; `segment` is the one in use.
    pub(super) async fn drop_segments(&self, room: &RoomName, segment: u32) -> Result<(), Fault> {
        let partition = Partition::of(room);
        let line = Command::new("HGET").arg(self.servers.keys.heads(partition)).arg(room.as_str().to_owned());
        let line = self.call(partition, line).await?.into_string().unwrap_or_default();
        let head: u64 = line.split(' ').next().and_then(|seq| seq.parse().ok()).unwrap_or(0);
        for older in (0..segment).rev() {
            let Some(first) = self.first(room, older + 1).await? else { continue };
            let beyond = first + self.history.messages <= head || segment - older >= SEGMENTS;
            if !beyond {
                continue;
            }
            let dropped = Command::new("UNLINK").arg(self.servers.keys.history(room, older));
            if number(&self.call(partition, dropped).await?) == Some(0) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The first seq of a segment.
    async fn first(&self, room: &RoomName, segment: u32) -> Result<Option<u64>, Fault> {
        let range = Command::new("XRANGE")
            .arg(self.servers.keys.history(room, segment))
            .arg("-")
            .arg("+")
            .arg("COUNT")
            .arg(1_u32);
        let answer = self.call(Partition::of(room), range).await?;
        let first = list(answer).into_iter().next().map(list).and_then(|item| item.into_iter().next());
        Ok(first.and_then(|id| id.as_str()?.split('-').next()?.parse().ok()))
    }
}
