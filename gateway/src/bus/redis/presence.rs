//! Members of rooms over all gateways: each writes its own counts under a lease, and the script that does keeps the sums, so
//! that a sum is read with one request, whatever the number of gateways.
//!
//! Decides nothing about who is a member. A gateway that dies takes its counts with it when its lease ends: the next that
//! renews its own takes them out of the sums, and tells everybody.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fred::types::Value;
use futures::future::join_all;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::sleep;

use super::signals::Signalling;
use crate::{
    deadlines::{COUNT_LEASE as LEASE, COUNT_RENEWAL as RENEWAL},
    redis::{
        Servers,
        connection::{Command, Fault, failed_to, list, number},
    },
    rooms::{PARTITIONS, Partition, RoomName, Signal, Unavailable},
};

const PRESENCE_SCRIPT: &str = include_str!("presence.lua");
const MEMBERS_SCRIPT: &str = include_str!("members.lua");

/// How long gateways of an older release look for the counts of one that they have not seen again.
const LISTED: Duration = Duration::from_secs(60);

const ANSWER: Duration = Duration::from_secs(2);

/// Rooms in one command, so that none blocks Redis for long.
const CHUNK: usize = 500;

/// Calls that one look at leases makes at most; each takes some hundred rooms out of the sums.
const REPAIRS: usize = 64;

type Counts = HashMap<RoomName, u32>;

/// The counts of this gateway and how to read the sums over all.
#[derive(Debug)]
pub(super) struct MemberCounts {
    pub(super) servers: Arc<Servers>,
    signalling: Arc<Signalling>,
    gateway: String,
    counts: Vec<Mutex<Counts>>,
}

/// What the presence script says.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    /// The counts were there; if not, all must be written again.
    kept: bool,
    /// Leases that have ended and are still counted.
    ended: u64,
    /// Rooms whose sum was repaired.
    repaired: Vec<RoomName>,
}

fn written(answer: Value) -> Option<Written> {
    let mut values = list(answer).into_iter();
    let mut next = || values.next().as_ref().and_then(number);
    let (kept, ended) = (next()? == 1, next()?);
    let room = |name: Value| RoomName::stored(&name.as_str()?).ok();
    Some(Written { kept, ended, repaired: values.filter_map(room).collect() })
}

impl MemberCounts {
    pub(super) fn new(servers: Arc<Servers>, signalling: Arc<Signalling>, gateway: String) -> Self {
        Self { servers, signalling, gateway, counts: (0..PARTITIONS).map(|_| Mutex::default()).collect() }
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
        self.write(partition, counts).await.map_err(failed_to("publish member counts"))
    }

    /// Writes counts and renews the lease; writes all counts where the earlier ones are gone.
    async fn write(&self, partition: Partition, counts: &[(RoomName, u32)]) -> Result<(), Fault> {
        if self.put(partition, counts).await? {
            return Ok(());
        }
        let all: Vec<_> = self.counts(partition).iter().map(|(room, count)| (room.clone(), *count)).collect();
        let are_written = || all.iter().all(|one| counts.contains(one));
        if all.len() > counts.len() || !are_written() {
            self.put(partition, &all).await?;
        }
        Ok(())
    }

    /// Answers whether the earlier counts were there.
    async fn put(&self, partition: Partition, counts: &[(RoomName, u32)]) -> Result<bool, Fault> {
        let chunks = counts.chunks(CHUNK).map(|chunk| self.presence(partition, LEASE, chunk));
        let commands: Vec<_> = match counts {
            [] => vec![self.presence(partition, LEASE, &[])],
            _ => chunks.collect(),
        };
        let answers: Vec<_> = self.ask_twice(partition, commands).await?.into_iter().filter_map(written).collect();
        self.tell(&answers);
        if let Some(Written { ended: 1.., .. }) = answers.last() {
            self.repair(partition, LEASE).await?;
        }
        Ok(answers.first().is_some_and(|first| first.kept))
    }

