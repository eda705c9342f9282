//! Restarts servers that run an older image, one at a time: replicas first, primaries after they have handed over.
//!
//! A pure choice, asked only while the cluster is settled, so that never more than one copy of a shard is away.

use super::plan::{Command, Member, Order};
use std::collections::BTreeSet;

/// The next thing to do for an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Delete this pod; it comes back with the new template.
    Restart(String),
    /// Let this up-to-date replica take over from its outdated primary.
    HandOver(Order),
}

/// The next server to bring up to date among the `outdated` pods, or `None` when there is none.
pub fn next(members: &[Member], outdated: &BTreeSet<String>) -> Option<Upgrade> {
    let old = || members.iter().filter(|member| outdated.contains(&member.pod));
    let me = |member: &'_ Member| member.view.as_ref().map(|view| view.myself().clone());
    if let Some(replica) = old().find(|member| me(member).is_some_and(|me| me.primary.is_some())) {
        return Some(Upgrade::Restart(replica.pod.clone()));
    }
    let primary = old().next()?;
    let id = me(primary)?.id;
    let heir = members.iter().find(|member| me(member).is_some_and(|me| me.primary.as_ref() == Some(&id)));
    Some(match heir {
        Some(heir) => {
            Upgrade::HandOver(Order { pod: heir.pod.clone(), ip: heir.ip.clone(), command: Command::HandOver })
        }
        None => Upgrade::Restart(primary.pod.clone()),
    })
}
