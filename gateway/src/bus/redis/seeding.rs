//! Giving back what was lost with a partition's data: one script call a room that is not known, and one WAIT for all.
//!
//! Decides nothing about what is given back; the script decides whether it is wanted.

use std::time::Duration;

use super::{
    super::{PARTITIONS, Partition, Seed},
    append::{Appending, Lane, asking, last},
    node::{Command, Fault, list},
    script,
};
use crate::rooms::Epoch;

/// How long a server may take for one room: some thousand entries.
const ANSWER: Duration = Duration::from_secs(2);

/// Rooms that are asked for in one command.
const ASKED: usize = 500;

impl Appending {
    /// Gives rooms back; see [`super::super::Bus::seed`]. One attempt.
    pub(super) async fn seed(&self, partition: Partition, seeds: &[Seed]) -> Result<Epoch, Fault> {
        let mut lane = self.lanes[partition.index()].lock().await;
        let given = self.give(&mut lane, partition, seeds).await;
        if let Err(fault) = &given {
            self.recover(&mut lane, fault.clone()).await;
        }
        given
    }

    async fn give(&self, lane: &mut Lane, partition: Partition, seeds: &[Seed]) -> Result<Epoch, Fault> {
        let server = self.connect(lane, partition).await?;
        let moving = lane.ask.is_some();
        let node = lane.node.as_ref().ok_or_else(|| Fault::Gone("no connection".into()))?;
        let adopted = self.adopt(node, partition, moving).await?;
        let mut given = 0;
        for chunk in seeds.chunks(ASKED) {
            let names = chunk.iter().map(|seed| seed.room.as_str().to_owned());
            let heads = Command::new("HMGET").arg(self.keys.heads(partition)).args(names);
            let heads = list(last(node.all(asking(moving, heads), ANSWER).await?)?);
            for (seed, _) in chunk.iter().zip(heads).filter(|(_, head)| head.is_null()) {
                let command = script::seed(&self.keys, seed, adopted.generation, self.history, moving);
                let answers = node.all(asking(moving, command), ANSWER).await?;
                given += usize::from(script::seeded(last(answers)?)?);
            }
        }
        if !self.replication.unreplicated(&server) {
            // WAIT covers what its own connection wrote and what came before: also what others have given back.
            let mark =
                Command::new("HSET").arg(self.keys.meta(partition)).arg("partitions").arg(PARTITIONS.to_string());
            last(node.all(asking(moving, mark), ANSWER).await?)?;
            self.wait(node).await?;
        }
        self.known(partition).accept(adopted.born);
        tracing::warn!(partition = partition.index(), given, held = seeds.len(), %server, "rooms lost were given back");
        Ok(Epoch(adopted.generation))
    }
}