    /// Takes the counts of gateways whose lease has ended out of the sums.
    async fn repair(&self, partition: Partition, lease: Duration) -> Result<(), Fault> {
        for _ in 0..REPAIRS {
            let answers = self.ask_twice(partition, vec![self.presence(partition, lease, &[])]).await?;
            let answers: Vec<_> = answers.into_iter().filter_map(written).collect();
            self.tell(&answers);
            if answers.iter().all(|answer| answer.ended == 0) {
                break;
            }
        }
        Ok(())
    }

    /// Tells every gateway of the sums that were repaired.
    fn tell(&self, answers: &[Written]) {
        answers.iter().flat_map(|answer| &answer.repaired).for_each(|room| self.signalling.say(room, &Signal::Count));
    }

    fn presence(&self, partition: Partition, lease: Duration, counts: &[(RoomName, u32)]) -> Command {
        let keys = &self.servers.keys;
        let numbers = [lease.as_millis() as u64, LISTED.as_millis() as u64, self.servers.health.time().unwrap_or(0)];
        Command::new("EVAL")
            .arg(PRESENCE_SCRIPT)
            .arg(4_u32)
            .args([keys.members(partition), keys.leases(partition), keys.gateways(partition)])
            .arg(keys.counts(partition, &self.gateway))
            .args([self.gateway.clone(), keys.counts(partition, "")])
            .args(numbers.map(|number| number.to_string()))
            .args(counts.iter().flat_map(|(room, count)| [room.to_string(), count.to_string()]))
    }

    /// Members of a room over all gateways; see [`super::super::Bus::members`].
    pub(super) async fn members(&self, room: &RoomName) -> Result<u64, Unavailable> {
        let failed = failed_to("read the sum of member counts");
        let (sum, ended) = self.sum(room).await.map_err(&failed)?;
        if ended == 0 {
            return Ok(sum);
        }
        self.repair(Partition::of(room), LEASE).await.map_err(&failed)?;
        Ok(self.sum(room).await.map_err(&failed)?.0)
    }

    /// The sum, and how many leases have ended that it counts.
    async fn sum(&self, room: &RoomName) -> Result<(u64, u64), Fault> {
        let (partition, keys) = (Partition::of(room), &self.servers.keys);
        let sum = Command::new("EVAL")
            .arg(MEMBERS_SCRIPT)
            .arg(3_u32)
            .args([keys.members(partition), keys.leases(partition), keys.gateways(partition)])
            .args([keys.counts(partition, ""), room.to_string()])
            .arg(self.servers.health.time().unwrap_or(0).to_string());
        let answer = self.ask_twice(partition, vec![sum]).await?.into_iter().next().map(list).unwrap_or_default();
        let at = |index: usize| answer.get(index).and_then(number).unwrap_or(0);
        Ok((at(0), at(1)))
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
        if let Err(fault) = self.write(partition, &[]).await {
            tracing::debug!(partition = partition.index(), %fault, "failed to renew the lease on counts of members");
        }
    }

    /// Takes back what this gateway counted.
    pub(super) async fn close(&self) {
        let take_back = |partition: Partition| async move {
            let counted = !std::mem::take(&mut *self.counts(partition)).is_empty();
            if counted && let Err(fault) = self.repair(partition, Duration::ZERO).await {
                tracing::debug!(partition = partition.index(), %fault, "failed to take the counts of members back; they end with their lease");
            }
        };
        join_all(Partition::all().map(take_back)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_rooms_that_were_repaired_and_nonsense_says_nothing() {
        let answer = |values: Vec<Value>| written(Value::Array(values));
        let read = answer(vec![0.into(), 2.into(), "lobby".into(), "".into()]).unwrap();
        assert_eq!(read, Written { kept: false, ended: 2, repaired: vec![RoomName::new("lobby").unwrap()] });
        assert_eq!(answer(vec![1.into()]), None);
        assert_eq!(answer(vec!["x".into(), 0.into()]), None);
    }
}
