use super::*;
use crate::redis::nodes::Replication;

/// A cluster in which every server knows every other, written as (pod, primary's pod, slots).
struct Sketch {
    members: Vec<Member>,
}

const SHAPE: Shape = Shape { shards: 3, replicas: 1 };

impl Sketch {
    /// Servers that have never met anybody, two a host.
    fn fresh(count: usize) -> Self {
        let members = (0..count).map(|at| Member {
            pod: format!("redis-{at}"),
            ip: format!("10.0.0.{at}"),
            host: format!("host-{}", at / 2),
            view: Some(View {
                nodes: vec![node(at, true)],
                replication: Replication { in_sync: true, offset: at as u64 },
            }),
        });
        Self { members: members.collect() }
    }

    fn acquainted(count: usize) -> Self {
        let mut sketch = Self::fresh(count);
        for one in 0..count {
            sketch.view(one).nodes = (0..count).map(|other| node(other, other == one)).collect();
        }
        sketch
    }

    /// Three shards of two: 0, 2, 4 serve slots; 3, 5, 1 copy them.
    fn formed() -> Self {
        let mut sketch = Self::acquainted(6);
        for (part, slots) in SlotSet::full().split(3).into_iter().enumerate() {
            sketch.everywhere(part * 2, |node| node.slots = slots.clone());
            sketch.everywhere([3, 5, 1][part], |node| node.primary = Some(id(part * 2)));
        }
        sketch
    }

    fn view(&mut self, at: usize) -> &mut View {
        self.members[at].view.as_mut().unwrap()
    }

    /// Changes the line about server `at` in every table.
    fn everywhere(&mut self, at: usize, change: impl Fn(&mut Node)) {
        for view in self.members.iter_mut().filter_map(|member| member.view.as_mut()) {
            view.nodes.iter_mut().filter(|node| node.id == id(at)).for_each(&change);
        }
    }

    /// The pod came back with an empty volume: a new id, and nobody's acquaintance.
    fn replaced(mut self, at: usize) -> Self {
        self.everywhere(at, |node| node.failed = true);
        let mut new = node(at, true);
        new.id = format!("new{}", id(at));
        new.ip = format!("10.0.9.{at}");
        self.members[at].ip.clone_from(&new.ip);
        self.view(at).nodes = vec![new];
        self.introduce(at)
    }

    /// What gossip does after everybody was introduced.
    fn introduce(mut self, at: usize) -> Self {
        let mut newcomer = self.view(at).myself().clone();
        newcomer.myself = false;
        let others: Vec<Node> = (0..self.members.len())
            .filter(|one| *one != at)
            .map(|one| {
                let mut line = self.members[one].view.as_ref().unwrap().myself().clone();
                line.myself = false;
                line
            })
            .collect();
        for one in (0..self.members.len()).filter(|one| *one != at) {
            self.view(one).nodes.push(newcomer.clone());
        }
        self.view(at).nodes.extend(others);
        self
    }

    fn step(&self) -> Step {
        next_step(SHAPE, &self.members, Duration::ZERO)
    }

    fn commands(&self) -> Vec<(String, String)> {
        match self.step() {
            Step::Run { orders, .. } => {
                orders.into_iter().map(|order| (order.pod.clone(), order.command.words()[1..].join(" "))).collect()
            }
            other => panic!("expected commands, got {other:?}"),
        }
    }
}

fn id(at: usize) -> String {
    format!("{at:040x}")
}

fn node(at: usize, myself: bool) -> Node {
    Node {
        id: id(at),
        ip: format!("10.0.0.{at}"),
        hostname: String::new(),
        myself,
        primary: None,
        failed: false,
        handshake: false,
        slots: SlotSet::empty(),
        migrating: 0,
    }
}

fn told(pod: usize, words: &str) -> (String, String) {
    (format!("redis-{pod}"), words.to_owned())
}

#[test]
fn strangers_are_introduced_by_one_of_them() {
    let commands = Sketch::fresh(6).commands();
    assert_eq!(commands, [1, 2, 3, 4, 5].map(|at| told(0, &format!("MEET 10.0.0.{at} 6379"))));
}

