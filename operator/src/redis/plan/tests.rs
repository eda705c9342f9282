use std::time::Duration;

use parlor_redis::{NodeId, SlotSet};
use proptest::prelude::*;

use super::{
    sketch::{Sketch, commands, id, node, told},
    *,
};
use crate::redis::spread;

#[test]
fn strangers_are_introduced_by_one_of_them() {
    let mut sketch = Sketch::fresh(6);
    let Step::Run { why, orders } = sketch.step() else { panic!("no order") };
    assert_eq!(why, "introduce 5 of 6 servers, beginning with redis-0");
    let commands = commands(Step::Run { why, orders });
    assert_eq!(commands, [1, 2, 3, 4, 5].map(|at| told(0, &format!("MEET 10.0.0.{at} 6379"))));
}

#[test]
fn introductions_under_way_are_not_repeated() {
    let mut sketch = Sketch::fresh(6);
    for at in 1..6 {
        let mut line = node(at, false);
        line.flags.handshake = true;
        sketch.view(0).topology.nodes.push(line);
    }
    assert!(matches!(sketch.step(), Step::Wait(_)));
}

#[test]
fn the_number_of_servers_introduced_is_never_larger_than_the_number_of_servers() {
    let mut sketch = Sketch::acquainted(6);
    // Everyone knows the seed, and nobody else.
    for at in 0..5 {
        sketch.view(at).topology.nodes.retain(|node| node.flags.myself || node.id == id(5));
    }
    let Step::Run { why, .. } = sketch.step() else { panic!("no order") };
    assert!(why.starts_with("introduce 5 of 6 servers"), "{why}");
}

#[test]
fn slots_go_to_primaries_on_three_hosts() {
    assert_eq!(
        Sketch::acquainted(6).commands(),
        [told(0, "ADDSLOTSRANGE 0 5460"), told(2, "ADDSLOTSRANGE 5461 10921"), told(4, "ADDSLOTSRANGE 10922 16383")]
    );
}

#[test]
fn a_formation_that_was_cut_short_continues_where_it_stopped() {
    let mut sketch = Sketch::acquainted(6);
    let parts = SlotSet::full().split(3);
    sketch.everywhere(0, |node| node.slots = parts[0].clone());
    sketch.everywhere(2, |node| node.slots = parts[1].clone());
    assert_eq!(sketch.commands(), [told(4, "ADDSLOTSRANGE 10922 16383")]);
}

#[test]
fn a_server_drops_an_owner_who_has_given_the_slot_away_before_it_takes_the_slot() {
    let mut sketch = Sketch::acquainted(6);
    let parts = SlotSet::full().split(3);
    sketch.everywhere(0, |node| node.slots = parts[0].clone());
    sketch.everywhere(2, |node| node.slots = parts[1].clone());
    let last = SlotSet::full().split(16_384).pop().unwrap();
    let nodes = &mut sketch.view(4).topology.nodes;
    nodes.iter_mut().find(|node| node.id == id(0)).unwrap().slots.add(&last);
    assert_eq!(sketch.commands(), [told(4, "DELSLOTSRANGE 16383 16383")]);
}

#[test]
fn the_others_copy_a_primary_on_another_host() {
    let mut sketch = Sketch::acquainted(6);
    for (part, slots) in SlotSet::full().split(3).into_iter().enumerate() {
        sketch.everywhere(part * 2, |node| node.slots = slots.clone());
    }
    let commands = sketch.commands();
    assert_eq!(commands.len(), 3);
    for (pod, words) in commands {
        let primary = words.strip_prefix("REPLICATE ").unwrap();
        let host = |name: &str| sketch.members.iter().find(|m| m.pod == name).unwrap().place.clone();
        let serves = |m: &&Member| m.view.as_ref().unwrap().myself().id.as_str() == primary;
        assert_ne!(host(&pod), sketch.members.iter().find(serves).unwrap().place);
    }
}

