//! A cluster of servers: formed, healed, and its slots moved, by commands alone.

use anyhow::{Context, Result};
use parlor_redis::{Slot, SlotSet, Topology};
use tokio::task::block_in_place;

use super::{RedisNode, Reply, eventually, node::Kind};
use crate::link::{Link, State};

/// A Redis Cluster: the first `shards` nodes start as primaries, the rest as their replicas in turn.
#[derive(Debug)]
pub struct RedisCluster {
    pub nodes: Vec<RedisNode>,
    shards: usize,
    /// What replicas reach their primaries through.
    between: Option<Link>,
}

impl RedisCluster {
    /// Starts and forms a cluster; returns when every replica follows and every server says ok.
    pub fn start(shards: usize, replicas: usize) -> Result<Self> {
        let cluster = Self::launch(shards, replicas, Kind { cluster: true, ..Kind::default() })?;
        cluster.form()?;
        Ok(cluster)
    }

    /// As [`Self::start`], of servers whose clocks and passwords can be changed, and whose replicas can be kept from their
    /// primaries; `durable` ones keep their data over a restart.
    pub async fn breakable(shards: usize, replicas: usize, durable: bool) -> Result<Self> {
        let kind = Kind { cluster: true, durable, clock: true, breakable: true };
        let mut cluster = block_in_place(|| Self::launch(shards, replicas, kind))?;
        cluster.between = Some(Link::between(cluster.announced()).await?);
        block_in_place(|| cluster.form())?;
        Ok(cluster)
    }

    fn launch(shards: usize, replicas: usize, kind: Kind) -> Result<Self> {
        let number = shards * (1 + replicas);
        let nodes = (0..number).map(|_| RedisNode::launch(kind)).collect::<Result<Vec<_>>>()?;
        Ok(Self { nodes, shards, between: None })
    }

    /// Changes what the network does between a primary and its replicas, at once.
    pub fn set_between(&self, primary: usize, state: State) -> Result<()> {
        let between = self.between.as_ref().context("the servers reach each other without a link")?;
        between.set_for(self.nodes[primary].port(), state);
        Ok(())
    }

