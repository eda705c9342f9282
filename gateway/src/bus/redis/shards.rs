//! How each shard does, as this gateway finds it: how far reading lies behind, and why it takes no writes.
//!
//! Decides what is shown of a shard from what is known of its partitions; and tries partitions that refused a write again,
//! so that what is shown ends when the refusal does, also while nobody posts.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    super::{Refusal, Shard},
    append::Appending,
    stream_reader::StreamReader,
};
use crate::{
    redis::{
        Servers,
        connection::Command,
        keys,
        lane::{Connection, Failed, Repeat, Request},
    },
    rooms::{PARTITIONS, Partition},
};

/// How often a partition that refused a write is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// All shards, by their lowest slot.
pub(super) fn shards(servers: &Servers, reading: &StreamReader) -> Vec<Shard> {
    let (topology, now) = (servers.cluster.topology(), Instant::now());
    let mut primaries: Vec<_> = topology.voters().collect();
    primaries.sort_by_cached_key(|primary| primary.node.slots.iter().next());
    let shard = |primary: &crate::redis::topology::Member| {
        let partitions = || Partition::all().filter(|partition| primary.node.slots.contains(keys::slot(*partition)));
        let behind = partitions().filter_map(|partition| Some(reading.lag(partition)?.behind(now))).max();
        let refused = partitions().filter_map(|partition| servers.refusals.of(partition, now));
        let refused = refused.min_by_key(|refusal| refusal.since);
        let refusal = refused.map(|refusal| Refusal { reason: refusal.reason, since: refusal.since });
        let silent = || {
            let since = servers.health.silent_since(&primary.server)?;
            Some(Refusal { reason: "the primary does not answer".into(), since })
        };
        Shard {
            primary: primary.server.to_string(),
            behind: behind.unwrap_or_default(),
            refusal: refusal.or_else(silent),
        }
    };
    primaries.into_iter().map(shard).collect()
}

impl Appending {
    /// Writes again to partitions that refused it, for ever.
    pub(super) async fn try_refused(self: Arc<Self>) {
        loop {
            sleep(TRY_AGAIN).await;
            for partition in self.servers.refusals.to_try() {
                let writing = self.writing(partition);
                // A group that is under way finds out by itself; one that comes meanwhile waits for nothing.
                if writing.writer.try_lock().is_err() {
                    continue;
                }
                let trial = Trial { appending: &self, partition };
                if let Err(fault) = writing.lane.carry_out(trial, Duration::ZERO).await {
                    tracing::debug!(partition = partition.index(), %fault, "failed to write to a partition that refused writes before");
                }
            }
        }
    }
}

/// A write that changes nothing. Nobody waits for its copies: it only asks whether the primary takes writes.
struct Trial<'a> {
    appending: &'a Appending,
    partition: Partition,
}

impl Request for Trial<'_> {
    type Done = ();
    const REPEAT: Repeat = Repeat::Never;

    async fn attempt(&mut self, connection: &Connection) -> Result<(), Failed> {
        let meta = self.appending.servers.keys.meta(self.partition);
        connection.send(Command::new("HSET").arg(meta).arg("partitions").arg(PARTITIONS.to_string())).await.map(drop)
    }
}
