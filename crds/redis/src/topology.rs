//! The whole answer of `CLUSTER NODES`: who serves which slots, and who copies whom, as one server sees it.

use crate::{
    address::Address,
    node::{Flags, Node, NodeId, TableError},
    slot::Slot,
    slot_set::SlotSet,
};

/// A cluster as one of its servers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Every node in the server's table, itself included.
    pub nodes: Vec<Node>,
}

impl Topology {
    /// Reads an answer of `CLUSTER NODES`.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Ok(Self { nodes: lines.map(Node::parse).collect::<Result<_, _>>()? })
    }

    /// A server without a cluster: the primary of every slot.
    pub fn alone(address: &Address) -> Self {
        let mut node = Node::new(NodeId::new(""), address);
        node.flags = Flags { myself: true, primary: true, ..Flags::default() };
        node.slots = SlotSet::full();
        Self { nodes: vec![node] }
    }

    /// The line about the server that answered.
    pub fn myself(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.flags.myself)
    }

    /// Nodes that the server has heard of, whose ids are therefore final.
    pub fn known(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !node.flags.handshake)
    }

    /// The line about `id`, if the server has heard of it.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.known().find(|node| node.id == *id)
    }

    /// The primary of a slot.
    pub fn primary_of(&self, slot: Slot) -> Option<&Node> {
        self.known().find(|node| node.flags.primary && node.slots.contains(slot))
    }

    /// The replicas of a primary, failed ones too.
    pub fn replicas_of<'a>(&'a self, primary: &'a NodeId) -> impl Iterator<Item = &'a Node> {
        self.known().filter(move |node| node.replica_of.as_ref() == Some(primary))
    }

    /// The primaries that serve slots: those whose majority decides.
    pub fn voters(&self) -> impl Iterator<Item = &Node> {
        self.known().filter(|node| node.votes())
    }

    /// The newest claim to slots in this view; of two views of one cluster, the one with the higher is newer.
    pub fn epoch(&self) -> u64 {
        self.voters().map(|node| node.epoch).max().unwrap_or(0)
    }

    /// Whether this view takes the place of `known`: it is as new, or of another cluster. A cluster that was made again,
    /// after all its servers were lost, has other servers and counts its claims from the start.
    pub fn replaces(&self, known: &Self) -> bool {
        self.epoch() >= known.epoch() || !self.known().any(|node| known.node(&node.id).is_some())
    }
}

#[cfg(test)]
mod tests;
