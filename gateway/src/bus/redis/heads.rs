//! Watches the heads of the partitions that are read: one command a partition and second, one round trip a shard.
//!
//! Decides nothing: [`Lag`] does. Runs beside the readers, so that no read waits for a primary.

use std::{collections::HashMap, time::Duration};

use fred::types::Value;
use futures::future::join_all;
use parking_lot::{MappedMutexGuard, MutexGuard};
use parlor_redis::Address;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::Offset,
    lag::{Lag, Reads},
    stream_codec,
    stream_reader::{READ, StreamReader},
};
use crate::{
    redis::connection::{Command, Fault},
    rooms::Partition,
};

/// How often heads are looked at.
const EVERY: Duration = Duration::from_secs(1);

impl StreamReader {
    fn reads(&self, partition: Partition) -> MutexGuard<'_, Reads> {
        self.reads[partition.index()].lock()
    }

    /// How far a partition is read, while it is.
    pub(super) fn lag(&self, partition: Partition) -> Option<MappedMutexGuard<'_, Lag>> {
        MutexGuard::try_map(self.reads(partition), Reads::lag).ok()
    }

    /// The partition is read from now on, or no longer.
    pub(super) fn watch(&self, partition: Partition, on: bool) {
        let mut reads = self.reads(partition);
        match (on, &*reads) {
            (true, Reads::Now(_)) => {}
            (true, _) => *reads = Reads::Now(Lag::new(Instant::now())),
            (false, _) => *reads = Reads::NoMore,
        }
    }

    /// A read of the partition begins behind `from`.
    pub(super) fn begins(&self, partition: Partition, from: Offset) {
        let mut reads = self.reads(partition);
        if matches!(*reads, Reads::NotYet) {
            *reads = Reads::Now(Lag::new(Instant::now()));
        }
        if let Reads::Now(lag) = &mut *reads {
            lag.begins(from);
        }
    }

    /// Asks a partition's metadata for its head.
    pub(super) fn head_of(&self, partition: Partition) -> Command {
        Command::new("HMGET").arg(self.servers.keys.meta(partition)).arg("generation").arg("offset")
    }

    /// Looks at all heads, for ever.
    pub(super) async fn watch_heads(&self) {
        loop {
            sleep(EVERY).await;
            let mut shards = HashMap::<Address, Vec<Partition>>::new();
            for partition in Partition::all().filter(|partition| self.lag(*partition).is_some()) {
                if let Ok(primary) = self.servers.cluster.primary(partition) {
                    shards.entry(primary.server).or_default().push(partition);
                }
            }
            join_all(shards.into_iter().map(|(primary, partitions)| self.look(primary, partitions))).await;
        }
    }

    async fn look(&self, primary: Address, partitions: Vec<Partition>) {
        let asked = async {
            let node = self.servers.cluster.node(&primary).await?;
            let answers = node.all(partitions.iter().map(|partition| self.head_of(*partition)).collect(), READ).await;
            self.servers.cluster.note(&node, answers)
        };
        // A primary that does not answer is no reason to leave its replicas.
        let Ok(Ok(answers)) = timeout(READ, asked).await else { return };
        for (partition, answer) in partitions.into_iter().zip(answers) {
            self.found(partition, answer);
        }
    }

    fn found(&self, partition: Partition, answer: Result<Value, Fault>) {
        let head = match answer.and_then(stream_codec::head) {
            Ok(head) => Some(head),
            Err(Fault::Absent) => None,
            Err(Fault::Ask(ask)) => return self.follow(partition, &ask),
            Err(_) => return,
        };
        if let Some(mut lag) = self.lag(partition) {
            lag.seen(head, Instant::now());
        }
    }
}
