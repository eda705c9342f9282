//! Everything is arranged: copies must get in sync, and news must reach everyone.

use std::time::Duration;

use parlor_redis::SlotSet;

use super::{
    Step,
    command::Command,
    picture::{Live, Picture},
    run_if_any,
};
use crate::redis::journal::{Journal, Kind};

/// How long a replica's link may be down while its primary answers. It connects again every second.
const LINK_OVERDUE: Duration = Duration::from_secs(15);

impl<'a> Picture<'a> {
    /// Tells a replica again whom it copies, if it tries to reach its primary where that is no longer, or has not reached it for
    /// long. Redis 7.0 learns a primary's new address by gossip without pointing its replication there.
    pub(super) fn repoint(&self, journal: &Journal) -> Option<Step> {
        let lost: Vec<(&Live<'a>, &Live<'a>)> = self
            .live
            .iter()
            .filter(|one| !journal.is_under_way(one.pod, Kind::Replicate, LINK_OVERDUE))
            .filter_map(|one| Some((one, self.primary(one.me.replica_of.as_ref()?)?)))
            .filter(|(one, primary)| lost_its_primary(one, primary))
            .collect();
        let (first, _) = lost.first()?;
        let why = format!("{} copies its primary at its present address", first.pod);
        run_if_any(|_| why, lost.iter().map(|(one, primary)| one.order(Command::Replicate(primary.me.id.clone()))))
    }

    /// What remains must happen by itself.
    pub(super) fn sync(&self) -> Option<Step> {
        let copying: Vec<&str> = self.live.iter().filter(|one| !one.in_sync()).map(|one| one.pod).collect();
        if !copying.is_empty() {
            return Some(Step::Wait(format!("{} copies its primary", copying.join(", "))));
        }
        let complete = |one: &Live<'_>| {
            let mut seen = SlotSet::empty();
            one.view.topology.nodes.iter().for_each(|node| seen.add(&node.slots));
            seen.complement().is_empty() && !one.view.topology.nodes.iter().any(|node| node.flags.failed)
        };
        let behind = self.live.iter().find(|one| !complete(one))?;
        Some(Step::Wait(format!("{} has not heard of every slot yet", behind.pod)))
    }
}

fn lost_its_primary(replica: &Live<'_>, primary: &Live<'_>) -> bool {
    let replication = &replica.view.info.replication;
    // In the middle of a copy, or waiting for the primary to begin one: beginning again would only lose time.
    let is_served = primary.view.info.replication.replica_ips.iter().any(|ip| ip == replica.ip);
    if replication.in_sync || replication.copying || is_served {
        return false;
    }
    let elsewhere = replication.primary_ip.as_deref().is_some_and(|ip| ip != primary.ip);
    elsewhere || replication.link_down.is_some_and(|down| down > LINK_OVERDUE)
}