#[test]
fn a_formed_cluster_is_left_alone() {
    let mut sketch = Sketch::formed();
    assert_eq!(sketch.step(), Step::Settled);
    assert_eq!(spread::next(&sketch.members, &sketch.journal), None);
}

#[test]
fn nothing_is_given_out_while_a_server_is_absent() {
    let mut sketch = Sketch::acquainted(6);
    sketch.members[3].view = None;
    assert_eq!(sketch.step(), Step::Wait("no answer from redis-3".into()));
    sketch.members[4].view = None;
    sketch.members[4].ip.clear();
    assert_eq!(sketch.step(), Step::Wait("no answer from redis-3; redis-4 not started".into()));
}

#[test]
fn servers_that_all_came_back_with_new_addresses_are_introduced_again() {
    let mut sketch = Sketch::formed();
    for at in 0..6 {
        let ip = format!("10.0.5.{at}");
        sketch.members[at].ip.clone_from(&ip);
        let nodes = &mut sketch.view(at).topology.nodes;
        nodes.iter_mut().filter(|node| node.flags.myself).for_each(|node| node.ip = ip.as_str().into());
    }
    let commands = sketch.commands();
    assert_eq!(commands.len(), 5);
    assert!(commands.iter().all(|(pod, words)| pod == "redis-0" && words.starts_with("MEET 10.0.5.")));
}

#[test]
fn an_election_is_awaited_then_ordered_once_and_then_done_without_a_vote() {
    let mut sketch = Sketch::formed().replaced(2);
    assert_eq!(sketch.step(), Step::Wait("a replica such as redis-5 is elected primary".into()));
    assert_eq!(sketch.later(15).commands(), [told(5, "FAILOVER FORCE")]);
    for _ in 0..12 {
        assert!(matches!(sketch.later(1).step(), Step::Wait(_)), "an order that is given again would begin again");
    }
    assert_eq!(sketch.later(1).commands(), [told(5, "FAILOVER TAKEOVER")]);
    assert!(matches!(sketch.later(1).step(), Step::Wait(_)));
    assert_eq!(sketch.later(6).commands(), [told(5, "FAILOVER TAKEOVER")]);
}

#[test]
fn replicas_take_over_when_no_majority_of_the_primaries_is_left() {
    let mut sketch = Sketch::formed().replaced(0).replaced(2);
    assert_eq!(sketch.commands(), [told(3, "FAILOVER TAKEOVER"), told(5, "FAILOVER TAKEOVER")]);
}

#[test]
fn a_majority_that_may_come_back_with_its_data_is_waited_for_but_not_for_ever() {
    let mut sketch = Sketch::formed().silent(0, true).silent(2, true);
    assert!(matches!(sketch.step(), Step::Wait(_)));
    assert!(matches!(sketch.later(29).step(), Step::Wait(_)));
    assert_eq!(sketch.later(1).commands(), [told(3, "FAILOVER TAKEOVER"), told(5, "FAILOVER TAKEOVER")]);
}

#[test]
fn a_primary_that_only_the_operator_cannot_reach_keeps_its_place() {
    let mut sketch = Sketch::formed().silent(0, false).silent(2, false);
    let absent = Step::Wait("no answer from redis-0, redis-2".into());
    assert_eq!(sketch.step(), absent);
    assert_eq!(sketch.later(600).step(), absent);
}

#[test]
fn a_pod_that_came_back_empty_gets_a_primary_while_another_is_absent() {
    let mut sketch = Sketch::formed().silent(1, true).replaced(5);
    assert_eq!(sketch.commands(), [told(5, &format!("REPLICATE {}", id(2)))]);
}

#[test]
fn an_absent_pod_is_not_forgotten() {
    let mut sketch = Sketch::formed().silent(5, true);
    assert_eq!(sketch.later(600).step(), Step::Wait("no answer from redis-5".into()));
}

#[test]
fn the_replica_of_a_primary_that_is_absent_keeps_its_data() {
    let mut sketch = Sketch::formed().silent(2, true);
    assert!(
        matches!(sketch.step(), Step::Wait(what) if what.contains("elected")),
        "it is not given to another primary"
    );
}

