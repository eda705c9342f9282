//! Who holds which slots, as one server sees it, and where each server is reached from here.
//!
//! Decides under which of its addresses a server is known. Pure.

use parlor_redis::{Address, Node, NodeId, Prefer, Slot, TableError, Topology as View};

/// A server with a known address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where this gateway reaches it.
    pub server: Address,
    /// Its line in the table.
    pub node: Node,
}

/// The whole cluster as one of its servers sees it. Servers without a known address are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    view: View,
    members: Vec<Member>,
}

impl Member {
    /// Whether it should answer, as the server thinks that was asked.
    pub fn is_well(&self) -> bool {
        !self.node.flags.failed && !self.node.flags.suspected
    }
}

impl Topology {
    /// Reads what `asked` answered to `CLUSTER NODES`.
    pub fn parse(text: &str, asked: &Address, prefer: Prefer) -> Result<Self, TableError> {
        Ok(Self::new(View::parse(text)?, asked, prefer))
    }

    /// A server without a cluster: the primary of every slot.
    pub fn alone(server: &Address) -> Self {
        Self::new(View::alone(server), server, Prefer::Ip)
    }

    fn new(view: View, asked: &Address, prefer: Prefer) -> Self {
        let member = |node: &Node| Some(Member { server: node.address(asked, prefer)?, node: node.clone() });
        let members = view.known().filter_map(member).collect();
        Self { view, members }
    }

    /// Every server.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// True for one Redis by configuration: no replica is expected and none is waited for.
    pub fn is_alone(&self) -> bool {
        self.members.iter().all(|member| member.node.id == NodeId::new(""))
    }

    /// The newest claim in this view; of two views, the one with the higher is newer.
    pub fn epoch(&self) -> u64 {
        self.view.epoch()
    }

    /// Whether this view takes the place of `known`.
    pub fn replaces(&self, known: &Self) -> bool {
        self.view.replaces(&known.view)
    }

    /// The primary of a slot.
    pub fn primary(&self, slot: Slot) -> Option<&Member> {
        self.voters().find(|member| member.node.slots.contains(slot))
    }

    /// The replicas of a primary, failed ones too.
    pub fn replicas<'a>(&'a self, primary: &'a Member) -> impl Iterator<Item = &'a Member> {
        self.members().filter(|member| member.node.replica_of.as_ref() == Some(&primary.node.id))
    }

    /// The primaries that hold slots: those whose majority decides.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.node.votes())
    }

    /// Where the server is reached from here that others call `announced`, as redirections name it.
    pub fn reached(&self, announced: Address) -> Address {
        let same = |member: &&Member| *member.node.ip == *announced.host && member.node.port == announced.port;
        self.members().find(same).map_or(announced, |member| member.server.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "a 10.0.0.1:6379@16379,one.example master - 0 0 2 connected 0-8191\n\
        b 10.0.0.2:6379@16379 master - 0 0 3 connected 8192-16383\n\
        c :6379@16379 myself,slave b 0 0 3 connected\n\
        d :0@0 noaddr,master - 0 0 1 disconnected\n";

    fn read(prefer: Prefer) -> Topology {
        Topology::parse(TABLE, &"10.0.0.3:6379".parse().unwrap(), prefer).unwrap()
    }

    #[test]
    fn a_server_is_reached_under_the_name_that_it_announces_where_names_are_preferred() {
        let servers = |prefer| read(prefer).members().map(|member| member.server.to_string()).collect::<Vec<_>>();
        assert_eq!(servers(Prefer::HostName), ["one.example:6379", "10.0.0.2:6379", "10.0.0.3:6379"]);
        assert_eq!(servers(Prefer::Ip), ["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"]);
    }

    #[test]
    fn a_redirection_to_an_ip_address_leads_to_the_name_that_is_used() {
        let topology = read(Prefer::HostName);
        for (announced, reached) in [("10.0.0.1:6379", "one.example:6379"), ("10.0.0.9:1", "10.0.0.9:1")] {
            assert_eq!(topology.reached(announced.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn replicas_belong_to_the_primary_that_they_copy() {
        let topology = read(Prefer::Ip);
        let primary = topology.primary(Slot::LAST).unwrap();
        assert_eq!(topology.replicas(primary).map(|member| member.node.id.as_str()).collect::<Vec<_>>(), ["c"]);
        assert!(!topology.is_alone());
    }

    #[test]
    fn a_server_that_stands_alone_holds_every_slot() {
        let topology = Topology::alone(&"10.0.0.9:1".parse().unwrap());
        assert!(topology.is_alone());
        assert_eq!(topology.primary(Slot::FIRST), topology.primary(Slot::LAST));
    }
}
