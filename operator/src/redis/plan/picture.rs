//! The cluster as all answers together show it: who lives, who is only remembered, and which slots are served.

use std::collections::{BTreeMap, BTreeSet};

use parlor_redis::{Node, NodeId, SlotSet};

use super::{
    Member, Step,
    command::{Command, Order},
};
use crate::redis::{
    roles::{Candidate, Location},
    view::View,
};

/// A member that answered.
#[derive(Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(crate) pod: &'a str,
    pub(crate) ip: &'a str,
    pub(crate) place: &'a Location,
    /// Its pod is about to go, or goes as soon as it can.
    pub(crate) leaving: bool,
    pub(crate) surplus: bool,
    pub(crate) view: &'a View,
    pub(crate) me: &'a Node,
}

impl<'a> Live<'a> {
    pub(crate) fn knows(&self, other: &Live<'_>) -> bool {
        self.view.node(&other.me.id).is_some_and(|node| *node.ip == *other.ip)
    }

    pub(crate) fn is_meeting(&self, other: &Live<'_>) -> bool {
        self.view.topology.nodes.iter().any(|node| node.flags.handshake && *node.ip == *other.ip)
    }

    pub(crate) fn in_sync(&self) -> bool {
        self.view.info.replication.in_sync
    }

    pub(crate) fn candidate(&self) -> Candidate<'a> {
        Candidate { id: &self.me.id, place: self.place, leaving: self.leaving }
    }

    pub(crate) fn order(&self, command: Command) -> Order {
        Order { pod: self.pod.to_owned(), ip: self.ip.to_owned(), command }
    }
}

/// A server that somebody remembers and that did not answer.
pub(super) struct Stranger {
    /// Slots that only it is said to serve.
    pub(crate) slots: SlotSet,
    /// The primary that it is said to copy.
    pub(crate) replica_of: Option<NodeId>,
    /// Its pod may come back with its data: a wanted pod that is absent announces its name.
    pub(crate) may_return: bool,
    /// Everyone who remembers it has lost it.
    pub(crate) is_missed: bool,
}

/// All answers together.
pub(crate) struct Picture<'a> {
    pub(crate) live: Vec<Live<'a>>,
    /// Members that did not answer.
    pub(super) absent: Vec<&'a Member>,
    /// Servers that somebody remembers and that did not answer.
    pub(super) strangers: BTreeMap<&'a NodeId, Stranger>,
    /// Slots that living servers serve.
    pub(super) served: SlotSet,
}

impl<'a> Picture<'a> {
    pub(crate) fn of(members: &'a [Member]) -> Self {
        let live: Vec<Live<'a>> = members
            .iter()
            .filter_map(|member| {
                let Member { pod, name: _, ip, place, leaving, surplus, view } = member;
                let view = view.as_ref()?;
                let (leaving, surplus) = (*leaving || *surplus, *surplus);
                Some(Live { pod, ip, place, leaving, surplus, view, me: view.myself() })
            })
            .collect();
        let mut served = SlotSet::empty();
        live.iter().filter(|one| one.view.serves()).for_each(|one| served.add(&one.me.slots));
        let absent: Vec<&Member> = members.iter().filter(|member| member.view.is_none()).collect();
        let strangers = strangers(&live, &absent, &served);
        Self { live, absent, strangers, served }
    }

    /// The server that others are introduced to: one that serves slots and knows most of the others.
    pub(super) fn seed(&self) -> Option<&Live<'a>> {
        let known = |one: &Live<'_>| self.live.iter().filter(|other| one.knows(other)).count();
        self.live.iter().rev().max_by_key(|one| (one.view.serves(), known(one)))
    }

    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Live<'a>> {
        self.live.iter().filter(|one| one.view.serves())
    }

    pub(crate) fn primary(&self, id: &NodeId) -> Option<&Live<'a>> {
        self.primaries().find(|one| one.me.id == *id)
    }

    pub(crate) fn server(&self, id: &NodeId) -> Option<&Live<'a>> {
        self.live.iter().find(|one| one.me.id == *id)
    }

    pub(crate) fn replicas_of<'s>(&'s self, id: &'s NodeId) -> impl Iterator<Item = &'s Live<'a>> {
        self.live.iter().filter(move |one| one.me.replica_of.as_ref() == Some(id))
    }

    /// The replica that a primary can hand over to without losing anything: the furthest of those in sync that stay.
    pub(crate) fn heir(&self, primary: &Live<'a>) -> Option<&Live<'a>> {
        let fit = self.replicas_of(&primary.me.id).filter(|one| one.in_sync() && !one.leaving).map(|one| one.pod);
        let fit: BTreeSet<&str> = fit.collect();
        let heirs = self.live.iter().filter(|one| fit.contains(one.pod));
        heirs.max_by_key(|one| one.view.info.replication.offset)
    }

    /// Servers with slots that nobody living serves.
    pub(super) fn fallen(&self) -> impl Iterator<Item = (&'a NodeId, &Stranger)> {
        self.strangers.iter().filter(|(_, stranger)| !stranger.slots.is_empty()).map(|(id, stranger)| (*id, stranger))
    }

    /// Two servers that claim the same slots settle it among themselves.
    pub(super) fn conflict(&self) -> Option<Step> {
        let claims: u32 = self.primaries().map(|one| u32::from(one.me.slots.len())).sum();
        (claims > u32::from(self.served.len())).then(|| Step::Wait("two servers claim the same slots".into()))
    }

    /// Names whom the rest has to wait for.
    pub(super) fn absence(&self) -> Option<Step> {
        let (without_pod, silent): (Vec<&Member>, Vec<&Member>) =
            self.absent.iter().copied().partition(|member| member.ip.is_empty());
        let names = |members: &[&Member]| members.iter().map(|m| m.pod.as_str()).collect::<Vec<_>>().join(", ");
        let parts = [
            (!silent.is_empty()).then(|| format!("no answer from {}", names(&silent))),
            (!without_pod.is_empty()).then(|| format!("{} not started", names(&without_pod))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| Step::Wait(parts.join("; ")))
    }
}

fn strangers<'a>(live: &[Live<'a>], absent: &[&Member], served: &SlotSet) -> BTreeMap<&'a NodeId, Stranger> {
    let ours: BTreeSet<&NodeId> = live.iter().map(|one| &one.me.id).collect();
    let mut strangers: BTreeMap<&NodeId, Stranger> = BTreeMap::new();
    for node in live.iter().flat_map(|one| one.view.topology.known()).filter(|node| !ours.contains(&node.id)) {
        let stranger = strangers.entry(&node.id).or_insert_with(|| Stranger {
            slots: SlotSet::empty(),
            replica_of: node.replica_of.clone(),
            may_return: false,
            is_missed: true,
        });
        stranger.slots.add(&node.slots);
        stranger.slots.remove(served);
        stranger.may_return |= may_return(node, absent);
        stranger.is_missed &= node.flags.failed || node.flags.suspected || !node.connected;
    }
    strangers
}

/// A server that announces no name (it was met a moment ago) may be any of those that are absent.
fn may_return(node: &Node, absent: &[&Member]) -> bool {
    match &node.hostname {
        Some(name) => absent.iter().any(|member| *member.name == **name),
        None => !absent.is_empty(),
    }
}
