//! Members of rooms over all gateways: each writes its own counts under a lease, readers add them up
//! with one request, whatever the number of gateways.
//!
//! Decides nothing about who is a member. A gateway that dies takes its counts with it when its lease ends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fred::types::Value;
use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::sleep;

use crate::{
    deadlines::{COUNT_LEASE as LEASE, COUNT_RENEWAL as RENEWAL},
    redis::{
        Servers,
        connection::{Command, Fault, failed_to, list, number},
    },
    rooms::{PARTITIONS, Partition, RoomName, Unavailable},
};

const LEASE_SCRIPT: &str = include_str!("lease.lua");
const MEMBERS_SCRIPT: &str = include_str!("members.lua");

/// Gateways stay listed this long; the lease is on their counts, the list is only where to look.
const LISTED: Duration = Duration::from_secs(60);

const ANSWER: Duration = Duration::from_secs(2);

/// Rooms in one command, so that none blocks Redis for long.
const CHUNK: usize = 500;

type Counts = HashMap<RoomName, u32>;

/// The counts of this gateway and how to read those of all.
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) servers: Arc<Servers>,
    gateway: String,
    counts: Vec<Mutex<Counts>>,
}

/// The sum of what gateways counted; each counts its connections, which are fewer than any `u32`.
fn total(counts: &[Value]) -> u64 {
    counts.iter().filter_map(number).filter_map(|count| u32::try_from(count).ok()).map(u64::from).sum()
}

impl Presence {
    pub(super) fn new(servers: Arc<Servers>, gateway: String) -> Self {
        Self { servers, gateway, counts: (0..PARTITIONS).map(|_| Mutex::default()).collect() }
    }

    fn counts(&self, partition: Partition) -> MutexGuard<'_, Counts> {
        self.counts[partition.index()].lock()
    }

    async fn ask(&self, partition: Partition, commands: Vec<Command>) -> Result<Vec<Value>, Fault> {
        let primary = self.servers.cluster.primary(partition)?.server;
        let node = self.servers.cluster.node(&primary).await?;
        let answers = node.all(commands, ANSWER).await;
        self.servers.cluster.note(&node, answers)?.into_iter().collect()
    }

    /// Asks again at the server that holds the partition now, where the first answer was that it moved.
    async fn ask_twice(&self, partition: Partition, commands: Vec<Command>) -> Result<Vec<Value>, Fault> {
        match self.ask(partition, commands.clone()).await {
            Ok(answers) => Ok(answers),
            Err(_) => {
                self.servers.cluster.refresh().await?;
                self.ask(partition, commands).await
            }
        }
    }

    /// Sets counts and writes them; see [`super::super::Bus::count`]. What cannot be written now is written by the
    /// next renewal.
    pub(super) async fn count(&self, partition: Partition, counts: &[(RoomName, u32)]) -> Result<(), Unavailable> {
        {
            let mut kept = self.counts(partition);
            for (room, count) in counts {
                match count {
                    0 => drop(kept.remove(room)),
                    _ => drop(kept.insert(room.clone(), *count)),
                }
            }
        }
        let commands = counts.chunks(CHUNK).flat_map(|chunk| self.write(partition, chunk)).collect::<Vec<_>>();
        self.ask_twice(partition, commands.into_iter().chain([self.lease(partition)]).collect())
            .await
            .map_err(failed_to("publish member counts"))?;
        Ok(())
    }

    fn write(&self, partition: Partition, counts: &[(RoomName, u32)]) -> Vec<Command> {
        let key = self.servers.keys.counts(partition, &self.gateway);
        let (gone, here): (Vec<_>, Vec<_>) = counts.iter().partition(|(_, count)| *count == 0);
        let mut commands = Vec::new();
        if !here.is_empty() {
            let pairs = here.into_iter().flat_map(|(room, count)| [room.to_string(), count.to_string()]);
            commands.push(Command::new("HSET").arg(key.clone()).args(pairs));
        }
        if !gone.is_empty() {
            commands.push(Command::new("HDEL").arg(key).args(gone.into_iter().map(|(room, _)| room.to_string())));
        }
        commands
    }

    fn lease(&self, partition: Partition) -> Command {
        let keys = &self.servers.keys;
        Command::new("EVAL")
            .arg(LEASE_SCRIPT)
            .arg(2_u32)
            .arg(keys.counts(partition, &self.gateway))
            .arg(keys.gateways(partition))
            .arg(self.gateway.clone())
            .args([LEASE, LISTED].map(|duration| duration.as_millis().to_string()))
    }

    /// Members of a room over all gateways; see [`super::super::Bus::members`].
    pub(super) async fn members(&self, room: &RoomName) -> Result<u64, Unavailable> {
        let partition = Partition::of(room);
        let keys = &self.servers.keys;
        let sum = Command::new("EVAL")
            .arg(MEMBERS_SCRIPT)
            .arg(1_u32)
            .arg(keys.gateways(partition))
            .arg(keys.counts(partition, ""))
            .arg(room.to_string());
        let counts = self.ask_twice(partition, vec![sum]).await.map_err(failed_to("add up member counts"))?;
        Ok(total(&counts.into_iter().next().map(list).unwrap_or_default()))
    }

    /// Renews the leases of the partitions in use, for ever.
    pub(super) async fn renew(&self) {
        loop {
            join_all(Partition::all().map(|partition| self.renew_one(partition))).await;
            sleep(RENEWAL).await;
        }
    }

    async fn renew_one(&self, partition: Partition) {
        if self.counts(partition).is_empty() {
            return;
        }
        let renewed = match self.ask_twice(partition, vec![self.lease(partition)]).await {
            // The key is gone: the lease ended, or a failover lost it.
            Ok(answers) if answers.last().and_then(number) == Some(0) => self.rewrite(partition).await,
            Ok(_) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = renewed {
            tracing::debug!(partition = partition.index(), %fault, "failed to renew the lease on counts of members");
        }
    }

    async fn rewrite(&self, partition: Partition) -> Result<(), Fault> {
        let counts: Vec<_> = self.counts(partition).iter().map(|(room, count)| (room.clone(), *count)).collect();
        let commands = counts.chunks(CHUNK).flat_map(|chunk| self.write(partition, chunk)).collect::<Vec<_>>();
        self.ask_twice(partition, commands.into_iter().chain([self.lease(partition)]).collect()).await.map(|_| ())
    }

    /// Takes back what this gateway counted.
    pub(super) async fn close(&self) {
        let take_back = |partition: Partition| async move {
            let counted = !std::mem::take(&mut *self.counts(partition)).is_empty();
            let key = self.servers.keys.counts(partition, &self.gateway);
            let list = Command::new("ZREM").arg(self.servers.keys.gateways(partition)).arg(self.gateway.clone());
            if counted && let Err(fault) = self.ask(partition, vec![Command::new("UNLINK").arg(key), list]).await {
                tracing::debug!(partition = partition.index(), %fault, "a lease ends by itself");
            }
        };
        join_all(Partition::all().map(take_back)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gateway_can_count_is_added_up() {
        let counts = ["3", "-1", "18446744073709551615", "x", "4"].map(Value::from);
        assert_eq!(total(&counts), 7);
        assert_eq!(total(&[Value::Null, 5.into()]), 5);
    }
}