#[test]
fn a_shard_whose_servers_are_all_absent_is_not_buried() {
    let mut sketch = Sketch::formed().silent(2, true).silent(5, true);
    assert_eq!(sketch.later(600).step(), Step::Wait("no answer from redis-2, redis-5".into()));
}

#[test]
fn a_lost_replica_is_replaced_and_then_forgotten() {
    let mut sketch = Sketch::formed().replaced(5);
    assert_eq!(sketch.commands(), [told(5, &format!("REPLICATE {}", id(2)))]);
    let new = NodeId::new(&format!("new{}", id(5)));
    for member in &mut sketch.members {
        let nodes = &mut member.view.as_mut().unwrap().topology.nodes;
        nodes.iter_mut().filter(|node| node.id == new).for_each(|node| node.replica_of = Some(id(2)));
    }
    let forget = format!("FORGET {}", id(5));
    assert_eq!(sketch.commands(), [0, 1, 2, 3, 4].map(|at| told(at, &forget)));
}

#[test]
fn a_shard_that_was_lost_whole_gets_a_new_empty_primary() {
    let mut sketch = Sketch::formed().replaced(2).replaced(5);
    let forget = format!("FORGET {}", id(2));
    assert!(sketch.commands().iter().all(|(_, words)| *words == forget));
    for member in &mut sketch.members {
        member.view.as_mut().unwrap().topology.nodes.retain(|node| node.id != id(2));
    }
    let commands = sketch.commands();
    assert_eq!(commands.len(), 1);
    assert!(commands[0].1.starts_with("ADDSLOTSRANGE 5461 10921"));
}

#[test]
fn a_replica_in_the_middle_of_its_first_copy_is_waited_for() {
    let mut sketch = Sketch::formed();
    sketch.replication(1, |link| (link.in_sync, link.copying) = (false, true));
    assert_eq!(sketch.step(), Step::Wait("redis-1 copies its primary".into()));
    assert_eq!(sketch.later(600).step(), Step::Wait("redis-1 copies its primary".into()));
}

#[test]
fn a_replica_that_looks_for_its_primary_at_a_former_address_is_ordered_again() {
    let mut sketch = Sketch::formed();
    sketch.replication(1, |link| (link.in_sync, link.primary_ip) = (false, Some("10.0.7.4".into())));
    assert_eq!(sketch.commands(), [told(1, &format!("REPLICATE {}", id(4)))]);
    assert!(matches!(sketch.later(14).step(), Step::Wait(_)), "it is given time to connect");
    assert_eq!(sketch.later(1).commands(), [told(1, &format!("REPLICATE {}", id(4)))]);
}

#[test]
fn a_replica_whose_link_stays_down_while_its_primary_answers_is_ordered_again() {
    let mut sketch = Sketch::formed();
    let down = |seconds| {
        move |link: &mut crate::redis::info::Replication| {
            (link.in_sync, link.link_down) = (false, Some(Duration::from_secs(seconds)));
        }
    };
    sketch.replication(1, down(15));
    assert!(matches!(sketch.step(), Step::Wait(_)));
    sketch.replication(1, down(16));
    assert_eq!(sketch.commands(), [told(1, &format!("REPLICATE {}", id(4)))]);
    // Its primary is about to send it a copy.
    sketch.replication(4, |link| link.replica_ips = vec!["10.0.0.1".into()]);
    assert!(matches!(sketch.later(60).step(), Step::Wait(_)));
}

#[test]
fn a_primary_hands_over_before_its_pod_goes_and_is_not_asked_again_meanwhile() {
    let mut sketch = Sketch::formed();
    sketch.members[2].leaving = true;
    assert_eq!(sketch.commands(), [told(5, "FAILOVER")]);
    for _ in 0..5 {
        assert!(matches!(sketch.later(1).step(), Step::Wait(_)));
    }
    assert_eq!(sketch.later(1).commands(), [told(5, "FAILOVER")]);
}

