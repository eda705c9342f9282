//! Decides the next single step of a managed Redis Cluster from what its servers say.
//!
//! A pure function of the live topology: an operator that died half-way finds the same place again. It never moves data that
//! a living server holds, never declares a server dead whose pod may still come back, and repeats nothing that is under way.
//! Called once a reconcile; `client` carries the step out.

use super::nodes::{Node, View};
use super::roles::{self, Candidate, Shard};
use super::slots::SlotSet;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most commands in one step, so that a step stays short even in a large cluster; the next reconcile continues.
const MAX_ORDERS: usize = 64;
/// How long an election may take before it is ordered: it normally ends within the node timeout (3 s) plus 2 s, and a replica
/// whose first attempt failed may hold its copy for too old to try again.
const ELECTION_OVERDUE: Duration = Duration::from_secs(15);

/// The cluster that the ChatRoom asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Primaries.
    pub shards: usize,
    /// Replicas of each primary.
    pub replicas: usize,
}

impl Shape {
    /// Servers in all.
    pub fn servers(self) -> usize {
        self.shards * (1 + self.replicas)
    }
}

/// A Redis pod, and what its server says when it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Pod name.
    pub pod: String,
    /// Pod address.
    pub ip: String,
    /// Kubernetes node; empty while unknown.
    pub host: String,
    /// `None` when the server did not answer.
    pub view: Option<View>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The cluster is what the ChatRoom asks for.
    Settled,
    /// Something must happen by itself first.
    Wait(String),
    /// Commands to send, in order, and the reason.
    Run {
        /// One clause in words.
        why: String,
        /// At most 64.
        orders: Vec<Order>,
    },
}

/// One command for one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Pod of the server.
    pub pod: String,
    /// Its address.
    pub ip: String,
    /// What it is told.
    pub command: Command,
}

/// A cluster command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Get to know the server at this address.
    Meet(String),
    /// Serve these slots, which nobody serves.
    AddSlots(SlotSet),
    /// Copy this primary.
    Replicate(String),
    /// Drop a server that is gone for good.
    Forget(String),
    /// Become primary in agreement with the old one, losing nothing.
    HandOver,
    /// Become primary by vote, whatever the state of the link to the old one.
    Force,
    /// Become primary without a vote, because no majority is left to vote.
    Takeover,
}

impl Command {
    /// The words on the wire.
    pub fn words(&self) -> Vec<String> {
        let words = |tail: &[&str]| std::iter::once(&"CLUSTER").chain(tail).map(|word| (*word).to_owned()).collect();
        match self {
            Self::Meet(ip) => words(&["MEET", ip, "6379"]),
            Self::Replicate(id) => words(&["REPLICATE", id]),
            Self::Forget(id) => words(&["FORGET", id]),
            Self::HandOver => words(&["FAILOVER"]),
            Self::Force => words(&["FAILOVER", "FORCE"]),
            Self::Takeover => words(&["FAILOVER", "TAKEOVER"]),
            Self::AddSlots(slots) => {
                let mut all: Vec<String> = words(&["ADDSLOTSRANGE"]);
                all.extend(slots.ranges().into_iter().flat_map(|(first, last)| [first.to_string(), last.to_string()]));
                all
            }
        }
    }
}

/// Decides the next step. `waited` says how long the last answer has been the same [`Step::Wait`].
pub fn next_step(shape: Shape, members: &[Member], waited: Duration) -> Step {
    let topology = Topology::of(members);
    let Some(seed) = topology.seed() else { return Step::Wait("no Redis server answers".into()) };
    topology
        .meet(seed)
        .or_else(|| topology.absent(shape, members))
        .or_else(|| topology.conflict())
        .or_else(|| topology.elect(waited))
        .or_else(|| topology.bury())
        .or_else(|| topology.cover(shape))
        .or_else(|| topology.reshape(shape))
        .or_else(|| topology.replicate(shape))
        .or_else(|| topology.forget())
        .or_else(|| topology.sync())
        .unwrap_or(Step::Settled)
}

/// A member that answered.
#[derive(Clone, Copy)]
struct Live<'a> {
    pod: &'a str,
    ip: &'a str,
    host: &'a str,
    view: &'a View,
    me: &'a Node,
}

impl<'a> Live<'a> {
    fn knows(&self, other: &Live<'_>) -> bool {
        self.view.node(&other.me.id).is_some_and(|node| node.ip == other.ip)
    }

    fn is_meeting(&self, other: &Live<'_>) -> bool {
        self.view.nodes.iter().any(|node| node.handshake && node.ip == other.ip)
    }

    fn owns_slots(&self) -> bool {
        self.me.primary.is_none() && !self.me.slots.is_empty()
    }

    fn candidate(&self) -> Candidate<'a> {
        Candidate { id: &self.me.id, host: self.host }
    }

    fn order(&self, command: Command) -> Order {
        Order { pod: self.pod.to_owned(), ip: self.ip.to_owned(), command }
    }
}

