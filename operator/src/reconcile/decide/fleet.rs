//! Which ReplicaSet has how many gateways, who is emptied, who is put back, and who may go.
//!
//! A pure function of the pods as they are: it remembers nothing, so that an operator that died half-way continues. A rollout
//! brings up one gateway of the new template, then a surge of them, and empties the old ones as the new become ready. A
//! gateway goes only when it is empty, past its deadline, or holds nobody because it never ran; and a ReplicaSet is shrunk only
//! when exactly the gateways meant can be those that it deletes.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    jiff::Timestamp,
};
use kube::ResourceExt;
use parlor_crds::contract::GatewayStatus;

use crate::{
    deadlines::{ACCEPTS_WHILE_DRAINING, SIGNAL_MISSED_AFTER},
    reconcile::{
        build::meta,
        observed::{self, Observed},
    },
};

/// How long a gateway may be without its Redis while others have it: longer than a failover of a shard takes.
const STRANDED_AFTER: Duration = Duration::from_secs(30);
/// How far a gateway may lie behind Redis while others keep up: longer than a failover of a shard takes, and long enough that
/// people miss what is said.
pub const LAGS_AFTER: Duration = Duration::from_secs(10);
/// `pod-deletion-cost` of a gateway that is being emptied: goes before the serving ones.
pub const DRAINING_COST: &str = "-1000";
/// `pod-deletion-cost` of a gateway that may go: goes before the draining ones.
pub const RELEASED_COST: &str = "-2000";

/// What to do with the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// ReplicaSets and their sizes.
    pub sizes: Vec<(String, u32)>,
    /// Orders to single gateways.
    pub orders: Vec<Order>,
    /// ReplicaSets of former templates that have nothing left.
    pub spent: Vec<String>,
    /// Gateways of former templates that still serve.
    pub outdated: usize,
    /// Gateways being emptied.
    pub draining: usize,
}

/// An order to a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Drain; since when it has the order.
    Drain {
        /// The pod.
        pod: String,
        /// Its address, if it has one.
        ip: Option<String>,
        /// When it was asked first.
        since: Timestamp,
    },
    /// Ask some connections to move, and continue to serve.
    GiveAway {
        /// The pod.
        pod: String,
        /// Its address.
        ip: String,
        /// How many.
        connections: u32,
        /// How many per second.
        rate: u32,
    },
    /// Serve again.
    PutBack {
        /// The pod.
        pod: String,
        /// Its address, if it has one.
        ip: Option<String>,
    },
    /// Be the one that goes.
    Release {
        /// The pod.
        pod: String,
        /// When it was asked to drain.
        since: Timestamp,
    },
    /// End now: the pod was asked to end and does not.
    End {
        /// The pod.
        pod: String,
        /// Its `metadata.uid`.
        uid: String,
    },
}

/// The numbers that the fleet is to have.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Serving gateways.
    pub gateways: u32,
    /// Name of the ReplicaSet of the present template.
    pub current: &'a str,
    /// Longest drain.
    pub deadline: Duration,
    /// Most gateways that may drain at the same time, in percent of all; one always may.
    pub at_once: u32,
}

/// Decides for the whole fleet. While no gateway of the present template is ready, the newest former one that serves makes up
/// the number, so that a template that cannot start does not keep a fleet from growing.
pub fn fleet(wanted: Wanted<'_>, observed: &Observed) -> Fleet {
    let mut stranded = stranded(observed);
    stranded.extend(lagging(wanted.gateways, observed));
    let mut sets: Vec<Set<'_>> = observed.replica_sets.iter().map(|set| Set::of(set, observed, &stranded)).collect();
    // The newest of the former templates keeps its gateways longest.
    sets.sort_by_key(|set| (set.name != wanted.current, Reverse(set.created)));
    let outdated: usize = sets.iter().filter(|s| s.name != wanted.current).map(|s| s.serving().count()).sum();
    let mut plan = Fleet { outdated, ..Fleet::default() };
    let current = sets.iter().position(|set| set.name == wanted.current);
    let ready = current.map_or(0, |at| sets[at].ready());
    let goal = current_goal(wanted, ready, &sets);
    if current.is_none() && goal > 0 {
        plan.sizes.push((wanted.current.to_owned(), goal));
    }
    let mut keep = wanted.gateways.saturating_sub(ready);
    let mut free = free_drains(wanted, &sets, observed);
    for (at, set) in sets.iter().enumerate() {
        if set.name == wanted.current {
            set.plan(goal, wanted, &mut free, observed, &mut plan);
            continue;
        }
        let older: u32 = sets[at + 1..].iter().map(Set::intended).sum();
        let target = if ready == 0 && set.ready() > 0 { keep.saturating_sub(older) } else { set.intended().min(keep) };
        keep -= target;
        set.plan(target, wanted, &mut free, observed, &mut plan);
    }
    plan.orders.extend(observed.gateways.iter().filter_map(|pod| still_terminating(pod, wanted.deadline, observed)));
    plan
}

