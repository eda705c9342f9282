//! What the operator decides from what it observed: the next step of a Redis Cluster, and who may go of a fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use parlor_operator::redis::{
    health::Health,
    journal::Journal,
    plan::{Command, Member, Order, Shape, Step, next_step},
    roles::Location,
    spread,
    upgrade::{self, Outdated, Upgrade},
    view::View,
};
use parlor_redis::{Node, NodeId, Slot, SlotSet};

use crate::seed::{lines, split};

/// Most commands of one step.
const ORDERS: usize = 64;

/// `shards replicas seconds` on the first line, where the seconds are how long it has been so already; then a paragraph a pod:
/// `name address host`, the lines of its `CLUSTER NODES`, which have spaces, and of its `INFO replication`, which have none.
pub(crate) fn redis(data: &[u8]) {
    let (head, pods) = split(data, b"\n");
    let mut numbers = words(head).into_iter().map(|word| word.parse::<usize>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    // As the schema of the ChatRoom bounds them.
    let shape = Shape { shards: next().clamp(3, 64), replicas: next().min(3) };
    let waited = Duration::from_secs((next() as u64).min(86_400));
    let (mut journal, now) = (Journal::default(), Instant::now());
    let members = members(shape, pods);
    journal.note(now, &members);
    journal.note(now + waited, &members);
    let step = next_step(shape, &members, &journal);
    let health = Health::of(shape, &members);
    assert!(health.served <= Slot::COUNT && health.replicated <= health.shards && health.shards <= health.answering);
    let (well, ..) = health.verdict(shape, &step, None, None);
    assert!(well || step != Step::Settled || !health.full.is_empty() || !health.disk_failed.is_empty());
    match step {
        Step::Settled => settled(shape, &members, &health, &journal),
        Step::Wait(what) => assert!(!what.is_empty()),
        Step::Run { why, orders } => {
            assert!(!why.is_empty() && (1..=ORDERS).contains(&orders.len()), "{} orders: {why}", orders.len());
            carried_out(&members, &orders);
        }
    }
}

/// Pods have names and addresses of their own, and those that are wanted and not described have not started.
fn members(shape: Shape, pods: &[u8]) -> Vec<Member> {
    let mut members = BTreeMap::new();
    let mut rest = pods;
    while !rest.is_empty() {
        let (pod, others) = split(rest, b"\n\n");
        rest = others;
        let (head, said) = split(pod, b"\n");
        if let [pod, ip, host] = words(head).as_slice() {
            let (table, info): (Vec<&[u8]>, Vec<&[u8]>) = lines(said).partition(|line| line.contains(&b' '));
            let text = |lines: &[&[u8]]| String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
            let view = View::parse(&text(&table), &text(&info)).ok();
            let (pod, ip, host) = (pod.clone(), ip.clone(), host.clone());
            members.entry(pod.clone()).or_insert(member(pod, ip, host, view));
        }
    }
    let mut addresses = BTreeSet::new();
    let mut members: Vec<Member> = members.into_values().filter(|member| addresses.insert(member.ip.clone())).collect();
    let absent = shape.servers().saturating_sub(members.len());
    members.extend((0..absent).map(|at| member(format!("absent-{at}"), String::new(), String::new(), None)));
    members
}

fn member(pod: String, ip: String, host: String, view: Option<View>) -> Member {
    let name = format!("{pod}.redis.default");
    Member { pod, name, ip, place: Location { host, zone: String::new() }, leaving: false, surplus: false, view }
}

fn words(line: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(line).split_whitespace().map(str::to_owned).collect()
}

/// Every slot is served by one of as many primaries as are wanted, and nobody is left that no pod is.
fn settled(shape: Shape, members: &[Member], health: &Health, journal: &Journal) {
    assert!(health.answering == members.len() && members.len() >= shape.servers());
    assert_eq!((health.served, health.shards), (Slot::COUNT, shape.shards));
    let ids: BTreeSet<&str> = selves(members).map(|(_, me)| me.id.as_str()).collect();
    for node in members.iter().filter_map(|member| member.view.as_ref()).flat_map(|view| &view.topology.nodes) {
        assert!(node.flags.handshake || ids.contains(node.id.as_str()), "{} is remembered", node.id);
    }
    if let Some(Step::Run { orders, .. }) = spread::next(members, journal) {
        let copies = |pod: &str| selves(members).any(|(one, me)| one.pod == pod && me.replica_of.is_some());
        assert!(orders.iter().all(|order| copies(&order.pod)), "{orders:?}");
    }
    let pods: BTreeSet<String> = members.iter().map(|member| member.pod.clone()).collect();
    let outdated = Outdated { pods: pods.clone(), ..Outdated::default() };
    match upgrade::next(members, &outdated, journal) {
        Some(Upgrade::Restart(pod)) => {
            let serves = |(member, me): (&Member, &Node)| member.pod == pod && serves(me);
            assert!(pods.contains(&pod) && !selves(members).any(serves), "{pod} holds the only copy");
        }
        Some(Upgrade::Hold(pod)) => assert!(pods.contains(&pod)),
        Some(Upgrade::HandOver(Order { pod, .. })) => {
            assert!(selves(members).any(|(member, me)| member.pod == pod && me.replica_of.is_some()));
        }
        None => assert!(members.is_empty()),
    }
}

fn selves(members: &[Member]) -> impl Iterator<Item = (&Member, &Node)> {
    members.iter().filter_map(|member| Some((member, member.view.as_ref()?.myself())))
}

fn serves(node: &Node) -> bool {
    node.replica_of.is_none() && !node.slots.is_empty()
}

/// Orders go to servers that answer, and none takes anything from one that serves.
fn carried_out(members: &[Member], orders: &[Order]) {
    let mut served = SlotSet::empty();
    selves(members).filter(|(_, me)| serves(me)).for_each(|(_, me)| served.add(&me.slots));
    for Order { pod, ip, command } in orders {
        let found = selves(members).find(|(member, _)| member.pod == *pod && member.ip == *ip);
        let (_, me) = found.unwrap_or_else(|| panic!("{pod} at {ip} does not answer"));
        let known = |id: &NodeId| selves(members).any(|(_, other)| other.id == *id);
        match command {
            Command::Meet(address) => assert!(selves(members).any(|(member, _)| member.ip == *address)),
            Command::AddSlots(slots) => {
                assert!(
                    !slots.is_empty() && slots.iter().all(|slot| !served.contains(slot)),
                    "{slots:?} of {served:?}"
                );
                served.add(slots);
            }
            Command::DropSlots(slots) => {
                assert!(!slots.is_empty() && slots.iter().all(|slot| !served.contains(slot)), "{slots:?} are served");
            }
            Command::Replicate(id) => {
                assert!(me.id != *id && !serves(me), "{pod} copies {id}");
                assert!(selves(members).any(|(_, other)| other.id == *id && serves(other)), "{id} serves nothing");
            }
            Command::Forget(id) => assert!(!known(id), "{id} lives"),
            Command::Force | Command::Takeover => {
                let primary = me.replica_of.as_ref();
                assert!(primary.is_some_and(|id| !known(id)), "{pod} takes over from {primary:?}");
            }
            Command::Hand(hand) => {
                assert!(me.id == hand.from && hand.from != hand.to && !hand.slots.is_empty(), "{pod}: {hand:?}");
                assert!(hand.slots.iter().all(|slot| me.slots.contains(slot)), "{pod} has not all of {hand:?}");
                let takes = |(member, other): (&Member, &Node)| {
                    other.id == hand.to && member.ip == hand.to_ip && other.replica_of.is_none()
                };
                assert!(selves(members).any(takes), "nobody takes {hand:?}");
            }
            Command::EndMoves(slots) => assert!(!slots.is_empty()),
            Command::Protect | Command::Admit(_) | Command::PresentCurrent | Command::AdmitNoOther => {
                panic!("{pod} is to take a password that nobody has")
            }
            Command::ReloadCertificate => panic!("{pod} is to load a certificate that nobody made"),
            Command::HandOver => panic!("{pod} takes over for no reason"),
        }
    }
}
