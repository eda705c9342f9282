//! Who takes over: from a primary that fell, and from one that is about to leave.
//!
//! Redis elects by itself where a majority of the primaries is left. Where that fails the operator orders it, remembers
//! when, and orders something stronger only after what it ordered had its time.

use std::time::Duration;

use parlor_redis::NodeId;

use super::{
    MAX_ORDERS, Step,
    command::Command,
    picture::{Live, Picture, Stranger},
    run_if_any,
};
use crate::redis::journal::{Journal, Kind};

/// How long an election may take before it is ordered: it normally ends within the node timeout (3 s) plus 2 s, and a replica
/// whose first attempt failed may hold its copy for too old to try again.
const ELECTION_OVERDUE: Duration = Duration::from_secs(15);
/// How long an ordered election may take: a replica that has just failed to be elected asks again only after four node timeouts.
const VOTE_OVERDUE: Duration = Duration::from_secs(13);
/// How long a majority that is absent is waited for, because its pods may come back with their data. A container restarts in
/// less. What was acknowledged is on the replicas, so taking over after that loses nothing that was promised.
const MAJORITY_OVERDUE: Duration = Duration::from_secs(30);
/// How long Redis tries to hand over (5 s) before it gives up; an order that is repeated earlier begins again.
pub(crate) const HAND_OVER_TIME: Duration = Duration::from_secs(6);

/// What a fallen primary's shard needs.
enum Succession<'p, 'a> {
    /// It happens by itself or has been ordered.
    Under(&'p Live<'a>),
    /// This must be ordered.
    Order(&'p Live<'a>, Command),
}

impl<'a> Picture<'a> {
    /// A fallen primary with living replicas gets a successor: by their own vote, else by order.
    pub(super) fn elect(&self, journal: &Journal) -> Option<Step> {
        let fallen = || self.fallen().filter(|(_, stranger)| stranger.is_missed || !stranger.may_return);
        let (alive, all) = (self.primaries().count(), self.primaries().count() + fallen().count());
        let majority = alive * 2 > all;
        let successions: Vec<Succession<'_, 'a>> =
            fallen().filter_map(|(id, stranger)| self.succession(id, stranger, majority, journal)).collect();
        let ordered = |one: &Succession<'_, 'a>| match one {
            Succession::Order(heir, command) => Some((heir.pod, heir.order(command.clone()))),
            Succession::Under(_) => None,
        };
        let orders: Vec<_> = successions.iter().filter_map(ordered).take(MAX_ORDERS).collect();
        if let Some((pod, order)) = orders.first() {
            let how = if order.command == Command::Force { "by vote" } else { "without a vote" };
            let why = format!("{alive} of {all} primaries are left: promote {pod} {how}");
            return run_if_any(|_| why, orders.into_iter().map(|(_, order)| order));
        }
        successions.first().map(|one| match one {
            Succession::Under(heir) | Succession::Order(heir, _) => {
                Step::Wait(format!("a replica such as {} is elected primary", heir.pod))
            }
        })
    }

    fn succession(
        &self,
        id: &'a NodeId,
        stranger: &Stranger,
        majority: bool,
        journal: &Journal,
    ) -> Option<Succession<'_, 'a>> {
        let furthest = self.live.iter().filter(|one| one.me.replica_of.as_ref() == Some(id));
        let heir = furthest.max_by_key(|one| one.view.info.replication.offset)?;
        let missing = journal.missing_for(id);
        let forced = journal.since_order(heir.pod, Kind::Force);
        let patience = if stranger.may_return { MAJORITY_OVERDUE } else { Duration::ZERO };
        let command = match (majority, forced) {
            (true, None) if missing < ELECTION_OVERDUE => return Some(Succession::Under(heir)),
            (true, None) => Command::Force,
            (true, Some(ago)) if ago < VOTE_OVERDUE => return Some(Succession::Under(heir)),
            (false, _) if missing < patience => return Some(Succession::Under(heir)),
            _ if journal.is_under_way(heir.pod, Kind::Takeover, HAND_OVER_TIME) => {
                return Some(Succession::Under(heir));
            }
            _ => Command::Takeover,
        };
        Some(Succession::Order(heir, command))
    }

    /// A primary whose pod was asked to end, whose node is being drained, or that is one too many, hands over before it goes.
    pub(super) fn evacuate(&self, journal: &Journal) -> Option<Step> {
        let leaving = || self.primaries().filter(|one| one.leaving);
        let pairs: Vec<(&Live<'a>, &Live<'a>)> =
            leaving().filter_map(|primary| Some((primary, self.heir(primary)?))).collect();
        let (primary, heir) = pairs.first()?;
        let idle = pairs.iter().filter(|(_, heir)| !journal.is_under_way(heir.pod, Kind::HandOver, HAND_OVER_TIME));
        let why = format!("{} takes over from {}, which is about to go", heir.pod, primary.pod);
        let wait = Step::Wait(why.clone());
        run_if_any(|_| why, idle.map(|(_, heir)| heir.order(Command::HandOver))).or(Some(wait))
    }
}
