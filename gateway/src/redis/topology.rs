//! Who holds which slots: the answer of `CLUSTER NODES`, read.
//!
//! Decides which server is a partition's primary and which are its replicas, as one server sees it. Pure.

use std::ops::RangeInclusive;

use super::connection::Server;

/// A server as one of the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub server: Server,
    pub primary: bool,
    /// Id of the primary that it copies.
    pub of: Option<String>,
    /// Marked failed by a majority.
    pub failed: bool,
    /// Not answering the server that was asked.
    pub suspected: bool,
    /// Grows with each election and slot move: of two claims the higher is newer.
    pub epoch: u64,
    pub slots: Vec<RangeInclusive<u16>>,
}

/// The whole cluster as one of its servers sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    pub members: Vec<Member>,
}

/// Why the text is no answer of `CLUSTER NODES`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the cluster's nodes in {0:?}")]
pub struct Unreadable(String);

/// `ip:port@busport[,hostname[,…]]`; a server that does not know its own address says only the port.
fn server(text: &str, asked: &Server) -> Option<Server> {
    let address = text.split(',').next()?;
    let address = address.split('@').next()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { asked.host.clone() } else { host.into() };
    Some(Server { host, port: port.parse().ok()? })
}

/// `5`, `5-10`; slots on the move (`[5->-…]`) are listed with their owner as well.
fn slots(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < super::keys::SLOTS).then_some(first..=last)
}

fn member(line: &str, asked: &Server) -> Option<Option<Member>> {
    let mut fields = line.split_ascii_whitespace();
    let (id, address, flags, of) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let flags: Vec<_> = flags.split(',').collect();
    let has = |flag| flags.contains(&flag);
    if has("noaddr") || has("handshake") {
        return Some(None);
    }
    let epoch = fields.nth(2)?.parse().ok()?;
    let ranges = fields.skip(1).filter(|range| !range.starts_with('[')).map(slots).collect::<Option<_>>()?;
    Some(Some(Member {
        id: id.into(),
        server: server(address, asked)?,
        primary: has("master"),
        of: (of != "-").then(|| of.into()),
        failed: has("fail"),
        suspected: has("fail?"),
        epoch,
        slots: ranges,
    }))
}

impl Topology {
    /// Reads what `asked` answered to `CLUSTER NODES`. Servers without a known address are left out.
    pub fn parse(text: &str, asked: &Server) -> Result<Self, Unreadable> {
        let members = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| member(line, asked).ok_or_else(|| Unreadable(line.into())))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        Ok(Self { members })
    }

    /// A server that stands alone: the primary of every slot.
    pub fn alone(server: Server) -> Self {
        let slots = vec![0..=super::keys::SLOTS - 1];
        let id = String::new();
        let member = Member { id, server, primary: true, of: None, failed: false, suspected: false, epoch: 0, slots };
        Self { members: vec![member] }
    }

    /// The newest claim in this view; of two views, the one with the higher is newer.
    pub fn epoch(&self) -> u64 {
        self.voters().map(|member| member.epoch).max().unwrap_or(0)
    }

    /// Whether this view takes the place of `known`: it is as new, or of another cluster. A cluster that was made anew,
    /// after all its servers were lost, has other servers and counts its claims from the start.
    pub fn replaces(&self, known: &Self) -> bool {
        let in_both = |member: &Member| known.members.iter().any(|other| other.id == member.id);
        self.epoch() >= known.epoch() || !self.members.iter().any(in_both)
    }

    /// The primary of a slot.
    pub fn primary(&self, slot: u16) -> Option<&Member> {
        self.members.iter().find(|member| member.primary && member.slots.iter().any(|range| range.contains(&slot)))
    }

    /// The replicas of a primary, failed ones too.
    pub fn replicas<'a>(&'a self, primary: &'a Member) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(|member| member.of.as_ref() == Some(&primary.id))
    }

    /// The primaries that hold slots: those whose majority decides.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.primary && !member.slots.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004 slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,host2,tls-port=0 master - 0 1426238316232 2 connected 5461-10922
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 127.0.0.1:30003@31003 master,fail - 0 1426238318243 3 disconnected 10923-16382 16383
6ec23923021cf3ffec47632106199cb7f496ce01 :0@0 slave,fail,noaddr 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 0 1 5 disconnected
824fe116063bc5fcf9f4ffd895bc17aee7731ac3 127.0.0.1:30006@31006 slave,fail? 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 0 1426238317741 6 connected
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca :30001@31001 myself,master - 0 0 1 connected 0-5460 [77->-292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f]
";

    fn asked() -> Server {
        Server::parse("10.0.0.9:30001").unwrap()
    }

    #[test]
    fn primaries_and_their_replicas_are_found_by_slot() {
        let topology = Topology::parse(NODES, &asked()).unwrap();
        assert_eq!(topology.members.len(), 5);
        let first = topology.primary(77).unwrap();
        assert_eq!(first.server, asked());
        let ports: Vec<_> = topology.replicas(first).map(|replica| replica.server.port).collect();
        assert_eq!(ports, [30004]);
        let third = topology.primary(16383).unwrap();
        assert!(third.failed && !third.suspected);
        assert!(topology.replicas(third).all(|replica| replica.suspected && !replica.failed));
        assert_eq!((topology.voters().count(), topology.epoch()), (3, 3));
    }

    #[test]
    fn an_older_view_is_refused_but_a_cluster_made_anew_is_not() {
        let known = Topology::parse(NODES, &asked()).unwrap();
        let older = Topology::parse(&NODES.replace(" 3 disconnected", " 2 disconnected"), &asked()).unwrap();
        assert!(known.replaces(&older) && known.replaces(&known) && !older.replaces(&known));
        let anew = Topology::parse("ffff 10.0.0.7:30001@31001 myself,master - 0 0 1 connected 0-16383\n", &asked());
        assert!(anew.unwrap().replaces(&known));
    }

    #[test]
    fn another_text_is_refused() {
        assert!(Topology::parse("ERR what\n", &asked()).is_err());
        assert!(Topology::parse("a b:1@2 master - 0 0 1 connected 5-x\n", &asked()).is_err());
        for no_slots in ["0-16384", "9-3", "65535"] {
            let text = format!("a b:1@2 master - 0 0 1 connected {no_slots}\n");
            assert!(Topology::parse(&text, &asked()).is_err(), "{no_slots}");
        }
    }

    #[test]
    fn a_server_that_stands_alone_holds_every_slot() {
        let topology = Topology::alone(asked());
        assert_eq!(topology.primary(0), topology.primary(16383));
        assert_eq!(topology.replicas(&topology.members[0]).count(), 0);
    }
}
