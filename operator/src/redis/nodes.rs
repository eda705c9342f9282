//! Reads `CLUSTER NODES` and `INFO replication`.
//!
//! Decides nothing; the planner and the health summary work on what this returns.

use super::slots::{SLOTS, SlotSet};

/// What one Redis server says about its cluster and itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Every node in the server's table, itself included.
    pub nodes: Vec<Node>,
    /// The server's own replication state.
    pub replication: Replication,
}

/// One line of `CLUSTER NODES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// 40 hexadecimal digits that name the node for life.
    pub id: String,
    /// Address without the port; empty when the server does not know it.
    pub ip: String,
    /// The name it announces, if any.
    pub hostname: String,
    /// The server that answered.
    pub myself: bool,
    /// Master of this replica; `None` for a primary.
    pub primary: Option<String>,
    /// A majority of the primaries holds it for dead.
    pub failed: bool,
    /// Met, but not heard of yet: its id is provisional.
    pub handshake: bool,
    /// Slots it serves.
    pub slots: SlotSet,
    /// Slots that are on their way to or from it.
    pub migrating: u16,
}

/// A server's own part in replication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// A replica whose link to its primary works and whose first copy is done; true for a primary.
    pub in_sync: bool,
    /// Bytes of the replication stream it has.
    pub offset: u64,
}

/// The reason why an answer could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// A line with fewer than the eight fields that every version writes.
    #[error("read a node line with {0} fields instead of at least 8")]
    Fields(usize),
    /// A slot that is no number below 16,384, or a range of them that ends before it begins.
    #[error("read the slot `{0}`, which is no slot")]
    Slot(String),
    /// No line was flagged `myself`.
    #[error("found no line about the server itself")]
    NoSelf,
}

impl View {
    /// Reads the two answers of one server.
    pub fn parse(cluster_nodes: &str, info_replication: &str) -> Result<Self, ParseError> {
        let nodes: Vec<Node> =
            cluster_nodes.lines().filter(|line| !line.trim().is_empty()).map(parse_node).collect::<Result<_, _>>()?;
        if !nodes.iter().any(|node| node.myself) {
            return Err(ParseError::NoSelf);
        }
        Ok(Self { nodes, replication: parse_replication(info_replication) })
    }

    /// The line about the server itself.
    pub fn myself(&self) -> &Node {
        self.nodes.iter().find(|node| node.myself).expect("parse refuses a table without its own server")
    }

    /// The line about `id`, if the server knows it and has heard of it.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id && !node.handshake)
    }
}

fn parse_node(line: &str) -> Result<Node, ParseError> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [id, address, flags, primary, _ping, _pong, _epoch, _link, slots @ ..] = fields.as_slice() else {
        return Err(ParseError::Fields(fields.len()));
    };
    let flagged = |name: &str| flags.split(',').any(|flag| flag == name);
    let mut node = Node {
        id: (*id).to_owned(),
        ip: if flagged("noaddr") { String::new() } else { ip_of(address) },
        hostname: address.split(',').nth(1).unwrap_or_default().to_owned(),
        myself: flagged("myself"),
        primary: (*primary != "-").then(|| (*primary).to_owned()),
        failed: flagged("fail"),
        handshake: flagged("handshake"),
        slots: SlotSet::empty(),
        migrating: 0,
    };
    for slot in slots {
        parse_slot(slot, &mut node)?;
    }
    Ok(node)
}

/// `ip:port@busport[,hostname[,…]]`; the address itself may hold colons.
fn ip_of(address: &str) -> String {
    let address = address.split([',', '@']).next().unwrap_or_default();
    address.rsplit_once(':').map_or("", |(ip, _)| ip).to_owned()
}

