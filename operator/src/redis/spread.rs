//! Puts a settled cluster back to where one host or zone takes as little as possible with it.
//!
//! Failovers leave primaries wherever their replicas were, and pods come back on other hosts. Asked only while the cluster is
//! settled and no server is to be restarted; every step makes the spread strictly better, so it comes to an end.

use std::time::Duration;

use super::{
    journal::{Journal, Kind},
    plan::{Command, HAND_OVER_TIME, Live, Member, Picture, Step},
    roles::{Nearness, Strain},
};

/// How long a server that was given another primary may take for its copy before the next exchange is thought of.
const COPY_TIME: Duration = Duration::from_secs(60);

/// The next step towards an even spread, if there is one.
pub fn next(members: &[Member], journal: &Journal) -> Option<Step> {
    let picture = Picture::of(members);
    picture.hand_back(journal).or_else(|| picture.part(journal))
}

impl<'a> Picture<'a> {
    /// Lets the replica take over that improves the spread of primaries most.
    fn hand_back(&self, journal: &Journal) -> Option<Step> {
        let now = Strain::of(self.primaries().map(Live::candidate).collect::<Vec<_>>().into_iter());
        let after = |primary: &Live<'a>, heir: &Live<'a>| {
            let others = self.primaries().filter(|one| one.pod != primary.pod).map(Live::candidate);
            Strain::of(others.chain([heir.candidate()]).collect::<Vec<_>>().into_iter())
        };
        let exchanges = self.primaries().flat_map(|primary| {
            let replicas = self.replicas_of(&primary.me.id).filter(|one| one.in_sync() && !one.leaving);
            replicas.map(move |heir| (primary, heir))
        });
        let (strain, primary, heir) =
            exchanges.map(|(primary, heir)| (after(primary, heir), primary, heir)).min_by_key(|one| one.0)?;
        if strain >= now {
            return None;
        }
        let why =
            format!("{} takes over from {}, so that primaries spread over nodes and zones", heir.pod, primary.pod);
        if journal.is_under_way(heir.pod, Kind::HandOver, HAND_OVER_TIME) {
            return Some(Step::Wait(why));
        }
        Some(Step::Run { why, orders: vec![heir.order(Command::HandOver)] })
    }

    /// Parts a primary from a replica on its own host, where no other replica is elsewhere: the replica of another shard copies
    /// it too, and the planner then moves the near one, which is surplus, to that shard.
    fn part(&self, journal: &Journal) -> Option<Step> {
        let near = |one: &Live<'_>, other: &Live<'_>| one.place.nearness(other.place) == Nearness::Host;
        let exposed = self.primaries().filter_map(|primary| {
            let mut replicas = self.replicas_of(&primary.me.id).peekable();
            let first = *replicas.peek()?;
            replicas.all(|one| near(one, primary)).then_some((primary, first))
        });
        let fits = |primary: &Live<'a>, replica: &Live<'a>, other: &Live<'a>| {
            let theirs: Vec<&Live<'a>> = self.replicas_of(&other.me.id).collect();
            let comes = theirs.into_iter().find(|one| !near(one, primary) && !one.leaving)?;
            (other.pod != primary.pod && !near(replica, other)).then_some(comes)
        };
        let mut exchanges = exposed.filter_map(|(primary, replica)| {
            let comes = self.primaries().find_map(|other| fits(primary, replica, other))?;
            Some((primary, comes.order(Command::Replicate(primary.me.id.clone()))))
        });
        let (primary, order) = exchanges.next()?;
        if journal.is_under_way(&order.pod, Kind::Replicate, COPY_TIME) {
            return None;
        }
        let why = format!("{} copies {}, whose only copies are on its own host", order.pod, primary.pod);
        Some(Step::Run { why, orders: vec![order] })
    }
}