struct Topology<'a> {
    live: Vec<Live<'a>>,
    /// Servers that somebody remembers and that no pod is: id, and the slots that only they are said to serve.
    strangers: BTreeMap<&'a str, SlotSet>,
    /// Slots that living servers serve.
    served: SlotSet,
}

impl<'a> Topology<'a> {
    fn of(members: &'a [Member]) -> Self {
        let live: Vec<Live<'a>> = members
            .iter()
            .filter_map(|member| {
                let view = member.view.as_ref()?;
                Some(Live { pod: &member.pod, ip: &member.ip, host: &member.host, view, me: view.myself() })
            })
            .collect();
        let mut served = SlotSet::empty();
        live.iter().filter(|one| one.owns_slots()).for_each(|one| served.add(&one.me.slots));
        let ours: BTreeSet<&str> = live.iter().map(|one| one.me.id.as_str()).collect();
        let mut strangers: BTreeMap<&str, SlotSet> = BTreeMap::new();
        for node in live.iter().flat_map(|one| &one.view.nodes) {
            if !node.handshake && !ours.contains(node.id.as_str()) {
                let slots = strangers.entry(&node.id).or_insert_with(SlotSet::empty);
                node.slots
                    .iter()
                    .filter(|slot| !served.contains(*slot))
                    .for_each(|slot| slots.insert_range(slot, slot));
            }
        }
        Self { live, strangers, served }
    }

