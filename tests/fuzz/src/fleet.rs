//! What operator and gateways tell each other at the admin port, and what the operator makes of it.

use std::{collections::BTreeMap, time::Duration};

use parlor_crds::contract::{DrainRequest, GatewayStatus};
use parlor_operator::reconcile::{
    decide::fleet::{Order, Wanted, fleet},
    observed::Observed,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::seed::{lines, split};

/// Most gateways of a script.
const GATEWAYS: usize = 24;

/// The number of gateways wanted, then a gateway a line: `ready`, `starting`, `draining`, `overdue` or `released`, and what it
/// answers at `/status`. A status or a request is read or refused as a whole; nobody goes who has people and time, and no
/// more are emptied than are too many.
pub(crate) fn reports(data: &[u8]) {
    let mut lines = lines(data);
    let wanted = String::from_utf8_lossy(lines.next().unwrap_or_default()).trim().parse::<u32>().unwrap_or(2).min(1000);
    let (mut pods, mut reports) = (BTreeMap::new(), BTreeMap::new());
    for (at, line) in lines.take(GATEWAYS).enumerate() {
        let (state, body) = split(line, b" ");
        same_again::<DrainRequest>(body);
        let Some(state) = State::of(state) else { continue };
        let name = format!("gateway-{at}");
        if let Some(report) = same_again::<GatewayStatus>(body) {
            reports.insert(name.clone(), report);
        }
        pods.insert(name, state);
    }
    let observed = json!({
        "now": "2026-01-01T12:00:00Z",
        "replicaSets": [{
            "metadata": {"name": "lobby-1", "labels": {"parlor.chat/template": "1"}},
            "spec": {"replicas": pods.len(), "selector": {}},
        }],
        "gateways": pods.iter().map(|(name, state)| state.pod(name)).collect::<Vec<_>>(),
        "reports": reports,
    });
    let observed: Observed =
        serde_json::from_value(observed).unwrap_or_else(|error| panic!("{error}: the script's own"));
    let deadline = Duration::from_secs(600);
    let plan = fleet(Wanted { gateways: wanted, current: "lobby-1", deadline, at_once: 25 }, &observed);
    let serving = pods.values().filter(|state| **state == State::Ready).count();
    let (mut told, mut emptied) = (BTreeMap::new(), 0);
    for order in &plan.orders {
        let (Order::Drain { pod, .. }
        | Order::GiveAway { pod, .. }
        | Order::PutBack { pod, .. }
        | Order::Release { pod, .. }
        | Order::End { pod, .. }) = order;
        let (state, report) = (pods[pod], reports.get(pod));
        let again = told.insert(pod, order).is_some();
        // One whose time is up is asked once more with its release, if it has forgotten.
        assert!(!again || (state == State::Overdue && matches!(order, Order::Release { .. })), "{:?}", plan.orders);
        assert!(state != State::Released, "{pod} is released, and told {order:?}");
        match order {
            Order::Drain { .. } => emptied += usize::from(state == State::Ready),
            Order::PutBack { .. } => assert_eq!(state, State::Draining, "{pod} is put back"),
            Order::Release { .. } => {
                let empty = report.is_some_and(|report| report.connections == 0 && report.drain.is_some());
                assert!(state == State::Overdue || (state == State::Draining && empty), "{pod} goes: {report:?}");
            }
            Order::GiveAway { .. } | Order::End { .. } => panic!("not decided here: {order:?}"),
        }
    }
    assert!(serving - emptied >= serving.min(wanted as usize), "{emptied} of {serving} are emptied, {wanted} wanted");
    for (set, size) in &plan.sizes {
        assert!(set == "lobby-1" && *size as usize <= wanted as usize + pods.len(), "{set} gets {size}");
    }
}

/// What is read, written down and read again is the same.
fn same_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(body).ok()?;
    let written = serde_json::to_vec(&read).expect("plain data is JSON");
    assert_eq!(serde_json::from_slice::<T>(&written).ok().as_ref(), Some(&read));
    Some(read)
}

/// How a pod is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Starting,
    /// For a minute.
    Draining,
    /// For longer than the deadline.
    Overdue,
    /// The same, and marked as the one that goes.
    Released,
}

impl State {
    fn of(word: &[u8]) -> Option<Self> {
        match word {
            b"ready" => Some(Self::Ready),
            b"starting" => Some(Self::Starting),
            b"draining" => Some(Self::Draining),
            b"overdue" => Some(Self::Overdue),
            b"released" => Some(Self::Released),
            _ => None,
        }
    }

    fn pod(self, name: &str) -> Value {
        let annotations = match self {
            Self::Ready | Self::Starting => json!({}),
            Self::Draining => json!({"parlor.chat/draining-since": "2026-01-01T11:59:00Z"}),
            Self::Overdue => json!({"parlor.chat/draining-since": "2026-01-01T11:00:00Z"}),
            Self::Released => json!({
                "parlor.chat/draining-since": "2026-01-01T11:00:00Z",
                "controller.kubernetes.io/pod-deletion-cost": "-2000",
            }),
        };
        let ready = if self == Self::Ready { "True" } else { "False" };
        json!({
            "metadata": {"name": name, "labels": {"parlor.chat/template": "1"}, "annotations": annotations},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": ready}]},
        })
    }
}