/// A pod that was asked to end and does not. A signal that came before the process could take signals is lost: the gateway
/// would serve on for the pod's whole grace period of 90 minutes.
fn still_terminating(pod: &Pod, deadline: Duration, observed: &Observed) -> Option<Order> {
    let until = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = Duration::from_secs(u64::try_from(pod.metadata.deletion_grace_period_seconds?).ok()?);
    let told = until - grace;
    let waited = observed.now.duration_since(told).unsigned_abs();
    let name = pod.name_any();
    let report = observed.reports.get(&name);
    let is_empty = report.is_some_and(|report| report.connections == 0);
    let overdue = waited >= deadline + SIGNAL_MISSED_AFTER;
    if overdue || (waited >= SIGNAL_MISSED_AFTER && is_empty) {
        return Some(Order::End { pod: name, uid: pod.metadata.uid.clone()? });
    }
    let missed_its_signal = waited >= SIGNAL_MISSED_AFTER && report.is_some_and(|report| report.drain.is_none());
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    missed_its_signal.then_some(Order::Drain { pod: name, ip, since: told })
}

/// Gateways that alone have been without their Redis for a while. When most are, it is Redis that is unavailable, and draining
/// gateways would help nobody.
fn stranded(observed: &Observed) -> BTreeSet<&str> {
    let unavailable = &observed.unavailable_since;
    if unavailable.len() * 2 > observed.reports.len() || unavailable.len() == observed.reports.len() {
        return BTreeSet::new();
    }
    let long = |since: &Timestamp| observed.now.duration_since(*since).unsigned_abs() >= STRANDED_AFTER;
    unavailable.iter().filter(|(_, since)| long(since)).map(|(pod, _)| pod.as_str()).collect()
}

/// Gateways that alone show messages late, and are to be replaced: those that drain already, else the slowest. One at a time, and
/// only while all others that are wanted are ready, so that a Redis that is slow for everybody empties no fleet.
fn lagging(wanted: u32, observed: &Observed) -> Vec<&str> {
    let behind = |pod: &&Pod| observed.reports.get(&pod.name_any()).map(GatewayStatus::behind).unwrap_or_default();
    let mut late: Vec<&Pod> = observed.living().filter(|pod| behind(pod) >= LAGS_AFTER).collect();
    if late.len() * 2 > observed.reports.len() || late.len() == observed.reports.len() {
        return Vec::new();
    }
    let drains = |pod: &Pod| observed::draining_since(pod).is_some();
    let others = observed.living().filter(|pod| observed::is_ready(pod) && !drains(pod) && behind(pod) < LAGS_AFTER);
    let may_begin = !observed.living().any(drains) && count(others) + 1 >= wanted;
    late.sort_by_key(|pod| (!drains(pod), Reverse(behind(pod)), pod.name_any()));
    late.into_iter()
        .enumerate()
        .filter(|(at, pod)| drains(pod) || (*at == 0 && may_begin))
        .filter_map(|(_, pod)| pod.metadata.name.as_deref())
        .collect()
}

/// How many gateways the present template gets now: all, or, while others still serve, a first one and then a surge.
fn current_goal(wanted: Wanted<'_>, ready: u32, sets: &[Set<'_>]) -> u32 {
    let others_serve = sets.iter().any(|set| set.name != wanted.current && set.ready() > 0);
    if !others_serve {
        return wanted.gateways;
    }
    let surge = wanted.gateways.div_ceil(4).max(1);
    let started = if ready == 0 { 1 } else { ready + surge };
    started.min(wanted.gateways)
}

