//! Sums up what the servers say into what a condition may claim.
//!
//! Decides nothing about what to do; called by `status`.

use super::plan::{Member, Shape, Step};
use super::slots::{SLOTS, SlotSet};

/// A managed Redis Cluster in a few numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Pods whose server answered.
    pub answering: usize,
    /// Servers wanted.
    pub wanted: usize,
    /// Slots that an answering primary serves, of 16,384.
    pub served: u16,
    /// Shards with at least one replica in sync.
    pub replicated: usize,
    /// Shards that serve slots.
    pub shards: usize,
}

impl Health {
    /// Counts over the answers of one pass.
    pub fn of(shape: Shape, members: &[Member]) -> Self {
        let views = || members.iter().filter_map(|member| member.view.as_ref());
        let primaries: Vec<_> =
            views().map(|view| view.myself()).filter(|me| me.primary.is_none() && !me.slots.is_empty()).collect();
        let mut served = SlotSet::empty();
        primaries.iter().for_each(|me| served.add(&me.slots));
        let copied =
            |id: &str| views().any(|view| view.replication.in_sync && view.myself().primary.as_deref() == Some(id));
        Self {
            answering: views().count(),
            wanted: shape.servers(),
            served: served.len(),
            replicated: primaries.iter().filter(|me| copied(&me.id)).count(),
            shards: primaries.len(),
        }
    }

    /// Reason and message of the condition, and whether it is true.
    pub fn verdict(&self, shape: Shape, step: &Step) -> (bool, &'static str, String) {
        let Self { answering, wanted, served, replicated, shards } = self;
        let facts =
            format!("{answering} of {wanted} servers answer, {replicated} of {shards} shards have a replica in sync");
        let doing = match step {
            Step::Settled => String::new(),
            Step::Wait(what) => format!("; waiting: {what}"),
            Step::Run { why, .. } => format!("; now: {why}"),
        };
        let message = format!("{facts}{doing}");
        match step {
            Step::Settled if shape.replicas == 0 => (true, "Unreplicated", message),
            Step::Settled => (true, "Replicated", message),
            _ if *served == SLOTS => (false, "Degraded", message),
            _ => (false, "Incomplete", format!("{message}; {served} of {SLOTS} slots are served")),
        }
    }
}