    fn form(&self) -> Result<()> {
        let shares = SlotSet::full().split(self.shards);
        for (index, node) in self.nodes.iter().enumerate() {
            node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            for range in shares.get(index).map(SlotSet::ranges).unwrap_or_default() {
                let (first, last) = (range.first().number().to_string(), range.last().number().to_string());
                node.call(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
            }
            let (port, bus_port) = (node.port().to_string(), node.bus_port().to_string());
            self.nodes[0].call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port])?;
        }
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        let knows = |node: &RedisNode| {
            node.call(&["CLUSTER", "INFO"]).is_ok_and(|info| info.text().lines().any(|line| line.trim() == known))
        };
        eventually("that all servers know each other", || self.nodes.iter().all(knows))?;
        for (index, node) in self.nodes.iter().enumerate().skip(self.shards) {
            let primary = self.nodes[index % self.shards].id()?;
            eventually("that a replica follows", || node.call(&["CLUSTER", "REPLICATE", &primary]).is_ok())?;
        }
        self.healthy()
    }

    /// Waits until every running server says ok and every replica has its link.
    pub fn healthy(&self) -> Result<()> {
        let ok = |node: &RedisNode| {
            let state = node.call(&["CLUSTER", "INFO"]);
            let linked = node.says("replication", "role:master") || node.says("replication", "master_link_status:up");
            linked && state.is_ok_and(|state| state.text().contains("cluster_state:ok"))
        };
        eventually("that the cluster is healthy", || self.running().all(ok))
    }

    /// Waits until all servers run, agree on one primary a shard, and every other server is a replica in sync.
    pub fn replicated(&self) -> Result<()> {
        let in_sync = |node: &RedisNode| {
            let info = node.call(&["INFO", "replication"]);
            let info = info.as_ref().map(Reply::text).unwrap_or_default();
            let copies = info.lines().filter(|line| line.starts_with("slave") && line.contains("state=online")).count();
            if info.contains("role:master") { Some(copies) } else { info.contains("link_status:up").then_some(0) }
        };
        let replicas = self.nodes.len() - self.shards;
        eventually("that every shard is replicated", || {
            let copies: Vec<_> = self.running().filter_map(in_sync).collect();
            let primaries = copies.iter().filter(|copies| **copies > 0).count();
            copies.len() == self.nodes.len() && primaries == self.shards && copies.iter().sum::<usize>() == replicas
        })?;
        self.healthy()
    }

    fn running(&self) -> impl Iterator<Item = &RedisNode> {
        self.nodes.iter().filter(|node| node.runs())
    }

    /// The port of every server.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port()).collect()
    }

    /// Of every server, the port that it announces and the one that it listens on.
    pub fn announced(&self) -> Vec<(u16, u16)> {
        self.nodes.iter().map(|node| (node.announced(), node.port())).collect()
    }

    /// `host:port` of every server.
    pub fn seeds(&self) -> Vec<String> {
        self.nodes.iter().map(RedisNode::address).collect()
    }

    /// Index of the server that is primary of a slot now, as the servers themselves say.
    pub fn primary(&self, slot: u16) -> Result<usize> {
        let slot = Slot::new(slot).context("a slot beyond the last")?;
        let owns = |topology: &Topology| topology.myself().is_some_and(|myself| myself.slots.contains(slot));
        let owner = self.running().find_map(|node| {
            let nodes = node.call(&["CLUSTER", "NODES"]).ok()?;
            Topology::parse(nodes.text()).is_ok_and(|topology| owns(&topology)).then_some(node.port())
        });
        self.nodes.iter().position(|node| Some(node.port()) == owner).context("no running server is the slot's primary")
    }

    /// Index of a running replica of the server at `primary`.
    pub fn replica(&self, primary: usize) -> Result<usize> {
        let port = format!("master_port:{}", self.nodes[primary].announced());
        let follows = |node: &RedisNode| node.runs() && node.says("replication", &port);
        self.nodes.iter().position(follows).context("the primary has no running replica")
    }

    /// Makes a replica the primary of its shard without losing anything.
    pub fn failover(&self, replica: usize) -> Result<()> {
        let node = &self.nodes[replica];
        node.call(&["CLUSTER", "FAILOVER"])?;
        eventually("that the replica is the primary", || node.says("replication", "role:master"))
    }

    /// Moves the keys of a slot to another primary, and stops before the slot itself is handed over.
    pub fn move_keys(&self, slot: u16, to: usize) -> Result<()> {
        self.move_some_keys(slot, to, |_| true)
    }

    /// Moves some of the keys of a slot, which holds at most a hundred others, to another primary, and stops there.
    pub fn move_some_keys(&self, slot: u16, to: usize, goes: impl Fn(&str) -> bool) -> Result<()> {
        let from = self.primary(slot)?;
        let (source, target, slot) = (&self.nodes[from], &self.nodes[to], slot.to_string());
        target.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source.id()?])?;
        source.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target.id()?])?;
        let port = target.port().to_string();
        loop {
            let Reply::List(keys) = source.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])? else { break };
            let Some(key) = keys.iter().find(|key| goes(key.text())) else { break };
            source.call(&["MIGRATE", "127.0.0.1", &port, key.text(), "0", "5000"])?;
        }
        Ok(())
    }

    /// Hands a slot over whose keys have moved.
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let (from, id) = (self.primary(slot)?, self.nodes[to].id()?);
        let slot_text = slot.to_string();
        for index in [to, from] {
            self.nodes[index].call(&["CLUSTER", "SETSLOT", &slot_text, "NODE", &id])?;
        }
        eventually("that the slot has moved", || self.primary(slot).is_ok_and(|primary| primary == to))
    }
}