#[test]
fn introductions_under_way_are_not_repeated() {
    let mut sketch = Sketch::fresh(6);
    for at in 1..6 {
        let mut line = node(at, false);
        line.handshake = true;
        sketch.view(0).nodes.push(line);
    }
    assert!(matches!(sketch.step(), Step::Wait(_)));
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
fn the_others_copy_a_primary_on_another_host() {
    let mut sketch = Sketch::acquainted(6);
    for (part, slots) in SlotSet::full().split(3).into_iter().enumerate() {
        sketch.everywhere(part * 2, |node| node.slots = slots.clone());
    }
    let commands = sketch.commands();
    assert_eq!(commands.len(), 3);
    for (pod, words) in commands {
        let primary = words.strip_prefix("REPLICATE ").unwrap();
        let host = |name: &str| sketch.members.iter().find(|m| m.pod == name).unwrap().host.clone();
        let primary = sketch.members.iter().find(|m| m.view.as_ref().unwrap().myself().id == primary).unwrap();
        assert_ne!(host(&pod), primary.host);
    }
}

#[test]
fn a_formed_cluster_is_left_alone() {
    assert_eq!(Sketch::formed().step(), Step::Settled);
}

#[test]
fn nothing_is_given_out_while_a_server_is_silent() {
    let mut sketch = Sketch::acquainted(6);
    sketch.members[3].view = None;
    assert_eq!(sketch.step(), Step::Wait("no answer from redis-3".into()));
    sketch.members.truncate(3);
    assert_eq!(sketch.step(), Step::Wait("3 of 6 servers exist".into()));
}

#[test]
fn servers_that_all_came_back_with_new_addresses_are_introduced_again() {
    let mut sketch = Sketch::formed();
    for at in 0..6 {
        let ip = format!("10.0.5.{at}");
        sketch.members[at].ip.clone_from(&ip);
        sketch.view(at).nodes.iter_mut().filter(|node| node.myself).for_each(|node| node.ip.clone_from(&ip));
    }
    let commands = sketch.commands();
    assert_eq!(commands.len(), 5);
    assert!(commands.iter().all(|(pod, words)| pod == "redis-0" && words.starts_with("MEET 10.0.5.")));
}

#[test]
fn the_replica_of_a_replaced_primary_is_left_to_its_election_and_told_when_it_is_overdue() {
    let sketch = Sketch::formed().replaced(2);
    assert_eq!(sketch.step(), Step::Wait("a replica such as redis-5 is elected primary".into()));
    let Step::Run { orders, .. } = next_step(SHAPE, &sketch.members, ELECTION_OVERDUE) else { panic!("no order") };
    assert_eq!((orders[0].pod.as_str(), &orders[0].command), ("redis-5", &Command::Force));
}

#[test]
fn replicas_take_over_when_no_majority_of_the_primaries_is_left() {
    let sketch = Sketch::formed().replaced(0).replaced(2);
    assert_eq!(sketch.commands(), [told(3, "FAILOVER TAKEOVER"), told(5, "FAILOVER TAKEOVER")]);
}

#[test]
fn a_lost_replica_is_replaced_and_then_forgotten() {
    let sketch = Sketch::formed().replaced(5);
    assert_eq!(sketch.commands(), [told(5, &format!("REPLICATE {}", id(2)))]);
    let mut sketch = sketch;
    let new = format!("new{}", id(5));
    for member in &mut sketch.members {
        let nodes = &mut member.view.as_mut().unwrap().nodes;
        nodes.iter_mut().filter(|node| node.id == new).for_each(|node| node.primary = Some(id(2)));
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
        member.view.as_mut().unwrap().nodes.retain(|node| node.id != id(2));
    }
    assert_eq!(sketch.commands().len(), 1);
    assert!(sketch.commands()[0].1.starts_with("ADDSLOTSRANGE 5461 10921"));
}

#[test]
fn a_replica_in_the_middle_of_its_first_copy_is_waited_for() {
    let mut sketch = Sketch::formed();
    sketch.view(1).replication.in_sync = false;
    assert_eq!(sketch.step(), Step::Wait("redis-1 copies its primary".into()));
}

#[test]
fn a_large_cluster_forgets_a_server_in_several_steps() {
    let mut sketch = Sketch::acquainted(70);
    let mut gone = node(99, false);
    (gone.failed, gone.slots) = (true, SlotSet::full());
    (0..70).for_each(|at| sketch.view(at).nodes.push(gone.clone()));
    let forget = format!("FORGET {}", id(99));
    let first = sketch.commands();
    assert_eq!(first, (0..64).map(|at| told(at, &forget)).collect::<Vec<_>>());
    (0..64).for_each(|at| sketch.view(at).nodes.retain(|node| node.id != id(99)));
    assert_eq!(sketch.commands(), (64..70).map(|at| told(at, &forget)).collect::<Vec<_>>());
}
