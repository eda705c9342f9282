//! Giving back what was lost with a partition's data: one script call a room that is not known, and one WAIT for all.
//!
//! Decides nothing about what is given back; the script decides whether it is wanted.

use std::time::Duration;

use super::{
    super::HeldRoom,
    append::{Appending, Lane},
    scripts,
};
use crate::{
    redis::{
        connection::{Command, Fault, list},
        lane::{asking, last},
    },
    rooms::{Epoch, PARTITIONS, Partition},
};

/// How long a server may take for one room: some thousand entries.
const ANSWER: Duration = Duration::from_secs(2);

/// Rooms that are asked for in one command.
const ASKED: usize = 500;

impl Appending {
    /// Gives rooms back; see [`super::super::Bus::restore`]. One attempt.
    pub(super) async fn restore(&self, partition: Partition, rooms: &[HeldRoom]) -> Result<Epoch, Fault> {
        let mut lane = self.lanes[partition.index()].lock().await;
        let given = self.give(&mut lane, partition, rooms).await;
        if let Err(fault) = &given {
            self.recover(&mut lane, fault.clone()).await;
        }
        given
    }

    async fn give(&self, lane: &mut Lane, partition: Partition, rooms: &[HeldRoom]) -> Result<Epoch, Fault> {
        let server = self.connect(lane, partition).await?;
        let moving = lane.ask.is_some();
        let node = lane.node.as_ref().ok_or_else(|| Fault::Gone("no connection".into()))?;
        let adopted = self.adopt(node, partition, moving).await?;
        let mut given = 0;
        for chunk in rooms.chunks(ASKED) {
            let names = chunk.iter().map(|held| held.room.as_str().to_owned());
            let heads = Command::new("HMGET").arg(self.servers.keys.heads(partition)).args(names);
            let heads = list(last(node.all(asking(moving, heads), ANSWER).await?)?);
            for (held, _) in chunk.iter().zip(heads).filter(|(_, head)| head.is_null()) {
                let command = scripts::restore(&self.servers.keys, held, adopted.epoch, self.history, moving);
                let answers = node.all(asking(moving, command), ANSWER).await?;
                given += usize::from(scripts::restored(last(answers)?)?);
            }
        }
        if !self.servers.replication.unreplicated(&server) {
            // WAIT covers what its own connection wrote and what came before: also what others have given back.
            let mark = Command::new("HSET")
                .arg(self.servers.keys.meta(partition))
                .arg("partitions")
                .arg(PARTITIONS.to_string());
            last(node.all(asking(moving, mark), ANSWER).await?)?;
            self.wait(node).await?;
        }
        self.dataset(partition).accept(adopted.born);
        tracing::warn!(partition = partition.index(), given, held = rooms.len(), %server, "rooms lost were given back");
        Ok(Epoch(adopted.epoch))
    }
}
