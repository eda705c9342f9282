//! What takes data away: all copies of it, or parts of what they hold.
//!
//! Nothing is undone when an injection returns: gateways restore what they hold.

use std::time::Duration;

use anyhow::{Context, Result};
use parlor_gateway::{redis::slot, rooms::Partition};
use parlor_tests::redis::{RedisNode, Reply};
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use tokio::{task::block_in_place, time::sleep};

use super::fault::Saboteur;

/// One way to lose data of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Both servers start again empty.
    BothCopies,
    /// Both servers start again without the last seconds of what was appended to their files.
    AppendOnlyFileCut,
    /// Both servers start again with a snapshot that is some seconds old.
    OldSnapshot,
    /// Somebody deletes some keys.
    KeysDeleted,
    /// A policy that evicts keys makes room for others.
    KeysEvicted,
}

impl Loss {
    pub(crate) const ALL: [Self; 5] =
        [Self::BothCopies, Self::AppendOnlyFileCut, Self::OldSnapshot, Self::KeysDeleted, Self::KeysEvicted];
}

impl Saboteur<'_> {
    /// Takes something away from one shard.
    pub(crate) async fn lose(&mut self, loss: Loss) -> Result<()> {
        let room = self.world.rooms.choose(self.rng).expect("a world has rooms");
        let redis = &self.world.redis;
        let primary = block_in_place(|| redis.primary(slot(Partition::of(room)).number()))?;
        let replica = block_in_place(|| redis.replica(primary))?;
        match loss {
            Loss::BothCopies => self.restarted(primary, replica, "empty", RedisNode::restart_empty),
            Loss::AppendOnlyFileCut => {
                let files = redis.nodes[primary].append_only_files()?;
                self.last(3.0).await;
                self.restarted(primary, replica, "with their files cut", |node| node.restart_cut(&files))
            }
            Loss::OldSnapshot => {
                block_in_place(|| redis.nodes[primary].call(&["SAVE"]))?;
                self.last(3.0).await;
                self.restarted(primary, replica, "from an old snapshot", RedisNode::restart_from_snapshot)
            }
            Loss::KeysDeleted => self.keys_deleted(primary),
            Loss::KeysEvicted => self.keys_evicted(primary).await,
        }
    }

    /// Ends a shard's replica, then its primary, and starts the primary in this way and the replica empty.
    fn restarted(
        &mut self,
        primary: usize,
        replica: usize,
        how: &str,
        start: impl FnOnce(&mut RedisNode) -> Result<()>,
    ) -> Result<()> {
        self.timeline.note(format!("replica {replica} and primary {primary} are killed, and start again {how}"));
        let nodes = &mut self.world.redis.nodes;
        nodes[replica].kill()?;
        block_in_place(|| start(&mut nodes[primary]).and_then(|()| nodes[replica].restart_empty()))
    }

    fn keys_deleted(&mut self, primary: usize) -> Result<()> {
        let node = &self.world.redis.nodes[primary];
        let Reply::List(mut keys) = block_in_place(|| node.call(&["KEYS", "*"]))? else { return Ok(()) };
        keys.shuffle(self.rng);
        keys.truncate(self.rng.random_range(1..=20));
        self.timeline.note(format!("{} keys of primary {primary} are deleted", keys.len()));
        keys.iter().try_for_each(|key| block_in_place(|| node.call(&["DEL", key.text()])).map(drop))
    }

    async fn keys_evicted(&mut self, primary: usize) -> Result<()> {
        /// Less than is in use: some dozens of keys of the 250 of a shard.
        const TAKEN: u64 = 20_000;
        let node = &self.world.redis.nodes[primary];
        let info = block_in_place(|| node.call(&["INFO", "memory"]))?;
        let used = info.text().lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: u64 = used.context("a server that does not say what it uses")?.trim().parse()?;
        let most = used.saturating_sub(TAKEN).to_string();
        self.timeline.note(format!("primary {primary} evicts keys"));
        let set = |settings: [&str; 4]| block_in_place(|| node.call(&[&["CONFIG", "SET"], &settings[..]].concat()));
        set(["maxmemory-policy", "allkeys-random", "maxmemory", &most])?;
        sleep(Duration::from_millis(500)).await;
        set(["maxmemory-policy", "noeviction", "maxmemory", "0"]).map(drop)
    }
}