#[test]
fn a_primary_hands_over_to_nobody_who_lags_or_goes_too() {
    let mut sketch = Sketch::formed();
    (sketch.members[2].leaving, sketch.members[5].leaving) = (true, true);
    assert_eq!(sketch.step(), Step::Settled);
    sketch.members[5].leaving = false;
    sketch.replication(5, |link| (link.in_sync, link.copying) = (false, true));
    assert!(matches!(sketch.step(), Step::Wait(_)));
}

#[test]
fn a_server_that_is_one_too_many_goes_only_when_the_others_suffice() {
    let mut sketch = Sketch::formed();
    assert!(can_do_without_surplus(Shape { shards: 3, replicas: 1 }, &sketch.members));
    sketch.members[4].surplus = true;
    assert!(!can_do_without_surplus(Shape { shards: 3, replicas: 0 }, &sketch.members), "it serves slots");
    assert_eq!(sketch.commands(), [told(1, "FAILOVER")]);
    (sketch.members[4].surplus, sketch.members[3].surplus) = (false, true);
    assert!(can_do_without_surplus(Shape { shards: 3, replicas: 0 }, &sketch.members));
    assert!(!can_do_without_surplus(Shape { shards: 3, replicas: 1 }, &sketch.members), "its shard needs its copy");
}

#[test]
fn primaries_that_share_a_host_spread_again() {
    let mut sketch = Sketch::formed();
    // Host 0 has the primaries 0 and 1 now.
    let slots = sketch.view(4).myself().slots.clone();
    sketch.everywhere(4, |node| (node.slots, node.replica_of) = (SlotSet::empty(), Some(id(1))));
    sketch.everywhere(1, |node| (node.slots, node.replica_of) = (slots.clone(), None));
    assert_eq!(sketch.step(), Step::Settled);
    let step = spread::next(&sketch.members, &sketch.journal).unwrap();
    assert_eq!(commands(step), [told(4, "FAILOVER")]);
}

#[test]
fn a_cordoned_host_is_not_given_its_primaries_back() {
    let mut sketch = Sketch::formed();
    let slots = sketch.view(4).myself().slots.clone();
    sketch.everywhere(4, |node| (node.slots, node.replica_of) = (SlotSet::empty(), Some(id(1))));
    sketch.everywhere(1, |node| (node.slots, node.replica_of) = (slots.clone(), None));
    (sketch.members[4].leaving, sketch.members[5].leaving) = (true, true);
    assert_eq!(spread::next(&sketch.members, &sketch.journal), None);
}

#[test]
fn a_primary_whose_only_copy_is_on_its_own_host_gets_one_elsewhere() {
    let mut sketch = Sketch::formed();
    // 1 copies 0 on host 0, and 3 copies 4.
    sketch.everywhere(1, |node| node.replica_of = Some(id(0)));
    sketch.everywhere(3, |node| node.replica_of = Some(id(4)));
    let step = spread::next(&sketch.members, &sketch.journal).unwrap();
    assert_eq!(commands(step), [told(5, &format!("REPLICATE {}", id(0)))]);
    sketch.everywhere(5, |node| node.replica_of = Some(id(0)));
    assert_eq!(sketch.commands(), [told(1, &format!("REPLICATE {}", id(2)))], "the near one is the surplus one");
}

#[test]
fn a_large_cluster_forgets_a_server_in_several_steps() {
    let mut sketch = Sketch::acquainted(70);
    let mut gone = node(99, false);
    (gone.flags.failed, gone.slots) = (true, SlotSet::full());
    (0..70).for_each(|at| sketch.view(at).topology.nodes.push(gone.clone()));
    let forget = format!("FORGET {}", id(99));
    assert_eq!(sketch.commands(), (0..64).map(|at| told(at, &forget)).collect::<Vec<_>>());
    (0..64).for_each(|at| sketch.view(at).topology.nodes.retain(|node| node.id != id(99)));
    assert_eq!(sketch.commands(), (64..70).map(|at| told(at, &forget)).collect::<Vec<_>>());
}