    /// The server that others are introduced to: one that serves slots and knows most of the others.
    fn seed(&self) -> Option<&Live<'a>> {
        let known = |one: &Live<'_>| self.live.iter().filter(|other| one.knows(other)).count();
        self.live.iter().rev().max_by_key(|one| (one.owns_slots(), known(one)))
    }

    fn primaries(&self) -> impl Iterator<Item = &Live<'a>> {
        self.live.iter().filter(|one| one.owns_slots())
    }

    fn replicas_of<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s Live<'a>> {
        self.live.iter().filter(move |one| one.me.primary.as_deref() == Some(id))
    }

    /// Introduces servers that do not know each other at their present addresses: everyone to the seed first.
    fn meet(&self, seed: &Live<'a>) -> Option<Step> {
        let mutual = |one: &Live<'_>, other: &Live<'_>| one.knows(other) && other.knows(one);
        let apart_from = |one: &Live<'a>| {
            let others = self.live.iter().filter(|other| other.me.id != one.me.id && !mutual(one, other));
            others.map(|other| (*one, *other)).collect::<Vec<_>>()
        };
        let mut apart = apart_from(seed);
        if apart.is_empty() {
            apart = self.live.iter().flat_map(apart_from).collect();
        }
        let (first, _) = apart.first()?;
        let reason = format!("introduce {} of {} servers to {}", apart.len(), self.live.len(), first.pod);
        let idle = apart.iter().filter(|(one, other)| !one.is_meeting(other) && !other.is_meeting(one));
        run_or_wait(
            reason,
            "servers get to know each other",
            idle.map(|(one, other)| one.order(Command::Meet(other.ip.into()))),
        )
    }

    fn absent(&self, shape: Shape, members: &[Member]) -> Option<Step> {
        let silent: Vec<&str> = members.iter().filter(|m| m.view.is_none()).map(|m| m.pod.as_str()).collect();
        if !silent.is_empty() {
            return Some(Step::Wait(format!("no answer from {}", silent.join(", "))));
        }
        let (have, want) = (members.len(), shape.servers());
        (have < want).then(|| Step::Wait(format!("{have} of {want} servers exist")))
    }

    fn conflict(&self) -> Option<Step> {
        let claims: u32 = self.primaries().map(|one| u32::from(one.me.slots.len())).sum();
        (claims > u32::from(self.served.len())).then(|| Step::Wait("two servers claim the same slots".into()))
    }

    /// Servers that are gone for good while slots are still counted as theirs.
    fn fallen(&self) -> impl Iterator<Item = &'a str> {
        self.strangers.iter().filter(|(_, slots)| !slots.is_empty()).map(|(id, _)| *id)
    }

    /// A fallen primary with living replicas gets a successor: by their own vote, else by order.
    fn elect(&self, waited: Duration) -> Option<Step> {
        let heir = |id: &'a str| self.replicas_of(id).max_by_key(|one| one.view.replication.offset).copied();
        let heirs: Vec<Live<'a>> = self.fallen().filter_map(heir).collect();
        let first = heirs.first()?;
        let (alive, all) = (self.primaries().count(), self.primaries().count() + self.fallen().count());
        let command = match alive * 2 > all {
            true if waited < ELECTION_OVERDUE => {
                return Some(Step::Wait(format!("a replica such as {} is elected primary", first.pod)));
            }
            true => Command::Force,
            false => Command::Takeover,
        };
        let why = format!("{alive} of {all} primaries are left: promote {}", first.pod);
        let orders = heirs.iter().take(MAX_ORDERS).map(|one| one.order(command.clone())).collect();
        Some(Step::Run { why, orders })
    }

    /// A fallen primary that nobody copied took its data along; its slots become free.
    fn bury(&self) -> Option<Step> {
        let id = self.fallen().next()?;
        self.forget_everywhere(id, "lost with its only copy")
    }

    fn forget_everywhere(&self, id: &str, how: &str) -> Option<Step> {
        let knowing = self.live.iter().filter(|one| one.view.node(id).is_some());
        let orders = knowing.map(|one| one.order(Command::Forget(id.to_owned())));
        // Whoever forgot hears of it no more for a minute, in which the others are told.
        let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
        (!orders.is_empty()).then(|| Step::Run { why: format!("forget server {}, {how}", short(id)), orders })
    }

    /// Members with neither slots nor a primary that serves some.
    fn spares(&self) -> Vec<&Live<'a>> {
        let placed = |one: &Live<'_>| match &one.me.primary {
            Some(id) => self.primaries().any(|primary| primary.me.id == *id),
            None => one.owns_slots(),
        };
        self.live.iter().filter(|one| !placed(one)).collect()
    }

    /// Gives slots that nobody serves to new primaries, or to the smallest one when there are enough.
    fn cover(&self, shape: Shape) -> Option<Step> {
        let free = self.served.complement();
        if free.is_empty() {
            return None;
        }
        let existing: Vec<Candidate<'_>> = self.primaries().map(Live::candidate).collect();
        let spares: Vec<Candidate<'_>> =
            self.spares().iter().filter(|one| one.me.primary.is_none()).map(|one| one.candidate()).collect();
        let wanted = shape.shards.saturating_sub(existing.len());
        let mut takers: Vec<&str> =
            roles::choose_primaries(&existing, &spares, wanted).iter().map(|chosen| chosen.id).collect();
        if takers.is_empty() {
            takers.extend(self.primaries().min_by_key(|one| one.me.slots.len()).map(|one| one.me.id.as_str()));
        }
        if takers.is_empty() {
            return Some(Step::Wait("no server can take slots".into()));
        }
        let parts = free.split(takers.len());
        let orders = takers.iter().zip(parts).filter_map(|(id, part)| {
            let taker = self.live.iter().find(|one| one.me.id == *id)?;
            Some(taker.order(Command::AddSlots(part)))
        });
        Some(Step::Run {
            why: format!("give {} slots to {} servers", free.len(), takers.len()),
            orders: orders.collect(),
        })
    }

    /// Another number of shards than the cluster has: said, not hidden, because moving slots is not this planner's step yet.
    fn reshape(&self, shape: Shape) -> Option<Step> {
        let have = self.primaries().count();
        (have != shape.shards)
            .then(|| Step::Wait(format!("{have} shards serve all slots, {} are wanted", shape.shards)))
    }

    /// Gives every server without a place a primary, and moves a surplus replica to a primary that has too few.
    fn replicate(&self, shape: Shape) -> Option<Step> {
        let shards: Vec<Shard<'_>> = self
            .primaries()
            .map(|one| Shard { primary: one.candidate(), replicas: self.replicas_of(&one.me.id).count() })
            .collect();
        let mut free: Vec<Candidate<'_>> = self.spares().iter().map(|one| one.candidate()).collect();
        for shard in shards.iter().filter(|shard| shard.replicas > shape.replicas) {
            let surplus = shard.replicas - shape.replicas;
            free.extend(self.replicas_of(shard.primary.id).take(surplus).map(Live::candidate));
        }
        let pairs = roles::assign_replicas(&shards, &free, shape.replicas);
        let orders = pairs.iter().filter_map(|(replica, primary)| {
            let server = self.live.iter().find(|one| one.me.id == replica.id)?;
            Some(server.order(Command::Replicate(primary.id.to_owned())))
        });
        let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
        (!orders.is_empty())
            .then(|| Step::Run { why: format!("give {} servers a primary to copy", orders.len()), orders })
    }

    fn forget(&self) -> Option<Step> {
        let id = self.strangers.keys().next()?;
        self.forget_everywhere(id, "which no pod is any more")
    }

    /// Everything is arranged; what remains must happen by itself.
    fn sync(&self) -> Option<Step> {
        let copying: Vec<&str> =
            self.live.iter().filter(|one| !one.view.replication.in_sync).map(|one| one.pod).collect();
        if !copying.is_empty() {
            return Some(Step::Wait(format!("{} copies its primary", copying.join(", "))));
        }
        let complete = |one: &Live<'_>| {
            let mut seen = SlotSet::empty();
            one.view.nodes.iter().for_each(|node| seen.add(&node.slots));
            seen.complement().is_empty() && !one.view.nodes.iter().any(|node| node.failed)
        };
        let behind = self.live.iter().find(|one| !complete(one))?;
        Some(Step::Wait(format!("{} has not heard of every slot yet", behind.pod)))
    }
}

fn run_or_wait(why: String, wait: &str, orders: impl Iterator<Item = Order>) -> Option<Step> {
    let orders: Vec<Order> = orders.take(MAX_ORDERS).collect();
    Some(if orders.is_empty() { Step::Wait(wait.to_owned()) } else { Step::Run { why, orders } })
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
