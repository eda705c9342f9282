//! Restarts servers that run an older image or older settings, one at a time: replicas first, primaries after they handed over.
//!
//! A pure choice. An orderly restart is asked for only while the cluster is settled, so that never more than one copy of a
//! shard is missing. It never restarts a server that would take the only copy of a shard along.

use std::collections::BTreeSet;

use parlor_redis::NodeId;

use super::{
    journal::{Journal, Kind},
    plan::{Command, HAND_OVER_TIME, Member, Order},
    view::View,
};

/// The next thing to do for an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Delete this pod; it comes back with the new template.
    Restart(String),
    /// Let this up-to-date replica take over from its outdated primary.
    HandOver(Order),
    /// This pod would take the only copy of its shard along: the owner of the ChatRoom must decide.
    Hold(String),
}

/// The pods that are to be restarted, and what would go with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outdated {
    /// Pods of an older revision.
    pub pods: BTreeSet<String>,
    /// Those of them whose server does not run.
    pub stopped: BTreeSet<String>,
    /// Pods whose server once held a copy of a shard.
    pub held_data: BTreeSet<String>,
    /// Whether a pod's data outlives it.
    pub storage: bool,
}

/// The next server to bring up to date in a settled cluster, or `None` when there is none, or one is on its way.
pub fn next(members: &[Member], outdated: &Outdated, journal: &Journal) -> Option<Upgrade> {
    let old = || members.iter().filter(|member| outdated.pods.contains(&member.pod));
    if let Some(replica) = old().find(|member| primary_of(member).is_some()) {
        return Some(Upgrade::Restart(replica.pod.clone()));
    }
    let primary = old().find(|member| member.view.is_some())?;
    let id = &primary.view.as_ref()?.myself().id;
    let heirs: Vec<&Member> = members.iter().filter(|member| primary_of(member) == Some(id)).collect();
    let Some(heir) = heirs.iter().find(|heir| heir.view.as_ref().is_some_and(View::holds_a_copy)) else {
        let lost = !outdated.storage && primary.view.as_ref().is_some_and(View::serves);
        return Some(if lost { Upgrade::Hold(primary.pod.clone()) } else { Upgrade::Restart(primary.pod.clone()) });
    };
    if journal.is_under_way(&heir.pod, Kind::HandOver, HAND_OVER_TIME) {
        return None;
    }
    Some(Upgrade::HandOver(Order { pod: heir.pod.clone(), ip: heir.ip.clone(), command: Command::HandOver }))
}

/// While something is waited for: an outdated server that does not run, and so would be waited for in vain.
pub fn unblock(members: &[Member], outdated: &Outdated) -> Option<Upgrade> {
    let stopped = || outdated.stopped.intersection(&outdated.pods);
    let safe = |pod: &&String| outdated.storage || !outdated.held_data.contains(*pod) || has_another_copy(members, pod);
    let restart = stopped().find(safe).map(|pod| Upgrade::Restart(pod.clone()));
    restart.or_else(|| stopped().next().map(|pod| Upgrade::Hold(pod.clone())))
}

fn primary_of(member: &Member) -> Option<&NodeId> {
    member.view.as_ref()?.myself().replica_of.as_ref()
}

/// Whether a living server holds what this pod's server, which does not answer, holds: found by the name that it announced.
fn has_another_copy(members: &[Member], pod: &str) -> bool {
    let Some(name) = members.iter().find(|member| member.pod == pod).map(|member| member.name.as_str()) else {
        return false;
    };
    let views = || members.iter().filter_map(|member| member.view.as_ref());
    let remembered = views().flat_map(|view| view.topology.known());
    let ids: BTreeSet<&NodeId> = remembered
        .filter(|node| node.hostname.as_deref() == Some(name))
        .map(|node| node.replica_of.as_ref().unwrap_or(&node.id))
        .collect();
    let copies = |view: &View| {
        let me = view.myself();
        view.holds_a_copy() && (ids.contains(&me.id) || me.replica_of.as_ref().is_some_and(|id| ids.contains(id)))
    };
    views().any(copies)
}
