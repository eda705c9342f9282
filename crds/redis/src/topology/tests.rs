use proptest::prelude::*;

use super::*;
use crate::{Prefer, SlotMove};

const TABLE: &str = "\
07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004,host4.example slave e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca 0 1426238317239 4 connected
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 127.0.0.1:30002@31002,host2,tls-port=0,shard-id=69bc master - 0 1426238316232 2 connected 5461-10922
292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f fd00::3:30003@31003,,tls-port=0 master,fail - 0 1426238318243 3 disconnected 10923-16382 16383
6ec23923021cf3ffec47632106199cb7f496ce01 :0@0 slave,fail,noaddr 67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 0 1 5 disconnected
824fe116063bc5fcf9f4ffd895bc17aee7731ac3 127.0.0.1:30006@31006 slave,fail? 292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f 0 1426238317741 6 connected
aaaae116063bc5fcf9f4ffd895bc17aee7731ac3 127.0.0.1:30009@31009 handshake - 0 0 0 disconnected
e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca :30001@31001 myself,master - 0 0 1 connected 0-5460 [77->-292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f] [5461-<-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]
";

fn table() -> Topology {
    Topology::parse(TABLE).unwrap()
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

fn id(start: &str) -> NodeId {
    table().nodes.iter().find(|node| node.id.as_str().starts_with(start)).unwrap().id.clone()
}

#[test]
fn primaries_and_their_replicas_are_found_by_slot() {
    let table = table();
    let first = table.primary_of(slot(77)).unwrap();
    assert!(first.flags.myself && table.myself() == Some(first));
    let ports: Vec<_> = table.replicas_of(&first.id).map(|replica| replica.port).collect();
    assert_eq!(ports, [30004]);
    let third = table.primary_of(slot(16_383)).unwrap();
    assert!(third.flags.failed && !third.flags.suspected && !third.connected);
    assert!(table.replicas_of(&third.id).all(|replica| replica.flags.suspected && !replica.flags.failed));
    assert_eq!((table.voters().count(), table.epoch()), (3, 3));
}

#[test]
fn a_slot_on_its_way_says_where_from_and_where_to() {
    let moves = &table().myself().unwrap().moves.clone();
    assert_eq!(*moves, [SlotMove::Migrating(slot(77), id("292f")), SlotMove::Importing(slot(5461), id("67ed"))]);
}

#[test]
fn an_announced_host_name_is_used_where_it_is_preferred() {
    let (table, asked) = (table(), Address::new("10.0.0.9", 30_001));
    let address = |start: &str, prefer| {
        table.node(&id(start)).unwrap().address(&asked, prefer).map(|address| address.to_string())
    };
    assert_eq!(address("07c3", Prefer::HostName).as_deref(), Some("host4.example:30004"));
    assert_eq!(address("07c3", Prefer::Ip).as_deref(), Some("127.0.0.1:30004"));
    assert_eq!(address("67ed", Prefer::HostName).as_deref(), Some("host2:30002"), "other metadata is no host name");
    assert_eq!(address("292f", Prefer::HostName).as_deref(), Some("[fd00::3]:30003"), "an empty name is none");
    assert_eq!(
        address("e7d1", Prefer::HostName).as_deref(),
        Some("10.0.0.9:30001"),
        "it was reached where it was asked"
    );
    assert_eq!(address("6ec2", Prefer::HostName), None);
}

#[test]
fn a_handshake_has_no_id_to_rely_on() {
    let table = table();
    assert_eq!(table.nodes.len(), 7);
    assert_eq!(table.node(&id("aaaa")), None);
}

#[test]
fn an_older_view_is_refused_but_a_cluster_created_again_is_not() {
    let known = table();
    let older = Topology::parse(&TABLE.replace(" 3 disconnected", " 2 disconnected")).unwrap();
    assert!(known.replaces(&older) && known.replaces(&known) && !older.replaces(&known));
    let remade = Topology::parse("ffff 10.0.0.7:30001@31001 myself,master - 0 0 1 connected 0-16383\n").unwrap();
    assert!(remade.replaces(&known));
}

#[test]
fn a_broken_table_is_refused_with_the_part_that_is_wrong() {
    assert_eq!(Topology::parse("ERR what\n"), Err(TableError::Fields(2)));
    assert_eq!(Topology::parse("a b myself - 0 0 1 connected"), Err(TableError::Address("b".into())));
    assert_eq!(Topology::parse("a b:1@2 myself - 0 0 x connected"), Err(TableError::Epoch("x".into())));
    for wrong in ["0-16384", "9-3", "65536", "5-x", "[77", "[77]", "[77->-", "[x->-id]"] {
        let line = format!("a b:1@2 master - 0 0 1 connected {wrong}\n");
        assert_eq!(Topology::parse(&line), Err(TableError::Slot(wrong.into())));
    }
}

#[test]
fn a_server_that_stands_alone_holds_every_slot() {
    let topology = Topology::alone(&Address::new("redis", 6379));
    assert_eq!(topology.primary_of(Slot::FIRST), topology.primary_of(Slot::LAST));
    assert!(topology.primary_of(Slot::FIRST).is_some());
    assert_eq!(topology.replicas_of(&topology.nodes[0].id).count(), 0);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n]{0,200}") {
        let _ = Topology::parse(&text);
    }

    #[test]
    fn every_slot_of_a_written_table_has_the_primary_that_was_written(parts in 1usize..9, slot in 0..Slot::COUNT) {
        let text: String = SlotSet::full().split(parts).iter().enumerate().map(|(at, slots)| {
            let ranges: Vec<_> = slots.ranges().iter().map(ToString::to_string).collect();
            format!("n{at} 10.0.0.{at}:6379@16379 master - 0 0 {at} connected {}\n", ranges.join(" "))
        }).collect();
        let table = Topology::parse(&text).unwrap();
        let slot = Slot::new(slot).unwrap();
        let at: usize = table.primary_of(slot).unwrap().id.as_str()[1..].parse().unwrap();
        prop_assert!(SlotSet::full().split(parts)[at].contains(slot));
        prop_assert_eq!(table.voters().count(), parts);
    }
}