/// How many more gateways with people may begin to drain. When none is to be left, nobody could reconnect anyway.
fn free_drains(wanted: Wanted<'_>, sets: &[Set<'_>], observed: &Observed) -> u32 {
    if wanted.gateways == 0 {
        return u32::MAX;
    }
    let all = count(sets.iter().flat_map(|set| &set.pods));
    let most = (all * wanted.at_once).div_ceil(100).max(1);
    let unfinished = |one: &&Gateway<'_>| !one.may_go(wanted.deadline, observed.now);
    most.saturating_sub(count(sets.iter().flat_map(Set::draining).filter(unfinished)))
}

struct Set<'a> {
    name: &'a str,
    created: Option<Timestamp>,
    replicas: u32,
    pods: Vec<Gateway<'a>>,
}

#[derive(Clone, Copy)]
struct Gateway<'a> {
    pod: &'a Pod,
    report: Option<&'a GatewayStatus>,
    since: Option<Timestamp>,
    ready: bool,
    /// Alone without its Redis, or named by a person: another takes its place.
    replaced: bool,
}

impl<'a> Set<'a> {
    fn of(set: &'a ReplicaSet, observed: &'a Observed, stranded: &BTreeSet<&str>) -> Self {
        let hash = set.labels().get(meta::TEMPLATE);
        let pods = observed.living().filter(|pod| hash.is_some() && pod.labels().get(meta::TEMPLATE) == hash);
        Self {
            name: set.metadata.name.as_deref().unwrap_or_default(),
            created: set.metadata.creation_timestamp.as_ref().map(|time| time.0),
            replicas: set.spec.replicas.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            pods: pods.map(|pod| Gateway::of(pod, observed, stranded)).collect(),
        }
    }

