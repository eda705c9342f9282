//! Sums up what the servers say into what a condition may claim.
//!
//! Decides nothing about what to do; called by `conditions`.

use parlor_redis::{NodeId, Slot, SlotSet};

use super::{
    plan::{Member, Shape, Step},
    upgrade::Upgrade,
};

/// From this share of `maxmemory` on a server is as good as full: a burst of a second may fill the rest.
const FULL_PERCENT: u64 = 95;

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
    /// Primaries that are full, and the share of their memory bound that is in use.
    pub full: Vec<(String, u64)>,
    /// Pods whose server cannot write to its disk, and so refuses writes.
    pub disk_failed: Vec<String>,
    /// Pods whose server still reads its data.
    pub loading: Vec<String>,
}

impl Health {
    /// Counts over the answers of one pass.
    pub fn of(shape: Shape, members: &[Member]) -> Self {
        let answers = || members.iter().filter_map(|member| Some((&member.pod, member.view.as_ref()?)));
        let primaries: Vec<_> = answers().filter(|(_, view)| view.serves()).collect();
        let mut served = SlotSet::empty();
        primaries.iter().for_each(|(_, view)| served.add(&view.myself().slots));
        let copied = |id: &NodeId| {
            let copies = |me: &parlor_redis::Node| me.replica_of.as_ref() == Some(id);
            answers().any(|(_, view)| view.info.replication.in_sync && copies(view.myself()))
        };
        let fullness = |pod: &String, percent: u64| (percent >= FULL_PERCENT).then(|| (pod.clone(), percent));
        let pods = |fits: fn(&super::info::Info) -> bool| {
            answers().filter(|(_, view)| fits(&view.info)).map(|(pod, _)| pod.clone()).collect()
        };
        Self {
            answering: answers().count(),
            wanted: shape.servers(),
            served: served.len(),
            replicated: primaries.iter().filter(|(_, view)| copied(&view.myself().id)).count(),
            shards: primaries.len(),
            full: primaries.iter().filter_map(|(pod, view)| fullness(pod, view.info.memory.percent())).collect(),
            disk_failed: pods(|info| info.disk_failed),
            loading: pods(|info| info.loading),
        }
    }

    /// Reason and message of the condition, and whether it is true. `trouble` says why pods do not start or run.
    pub fn verdict(
        &self,
        shape: Shape,
        step: &Step,
        upgrade: Option<&Upgrade>,
        trouble: Option<&str>,
    ) -> (bool, &'static str, String) {
        let message = self.message(shape, step, upgrade, trouble);
        let whole = self.served == Slot::COUNT;
        match step {
            _ if !self.disk_failed.is_empty() => (false, "DiskFailed", message),
            _ if !self.full.is_empty() => (false, "Full", message),
            Step::Settled if shape.replicas == 0 => (true, "Unreplicated", message),
            Step::Settled => (true, "Replicated", message),
            // Nothing is wrong with a cluster that only puts its primaries elsewhere.
            _ if whole && shape.replicas > 0 && self.replicated == self.shards && self.answering >= self.wanted => {
                (true, "Replicated", message)
            }
            _ if whole => (false, "Degraded", message),
            _ => (false, "Incomplete", message),
        }
    }

    fn message(&self, shape: Shape, step: &Step, upgrade: Option<&Upgrade>, trouble: Option<&str>) -> String {
        let Self { answering, wanted, served, replicated, shards, full, disk_failed, loading } = self;
        let copies = match shape.replicas {
            0 => format!("{shards} shards without replicas"),
            _ => format!("{replicated} of {shards} shards have a replica in sync"),
        };
        let doing = match step {
            Step::Settled => None,
            Step::Wait(what) => Some(format!("waiting: {what}")),
            Step::Run { why, .. } => Some(format!("now: {why}")),
        };
        let held = upgrade.and_then(|upgrade| match upgrade {
            Upgrade::Hold(pod) => Some(format!(
                "{pod} is not restarted with the new settings, because the only copy of its shard would be lost with it"
            )),
            Upgrade::Restart(_) | Upgrade::HandOver(_) => None,
        });
        let full =
            full.iter().map(|(pod, percent)| format!("{pod} uses {percent}% of its maxmemory and refuses messages"));
        let disks = disk_failed.iter().map(|pod| format!("{pod} cannot write to its disk and refuses messages"));
        let loading = (!loading.is_empty()).then(|| format!("{} reads its data", loading.join(", ")));
        let slots = (*served < Slot::COUNT).then(|| format!("{served} of {} slots are served", Slot::COUNT));
        let facts = [format!("{answering} of {wanted} servers answer"), copies].join(", ");
        let rest =
            full.chain(disks).chain(doing).chain(trouble.map(str::to_owned)).chain(held).chain(loading).chain(slots);
        std::iter::once(facts).chain(rest).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::{
        info::Memory,
        plan::sketch::{SHAPE, Sketch},
    };

    fn verdict(sketch: &mut Sketch) -> (bool, &'static str, String) {
        let step = sketch.step();
        Health::of(SHAPE, &sketch.members).verdict(SHAPE, &step, None, None)
    }

    #[test]
    fn a_formed_cluster_is_ready() {
        let (ready, reason, message) = verdict(&mut Sketch::formed());
        assert_eq!((ready, reason), (true, "Replicated"));
        assert_eq!(message, "6 of 6 servers answer, 3 of 3 shards have a replica in sync");
    }

    #[test]
    fn a_full_primary_and_a_failed_disk_are_said_though_every_server_answers() {
        let mut sketch = Sketch::formed();
        sketch.view(2).info.memory = Memory { used: 96, max: 100 };
        let (ready, reason, message) = verdict(&mut sketch);
        assert_eq!((ready, reason), (false, "Full"));
        assert!(message.contains("redis-2 uses 96% of its maxmemory"), "{message}");
        sketch.view(0).info.disk_failed = true;
        assert_eq!(verdict(&mut sketch).1, "DiskFailed");
    }

    #[test]
    fn why_a_pod_does_not_start_is_said() {
        let mut sketch = Sketch::formed().silent(5, true);
        let step = sketch.step();
        let health = Health::of(SHAPE, &sketch.members);
        let (ready, reason, message) = health.verdict(SHAPE, &step, None, Some("redis-5: OOMKilled"));
        assert_eq!((ready, reason), (false, "Degraded"));
        assert!(message.ends_with("waiting: no answer from redis-5; redis-5: OOMKilled"), "{message}");
    }

    #[test]
    fn a_server_that_is_not_restarted_for_its_data_is_named() {
        let health = Health::of(SHAPE, &Sketch::formed().members);
        let held = Upgrade::Hold("redis-2".into());
        let (_, _, message) = health.verdict(SHAPE, &Step::Settled, Some(&held), None);
        assert!(message.contains("redis-2 is not restarted"), "{message}");
    }
}
