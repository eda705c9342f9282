//! The fleet's promises under random schedules, with ReplicaSets that choose their victims as Kubernetes does.

use std::collections::BTreeMap;

use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);
/// Percent of the gateways that may drain at the same time.
const AT_ONCE: u32 = 25;
/// Connections that a draining gateway loses between two passes.
const DRAINED_A_PASS: u32 = 40;

/// A pod as the model knows it.
#[derive(Clone, Debug)]
struct Model {
    set: &'static str,
    ready: bool,
    told: bool,
    marks: BTreeMap<&'static str, String>,
    connections: u32,
    born: u32,
}

/// What happens besides passes.
#[derive(Clone, Debug)]
enum Event {
    Want(u32),
    Template(&'static str),
    Start,
    Fill(usize, u32),
    Fail(usize),
    Tick(u8),
}

#[derive(Debug)]
struct World {
    now: Timestamp,
    wanted: u32,
    current: &'static str,
    sizes: BTreeMap<&'static str, u32>,
    pods: BTreeMap<String, Model>,
    born: u32,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_second(1_000_000).unwrap();
        Self { now, wanted: 2, current: "a", sizes: BTreeMap::new(), pods: BTreeMap::new(), born: 0 }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Want(wanted) => self.wanted = *wanted,
            Event::Template(set) => self.current = set,
            Event::Start => self.pods.values_mut().for_each(|pod| pod.ready |= !pod.told),
            // A gateway that is being emptied takes nobody in.
            Event::Fill(at, connections) => self.nth(*at, |pod| {
                if pod.ready && !pod.told {
                    pod.connections = *connections;
                }
            }),
            Event::Fail(at) => self.nth(*at, |pod| pod.ready = false),
            Event::Tick(seconds) => self.now += SignedDuration::from_secs(i64::from(*seconds)),
        }
        for pod in self.pods.values_mut().filter(|pod| pod.told) {
            pod.connections = pod.connections.saturating_sub(DRAINED_A_PASS);
        }
    }

    fn nth(&mut self, at: usize, change: impl FnOnce(&mut Model)) {
        let count = self.pods.len().max(1);
        if let Some(pod) = self.pods.values_mut().nth(at % count) {
            change(pod);
        }
    }

    fn observed(&self) -> Observed {
        let sets = self.sizes.iter().map(|(set, size)| {
            json!({
                "metadata": { "name": format!("room-{set}"), "labels": { meta::TEMPLATE: set } },
                "spec": { "replicas": size, "selector": {} },
            })
        });
        let pods = self.pods.iter().map(|(name, pod)| {
            json!({
                "metadata": { "name": name, "labels": { meta::TEMPLATE: pod.set }, "annotations": pod.marks },
                "spec": { "nodeName": "node", "containers": [] },
                "status": {
                    "phase": "Running",
                    "conditions": [{ "type": "Ready", "status": if pod.ready && !pod.told { "True" } else { "False" } }],
                },
            })
        });
        let reports = self.pods.iter().map(|(name, pod)| {
            let mut report = json!({
                "gateway": name, "version": "1", "ready": pod.ready, "connections": pod.connections,
                "connectionsLimit": 1000, "rooms": 1, "bus": "Replicated",
            });
            if pod.told {
                report["drain"] = json!({ "startedAt": 0, "initial": 0, "remaining": pod.connections });
            }
            (name.clone(), report)
        });
        let all = json!({
            "now": self.now.to_string(),
            "replicaSets": sets.collect::<Vec<_>>(),
            "gateways": pods.collect::<Vec<_>>(),
            "reports": reports.collect::<serde_json::Map<String, Value>>(),
        });
        serde_json::from_value(all).unwrap()
    }

    /// One pass of the operator, then one of the ReplicaSets.
    fn pass(&mut self) -> Fleet {
        let current = format!("room-{}", self.current);
        let plan = fleet(
            Wanted { gateways: self.wanted, current: &current, deadline: DEADLINE, at_once: AT_ONCE },
            &self.observed(),
        );
        self.assert_few_drain(&plan);
        for (name, size) in &plan.sizes {
            let set = if name == "room-a" { "a" } else { "b" };
            self.sizes.insert(set, *size);
        }
        for spent in &plan.spent {
            self.sizes.remove(spent.strip_prefix("room-").unwrap());
        }
        for order in &plan.orders {
            self.obey(order);
        }
        self.delete_and_create();
        plan
    }

    fn obey(&mut self, order: &Order) {
        let (Order::Drain { pod, .. }
        | Order::GiveAway { pod, .. }
        | Order::PutBack { pod, .. }
        | Order::Release { pod, .. }
        | Order::End { pod, .. }) = order;
        let pod = self.pods.get_mut(pod).unwrap();
        match order {
            Order::Drain { since, .. } => {
                pod.told = true;
                pod.marks =
                    [(meta::DRAINING_SINCE, since.to_string()), (meta::DELETION_COST, DRAINING_COST.into())].into();
            }
            Order::PutBack { .. } => {
                pod.told = false;
                pod.marks.clear();
            }
            Order::Release { .. } => {
                pod.marks.insert(meta::DELETION_COST, RELEASED_COST.into());
            }
            Order::GiveAway { .. } | Order::End { .. } => panic!("not decided here: {order:?}"),
        }
    }

    /// Kubernetes: not ready before ready, then the lowest cost, then the youngest.
    fn delete_and_create(&mut self) {
        for (set, size) in self.sizes.clone() {
            let mut mine: Vec<(String, Model)> =
                self.pods.iter().filter(|(_, pod)| pod.set == set).map(|(n, p)| (n.clone(), p.clone())).collect();
            mine.sort_by_key(|(_, pod)| {
                let cost: i32 = pod.marks.get(meta::DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0);
                (pod.ready && !pod.told, cost, Reverse(pod.born))
            });
            let surplus = mine.len().saturating_sub(size as usize);
            for (name, pod) in mine.drain(..surplus) {
                self.assert_may_go(&name, &pod);
                self.pods.remove(&name);
            }
            for _ in mine.len()..size as usize {
                self.born += 1;
                let (marks, born) = (BTreeMap::new(), self.born);
                let pod = Model { set, ready: false, told: false, marks, connections: 0, born };
                self.pods.insert(format!("{set}-{born:04}"), pod);
            }
        }
    }

    /// A new drain of a gateway with people begins only while few of all gateways drain.
    fn assert_few_drain(&self, plan: &Fleet) {
        let holds = |name: &String| self.pods[name].connections > 0;
        let begin = plan.orders.iter().filter_map(|order| match order {
            Order::Drain { pod, .. } if !self.pods[pod].told && holds(pod) => Some(pod),
            _ => None,
        });
        let (begin, all) = (begin.count(), self.pods.len());
        let drain = self.pods.iter().filter(|(name, pod)| pod.told && holds(name)).count();
        let most = (all * AT_ONCE as usize).div_ceil(100).max(1);
        let drain = drain - self.overdue().min(drain);
        assert!(self.wanted == 0 || begin == 0 || begin + drain <= most, "{begin} begin while {drain} of {all} drain");
    }

    /// Gateways past their deadline count no more.
    fn overdue(&self) -> usize {
        let is_overdue = |pod: &&Model| {
            let since = pod.marks.get(meta::DRAINING_SINCE).map(|since| since.parse::<Timestamp>().unwrap());
            since.is_some_and(|since| self.now.duration_since(since).unsigned_abs() >= DEADLINE)
        };
        self.pods.values().filter(is_overdue).count()
    }

    /// A pod is removed only when empty or past its drain deadline.
    fn assert_may_go(&self, name: &str, pod: &Model) {
        let since: Option<Timestamp> = pod.marks.get(meta::DRAINING_SINCE).map(|since| since.parse().unwrap());
        let overdue = since.is_some_and(|since| self.now.duration_since(since).unsigned_abs() >= DEADLINE);
        assert!(pod.connections == 0 || overdue, "{name} was deleted with people on it: {pod:?}");
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0u32..7).prop_map(Event::Want),
        prop_oneof![Just("a"), Just("b")].prop_map(Event::Template),
        Just(Event::Start),
        (0usize..8, 0u32..400).prop_map(|(at, connections)| Event::Fill(at, connections)),
        (0usize..8).prop_map(Event::Fail),
        (1u8..30).prop_map(Event::Tick),
    ]
}

proptest! {
    // Every pass goes through the objects' JSON; PROPTEST_CASES asks for more schedules.
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48), ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_removed_with_people_on_it_before_its_deadline(events in proptest::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.pass();
        }
    }

    #[test]
    fn every_schedule_ends_with_as_many_gateways_of_the_present_template_as_wanted(
        events in proptest::collection::vec(event(), 1..40)
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.pass();
        }
        for _ in 0..150 {
            world.happen(&Event::Start);
            world.happen(&Event::Tick(7));
            world.pass();
        }
        prop_assert!(world.pods.values().all(|pod| pod.set == world.current && !pod.told), "{world:#?}");
        prop_assert_eq!(world.pods.len(), world.wanted as usize);
        let before = format!("{world:?}");
        let plan = world.pass();
        prop_assert_eq!(plan.orders, vec![], "a fleet at rest is told nothing");
        prop_assert_eq!(before, format!("{world:?}"));
    }
}
