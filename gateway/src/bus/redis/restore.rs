//! Giving back what was lost with a partition's data: one script call for each room
//! that is not known or ends too early, and one WAIT for all.
//!
//! Decides nothing about what is given back; the script decides whether it is wanted.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::HeldRoom,
    answers::{self, Adopted},
    append::{Appending, Writing},
    scripts,
};
use crate::{
    redis::{
        Fault,
        connection::{Command, list},
        lane::{Connection, Failed, Repeat, Request},
    },
    rooms::{Epoch, PARTITIONS, Partition},
};

/// Rooms that are asked for in one command.
const ASKED: usize = 500;

impl Appending {
    /// Gives rooms back; see [`super::super::Bus::restore`]. One attempt.
    pub(super) async fn restore(&self, partition: Partition, rooms: &[HeldRoom]) -> Result<Epoch, Fault> {
        let Writing { lane, writer, .. } = self.writing(partition);
        let _alone = writer.lock().await;
        lane.carry_out(GiveBack { appending: self, partition, rooms }, Duration::ZERO).await
    }
}

/// Rooms on their way back to Redis.
struct GiveBack<'a> {
    appending: &'a Appending,
    partition: Partition,
    rooms: &'a [HeldRoom],
}

impl Request for GiveBack<'_> {
    /// The epoch of the partition.
    type Done = Epoch;
    const REPEAT: Repeat = Repeat::Never;

    async fn attempt(&mut self, connection: &Connection) -> Result<Epoch, Failed> {
        let Self { appending, partition, rooms } = *self;
        let Adopted { epoch, born, .. } = appending.adopt(connection, partition, None).await?;
        let (keys, mut given) = (&appending.servers.keys, 0);
        for chunk in rooms.chunks(ASKED) {
            let names = chunk.iter().map(|held| held.room.as_str().to_owned());
            let heads = list(connection.send(Command::new("HMGET").arg(keys.heads(partition)).args(names)).await?);
            for (held, line) in chunk.iter().zip(heads) {
                let (line, moving) = (line.into_string().unwrap_or_default(), connection.moving);
                let Some(command) = scripts::restore(keys, held, &line, epoch, appending.history, moving) else {
                    continue;
                };
                given += usize::from(answers::restored(connection.send(command).await?).map_err(Failed::before)?);
            }
        }
        // WAIT covers what its own connection wrote and what came before: also what others have given back.
        let mark = Command::new("HSET").arg(keys.meta(partition)).arg("partitions").arg(PARTITIONS.to_string());
        let sent = Instant::now();
        connection.send(mark).await?;
        connection.copied(sent).await?;
        let dataset = appending.dataset(partition);
        dataset.accept(born);
        if given > 0 {
            dataset.gave_back(born);
        }
        let (partition, held, server) = (partition.index(), rooms.len(), connection.server());
        tracing::warn!(partition, given, held, %server, "restored lost rooms");
        Ok(Epoch(epoch))
    }
}
