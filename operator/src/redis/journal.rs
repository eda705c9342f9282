//! What the planner remembers between two passes: since when a server has been missing, and what was ordered when.
//!
//! In memory alone. An operator that restarts is patient again, and may repeat one order; it forgets nothing that matters,
//! because every decision is made from the live topology. The time is passed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use parlor_redis::NodeId;

use super::{
    plan::{Command, Member, Order},
    view::View,
};

/// Orders older than this belong to a former incident.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Kinds of orders that take effect by and by, and which must not be repeated meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A replica becomes primary in agreement with its primary.
    HandOver,
    /// A replica becomes primary by vote.
    Force,
    /// A replica becomes primary without a vote.
    Takeover,
    /// A server copies a primary.
    Replicate,
    /// A server reads its certificate again, which the kubelet may not have written yet.
    Reload,
}

/// The memory of one managed Redis Cluster. Bounded by its servers and those that their tables name.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The time of the present pass.
    now: Option<Instant>,
    missing: BTreeMap<NodeId, Instant>,
    orders: BTreeMap<(String, Kind), Instant>,
    /// Whom each living server copies, or copied last.
    copied: BTreeMap<NodeId, NodeId>,
}

impl Journal {
    /// Begins a pass: notes what it has seen.
    pub fn note(&mut self, now: Instant, members: &[Member]) {
        let views = || members.iter().filter_map(|member| member.view.as_ref());
        let live: BTreeSet<&NodeId> = views().map(|view| &view.myself().id).collect();
        let named: BTreeSet<&NodeId> = views()
            .flat_map(|view| view.topology.known())
            .map(|node| &node.id)
            .filter(|id| !live.contains(id))
            .collect();
        self.now = Some(now);
        self.missing.retain(|id, _| named.contains(id));
        for id in named {
            self.missing.entry(id.clone()).or_insert(now);
        }
        self.orders.retain(|_, ordered| now.duration_since(*ordered) < FORGOTTEN_AFTER);
        let copies = views().map(View::myself).filter_map(|me| Some((me.id.clone(), me.replica_of.clone()?)));
        self.copied.extend(copies);
        self.copied.retain(|id, _| live.contains(id));
    }

    /// Whom this server copies, or copied before it became a primary.
    pub fn copied(&self, id: &NodeId) -> Option<&NodeId> {
        self.copied.get(id)
    }

    /// Notes an order that was given.
    pub fn ordered(&mut self, order: &Order) {
        let Some(now) = self.now else { return };
        let kind = match order.command {
            Command::HandOver => Kind::HandOver,
            Command::Force => Kind::Force,
            Command::Takeover => Kind::Takeover,
            Command::Replicate(_) => Kind::Replicate,
            Command::ReloadCertificate => Kind::Reload,
            _ => return,
        };
        self.orders.insert((order.pod.clone(), kind), now);
    }

    /// How long a server that others name has not answered.
    pub fn missing_for(&self, id: &NodeId) -> Duration {
        self.missing.get(id).map_or(Duration::ZERO, |since| self.elapsed(*since))
    }

    /// How long ago the pod was last given an order of that kind, within the last minute.
    pub fn since_order(&self, pod: &str, kind: Kind) -> Option<Duration> {
        self.orders.get(&(pod.to_owned(), kind)).map(|ordered| self.elapsed(*ordered))
    }

    /// Whether the pod was given an order of that kind less than `pause` ago.
    pub fn is_under_way(&self, pod: &str, kind: Kind, pause: Duration) -> bool {
        self.since_order(pod, kind).is_some_and(|ago| ago < pause)
    }

    fn elapsed(&self, since: Instant) -> Duration {
        self.now.map_or(Duration::ZERO, |now| now.saturating_duration_since(since))
    }
}