fn parse_slot(text: &str, node: &mut Node) -> Result<(), ParseError> {
    if text.starts_with('[') {
        // Saturates: more than there are slots is no table that a server writes.
        node.migrating = node.migrating.saturating_add(1);
        return Ok(());
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last && last < SLOTS => {
            node.slots.insert_range(first, last);
            Ok(())
        }
        _ => Err(ParseError::Slot(text.to_owned())),
    }
}

fn parse_replication(info: &str) -> Replication {
    let field = |name: &str| {
        info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
    };
    let number = |name: &str| field(name).parse().unwrap_or(0);
    if field("role") == "slave" {
        let in_sync = field("master_link_status") == "up" && field("master_sync_in_progress") != "1";
        return Replication { in_sync, offset: number("slave_repl_offset") };
    }
    Replication { in_sync: true, offset: number("master_repl_offset") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 10.1.0.4:6379@16379,host.example slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.1.0.2:6379@16379 master - 0 1426238316232 2 connected 5461-10922 [93-<-e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca]
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f fd00::3:6379@16379 master,fail - 0 1426238318243 3 disconnected 10923-16383 7
824fe116063bc5fcf9f4ffd895bc17aee7731ac3 :0@0 master,noaddr - 0 0 0 disconnected
aaaae116063bc5fcf9f4ffd895bc17aee7731ac3 10.1.0.9:6379@16379 handshake - 0 0 0 disconnected
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 10.1.0.1:6379@16379 myself,master - 0 0 1 connected 0-6 8-5460
";

    #[test]
    fn a_table_is_read_with_addresses_roles_flags_and_slots() {
        let view = View::parse(TABLE, "role:master\r\nmaster_repl_offset:42\r\n").unwrap();
        let me = view.myself();
        assert_eq!((me.ip.as_str(), me.slots.ranges()), ("10.1.0.1", vec![(0, 6), (8, 5460)]));
        let replica = view.node("07c37dfeb235213a872192d90877d0cd55635b91").unwrap();
        assert_eq!(replica.primary.as_deref(), Some(me.id.as_str()));
        assert_eq!((replica.ip.as_str(), replica.hostname.as_str()), ("10.1.0.4", "host.example"));
        let lost = view.node("292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f").unwrap();
        assert!(lost.failed && lost.slots.contains(7) && lost.ip == "fd00::3");
        assert_eq!(view.node("67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1").unwrap().migrating, 1);
        assert_eq!(view.node("824fe116063bc5fcf9f4ffd895bc17aee7731ac3").unwrap().ip, "");
        assert_eq!(view.node("aaaae116063bc5fcf9f4ffd895bc17aee7731ac3"), None, "a handshake has no id to rely on");
        assert_eq!(view.replication, Replication { in_sync: true, offset: 42 });
    }

    #[test]
    fn a_replica_is_in_sync_only_with_its_link_up_and_its_first_copy_done() {
        let state = |link: &str, copying: &str| {
            parse_replication(&format!(
                "role:slave\r\nmaster_link_status:{link}\r\nmaster_sync_in_progress:{copying}\r\nslave_repl_offset:7\r\n"
            ))
        };
        assert!(state("up", "0").in_sync);
        assert!(!state("down", "0").in_sync);
        assert!(!state("up", "1").in_sync);
    }

    #[test]
    fn broken_tables_are_refused_with_the_reason() {
        assert_eq!(View::parse("abc def\n", ""), Err(ParseError::Fields(2)));
        assert_eq!(View::parse("", ""), Err(ParseError::NoSelf));
        let moving = format!("a 1.1.1.1:1@2 myself,master - 0 0 0 connected {}", "[ ".repeat(70_000));
        assert_eq!(View::parse(&moving, "").map(|view| view.myself().migrating), Ok(u16::MAX));
        for no_slots in ["0-16384", "9-3", "65536"] {
            let line = format!("a 1.1.1.1:1@2 myself,master - 0 0 0 connected {no_slots}");
            assert_eq!(View::parse(&line, ""), Err(ParseError::Slot(no_slots.into())));
        }
    }
}