proptest! {
    /// For servers that are silent, restarted or replaced: no order that takes its time is repeated a second later, and
    /// none could lose data which may come back.
    #[test]
    fn no_order_is_repeated_at_once_and_none_buries_what_may_come_back(
        silent in proptest::collection::btree_set(0usize..6, 0..4),
        replaced in proptest::collection::btree_set(0usize..6, 0..3),
        noticed: bool,
        seconds in 0u64..90,
    ) {
        let mut sketch = Sketch::formed();
        for at in &silent {
            sketch = sketch.silent(*at, noticed);
        }
        for at in replaced.difference(&silent) {
            sketch = sketch.replaced(*at);
        }
        sketch.step();
        sketch.later(seconds);
        let first = sketch.step();
        let again = sketch.later(1).step();
        let that_take_time = |step: &Step| match step {
            Step::Run { orders, .. } => orders.iter().filter(|order| {
                matches!(order.command, Command::Force | Command::Takeover | Command::HandOver)
            }).cloned().collect(),
            _ => Vec::new(),
        };
        let repeated = that_take_time(&again).into_iter().find(|order| that_take_time(&first).contains(order));
        prop_assert_eq!(repeated, None);
        if !silent.is_empty() {
            for step in [first, again] {
                let Step::Run { orders, .. } = step else { continue };
                for order in orders {
                    let harmless = !matches!(order.command, Command::AddSlots(_));
                    prop_assert!(harmless, "{order:?} while somebody is absent");
                    if let Command::Forget(id) = &order.command {
                        prop_assert!(!silent.iter().any(|at| super::sketch::id(*at) == *id), "{order:?}");
                    }
                }
            }
        }
    }

    /// Handing back ends: each hand-over makes the spread strictly better, whatever the hosts and zones.
    #[test]
    fn spreading_primaries_comes_to_an_end(hosts in proptest::collection::vec(0u8..4, 6), zones in proptest::collection::vec(0u8..3, 4)) {
        let mut sketch = Sketch::formed();
        for (at, host) in hosts.iter().enumerate() {
            let place = &mut sketch.members[at].place;
            (place.host, place.zone) = (format!("h{host}"), format!("z{}", zones[usize::from(*host)]));
        }
        for _ in 0..6 {
            let Some(Step::Run { orders, .. }) = spread::next(&sketch.members, &sketch.journal) else { return Ok(()) };
            let Command::HandOver = orders[0].command else { return Ok(()) };
            let at = sketch.members.iter().position(|m| m.pod == orders[0].pod).unwrap();
            hand_over(&mut sketch, at);
        }
        prop_assert!(false, "more hand-overs than could each have made it better");
    }
}

fn hand_over(sketch: &mut Sketch, heir: usize) {
    let primary = sketch.view(heir).myself().replica_of.clone().unwrap();
    let old = (0..6).find(|at| id(*at) == primary).unwrap();
    let slots = sketch.view(old).myself().slots.clone();
    sketch.everywhere(old, |node| (node.slots, node.replica_of) = (SlotSet::empty(), Some(id(heir))));
    sketch.everywhere(heir, |node| (node.slots, node.replica_of) = (slots.clone(), None));
}

#[test]
fn a_renewed_certificate_is_loaded_again_and_again_until_the_kubelet_has_written_it_and_nothing_waits_for_it() {
    let mut sketch = Sketch::formed();
    for at in 0..6 {
        sketch.view(at).certificate_is_old = true;
    }
    let Step::Run { why, orders } = sketch.step() else { panic!("no order") };
    assert_eq!((why.as_str(), orders.len()), ("let 6 servers load their renewed certificate", 6));
    assert_eq!(sketch.later(14).step(), Step::Settled);
    sketch.view(0).certificate_is_old = false;
    assert_eq!(sketch.later(1).commands().len(), 5);
}
