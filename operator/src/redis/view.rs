//! What one Redis server says about its cluster and itself.

use parlor_redis::{Node, NodeId, SlotSet, TableError, Topology};

use super::{info::Info, passwords::Doors};

/// The two answers of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its table of nodes, itself included.
    pub topology: Topology,
    /// What it says of itself.
    pub info: Info,
    /// Which passwords it lets in, if there are any.
    pub doors: Doors,
    /// It presents another certificate than the newest one.
    pub certificate_is_old: bool,
}

/// The reason why an answer could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ViewError {
    /// No table of nodes.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No line was flagged `myself`.
    #[error("the table has no line about the server itself")]
    NoSelf,
}

impl View {
    /// Reads the two answers.
    pub fn parse(cluster_nodes: &str, info: &str) -> Result<Self, ViewError> {
        let topology = Topology::parse(cluster_nodes)?;
        topology.myself().ok_or(ViewError::NoSelf)?;
        Ok(Self { topology, info: Info::parse(info), doors: Doors::default(), certificate_is_old: false })
    }

    /// The line about the server itself.
    pub fn myself(&self) -> &Node {
        self.topology.myself().expect("parse refuses a table without its own server")
    }

    /// The line about `id`, if the server has heard of it.
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.topology.node(id)
    }

    /// Whether it is a primary that serves slots.
    pub fn serves(&self) -> bool {
        let me = self.myself();
        me.replica_of.is_none() && !me.slots.is_empty()
    }

    /// Those of `slots` that its table gives to other servers.
    pub fn given_to_others(&self, slots: &SlotSet) -> SlotSet {
        let mut open = slots.clone();
        self.topology.nodes.iter().filter(|node| !node.flags.myself).for_each(|node| open.remove(&node.slots));
        let mut given = slots.clone();
        given.remove(&open);
        given
    }

    /// Whether it holds a copy of a shard that is as new as can be: a primary that serves slots, or its replica in sync.
    pub fn holds_a_copy(&self) -> bool {
        self.serves() || (self.myself().replica_of.is_some() && self.info.replication.in_sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_its_own_server_is_refused() {
        assert_eq!(View::parse("", ""), Err(ViewError::NoSelf));
        assert_eq!(View::parse("abc def\n", ""), Err(ViewError::Table(TableError::Fields(2))));
    }
}