    fn serving(&self) -> impl Iterator<Item = &Gateway<'a>> {
        self.pods.iter().filter(|gateway| gateway.since.is_none())
    }

    fn draining(&self) -> impl Iterator<Item = &Gateway<'a>> {
        self.pods.iter().filter(|gateway| gateway.since.is_some())
    }

    fn ready(&self) -> u32 {
        count(self.serving().filter(|gateway| gateway.ready))
    }

    /// Serving gateways that the set was sized for, whether they exist already or not.
    fn intended(&self) -> u32 {
        self.replicas.saturating_sub(count(self.draining()))
    }

    fn plan(&self, target: u32, wanted: Wanted<'_>, free: &mut u32, observed: &Observed, plan: &mut Fleet) {
        let serving = count(self.serving().filter(|gateway| !gateway.replaced));
        let mut victims = self.victims(serving.saturating_sub(target), free);
        let kept = target.max(serving - count(victims.iter()));
        victims.extend(self.serving().filter(|gateway| gateway.replaced));
        let returning = self.returning(target.saturating_sub(serving), wanted, observed);
        let is_returning = |one: &&Gateway<'_>| returning.iter().any(|other| other.name() == one.name());
        let leaving: Vec<Gateway<'_>> = self.draining().filter(|one| !is_returning(one)).copied().collect();
        let done = leaving.iter().filter(|one| one.may_go(wanted.deadline, observed.now));
        let (released, ready_to_go): (Vec<&Gateway<'_>>, Vec<_>) = done.partition(|one| one.is_released());
        plan.orders.extend(returning.iter().map(|one| Order::PutBack { pod: one.name(), ip: one.ip() }));
        plan.orders.extend(victims.iter().map(|one| one.drain(observed.now)));
        // A second order would take the mark away by which the ReplicaSet chooses a released one.
        let forgot = leaving.iter().filter(|one| one.forgot_its_drain() && !one.is_released());
        plan.orders.extend(forgot.map(|one| one.drain(observed.now)));
        plan.orders.extend(ready_to_go.iter().map(|one| one.release(observed.now)));
        plan.draining += leaving.len() + victims.len();
        // A ReplicaSet that lacks gateways would keep the released ones rather than make new ones, so it grows first.
        let shrinks = serving >= target && self.deletes_exactly(&released);
        let going = if shrinks { count(released.iter()) } else { 0 };
        let size = kept + count(leaving.iter()) + count(victims.iter()) - going;
        plan.sizes.push((self.name.to_owned(), size));
        if self.name != wanted.current && size == 0 && self.replicas == 0 && self.pods.is_empty() {
            plan.sizes.pop();
            plan.spent.push(self.name.to_owned());
        }
    }

    /// Those that fewest people notice: not ready first, then fewest connections; one that does not report comes last. Of those
    /// with people, no more than may drain.
    fn victims(&self, count: u32, free: &mut u32) -> Vec<Gateway<'a>> {
        let mut serving: Vec<Gateway<'a>> = self.serving().filter(|one| !one.replaced).copied().collect();
        serving.sort_by_key(|one| (one.ready, one.report.map_or(u32::MAX, |report| report.connections), one.name()));
        serving.truncate(count as usize);
        serving.retain(|one| {
            let may_begin = !one.holds_people() || *free > 0;
            *free -= u32::from(may_begin && one.holds_people());
            may_begin
        });
        serving
    }

    /// Draining gateways that serve again rather than that new ones start: the fullest first.
    fn returning(&self, count: u32, wanted: Wanted<'_>, observed: &Observed) -> Vec<Gateway<'a>> {
        let overdue = |one: &Gateway<'_>| one.overdue(wanted.deadline, observed.now);
        let able = |one: &&Gateway<'a>| one.report.is_some() && !one.replaced && !one.is_released() && !overdue(one);
        let mut able: Vec<Gateway<'a>> = self.draining().filter(able).copied().collect();
        able.sort_by_key(|one| (Reverse(one.report.map(|report| report.connections)), one.name()));
        able.truncate(count as usize);
        able
    }

    /// A ReplicaSet deletes pods that are not running first, then those not ready, then by cost. So the released ones are the
    /// ones it takes if all others run, and are ready unless the released ones are not.
    fn deletes_exactly(&self, released: &[&Gateway<'_>]) -> bool {
        let others = || self.pods.iter().filter(|one| !released.iter().any(|other| other.name() == one.name()));
        let all_run = others().all(|one| one.is_scheduled_and_running());
        all_run && (released.iter().all(|one| !one.ready) || others().all(|one| one.ready))
    }
}

impl<'a> Gateway<'a> {
    fn of(pod: &'a Pod, observed: &'a Observed, stranded: &BTreeSet<&str>) -> Self {
        let report = pod.metadata.name.as_ref().and_then(|name| observed.reports.get(name));
        let asked = pod.annotations().get(meta::DRAIN).is_some_and(|value| value == "true");
        let replaced = asked || stranded.contains(pod.name_any().as_str());
        Self { pod, report, since: observed::draining_since(pod), ready: observed::is_ready(pod), replaced }
    }

    fn name(&self) -> String {
        self.pod.name_any()
    }

    fn ip(&self) -> Option<String> {
        self.pod.status.as_ref()?.pod_ip.clone()
    }

    fn drain(&self, now: Timestamp) -> Order {
        Order::Drain { pod: self.name(), ip: self.ip(), since: self.since.unwrap_or(now) }
    }

    fn release(&self, now: Timestamp) -> Order {
        Order::Release { pod: self.name(), since: self.since.unwrap_or(now) }
    }

    /// It reports, and does not know that it should empty itself: the order was lost, or its container was restarted.
    fn forgot_its_drain(&self) -> bool {
        self.report.is_some_and(|report| report.drain.is_none())
    }

    fn is_released(&self) -> bool {
        self.pod.annotations().get(meta::DELETION_COST).is_some_and(|cost| cost == RELEASED_COST)
    }

    fn is_scheduled_and_running(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && self.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
    }

    fn holds_people(&self) -> bool {
        self.report.map_or(self.ready, |report| report.connections > 0)
    }

    fn overdue(&self, deadline: Duration, now: Timestamp) -> bool {
        self.since.is_some_and(|since| now.duration_since(since).unsigned_abs() >= deadline)
    }

    /// Nobody is on it, or its time is up.
    fn may_go(&self, deadline: Duration, now: Timestamp) -> bool {
        let never_ran = !self.ready && self.report.is_none() && !observed::is_running(self.pod);
        never_ran || self.overdue(deadline, now) || self.is_empty(now)
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        let settled =
            self.since.is_some_and(|since| now.duration_since(since).unsigned_abs() >= ACCEPTS_WHILE_DRAINING);
        let empty = |report: &GatewayStatus| report.drain.is_some() && report.connections == 0;
        settled && !self.ready && self.report.is_some_and(empty)
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
