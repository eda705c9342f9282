//! From helm install and `kubectl apply` to a ChatRoom that is Ready, works, and is left alone.

use std::{collections::BTreeMap, time::Instant};

use parlor_tests::{
    kubectl::{Namespace, condition, kubectl, reason, run},
    programs::repository,
};
use serde_json::Value;

use crate::{MINUTE, READY_WITHIN, SECOND, example, lobby::Lobby, turn::Turn};

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_installed_and_its_operator_runs() {
    let turn = Turn::take().await;
    let releases = run("helm", &["--namespace", "parlor", "list", "-o", "json"], None).unwrap();
    let releases: Value = serde_json::from_str(&releases).unwrap();
    assert_eq!(releases[0]["status"], "deployed", "{releases}");
    let available = ["--namespace", "parlor", "rollout", "status", "deployment/parlor-operator", "--timeout=30s"];
    turn.say(kubectl(&available, None).unwrap().trim());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unchanged_lobby_becomes_ready_and_then_nothing_is_written_for_a_minute() {
    let turn = Turn::take().await;
    let here = Namespace::fresh("still-test").await.unwrap();
    let applied = Instant::now();
    here.apply(&example("lobby.yaml")).unwrap();
    turn.say("applied");
    here.room_ready("lobby", READY_WITHIN).await.unwrap();
    turn.say(format_args!("Ready {:.1} s after it was applied", applied.elapsed().as_secs_f64()));
    // It is Ready with its first gateway, and before every shard has its copy.
    let room = here.room_settled("lobby", READY_WITHIN).await.unwrap();
    turn.say(format_args!("settled {:.1} s after it was applied", applied.elapsed().as_secs_f64()));
    for kind in ["Ready", "GatewaysAvailable", "RedisReady"] {
        assert_eq!(condition(&room, kind), "True", "{kind}: {:#}", room["status"]);
    }
    assert_eq!(reason(&room, "RedisReady"), "Replicated", "{:#}", room["status"]);
    assert_eq!((&room["status"]["replicas"], &room["status"]["readyReplicas"]), (&2.into(), &2.into()));
    let shown = here.kubectl(&["get", "croom"]).unwrap();
    shown.lines().for_each(|line| turn.say(line));
    let shown: Vec<&str> = shown.split_whitespace().collect();
    let columns = ["NAME", "READY", "GATEWAYS", "CONNECTIONS", "REDIS", "ROUTE", "REASON", "AGE"];
    let row = ["lobby", "True", "2", "0", "Replicated", "NotRequested", "Serving"];
    assert_eq!(shown[..15], [&columns[..], &row].concat());
    let before = written_by_kubernetes(&here).await;
    assert!(before.len() > 20, "{:?}", before.keys());
    turn.say(format_args!("{} objects, left alone from now on", before.len()));
    tokio::time::sleep(MINUTE).await;
    let after = writes(&here);
    let changed: Vec<_> = after.iter().filter(|(object, write)| before.get(*object) != Some(*write)).collect();
    assert!(changed.is_empty(), "written though nothing changes: {changed:#?}");
    assert_eq!(before.len(), after.len(), "deleted though nothing changes: {before:?}");
    here.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_test_posts_a_message_and_gets_it_back() {
    let lobby = Lobby::shared().await;
    let chart = repository().join("charts/parlor");
    let namespace = format!("test.namespace={}", lobby.here.name());
    let upgrade = ["upgrade", "parlor", chart.to_str().unwrap(), "--reuse-values", "--set", &namespace, "--wait"];
    run("helm", &[&["--namespace", "parlor"], &upgrade[..]].concat(), None).unwrap();
    lobby.turn.say("helm test");
    let said = run("helm", &["--namespace", "parlor", "test", "parlor", "--timeout=60s"], None).unwrap();
    said.lines().take_while(|line| *line != "NOTES:").for_each(|line| lobby.turn.say(line));
    assert!(said.contains("Succeeded"), "{said}");
}

/// Waits until Kubernetes has written what follows from the last pod's becoming ready, such as EndpointSlices and budgets.
async fn written_by_kubernetes(here: &Namespace) -> BTreeMap<String, String> {
    let mut last = writes(here);
    for _ in 0..6 {
        tokio::time::sleep(5 * SECOND).await;
        let now = writes(here);
        if now == last {
            return now;
        }
        last = now;
    }
    panic!("something is written all the time: {last:#?}");
}

/// What tells each object as it was last written. Everything in the namespace is of the ChatRoom or follows from it;
/// heartbeats (Leases) and the log (Events) are left out.
fn writes(here: &Namespace) -> BTreeMap<String, String> {
    here.everything().unwrap().into_iter().map(|(object, value)| (object, mark(&value))).collect()
}

/// The version, and who wrote it. Of pods it is whether they are ready, and what others than the kubelet wrote: it
/// reports in its own time, even when nothing has changed.
fn mark(object: &Value) -> String {
    let writes = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let is_pod = object["kind"] == "Pod";
    let writes = writes.filter(|write| !is_pod || write["manager"] != "kubelet");
    let writes: Vec<_> = writes.map(|w| format!("{} {} at {}", w["manager"], w["subresource"], w["time"])).collect();
    let state =
        if is_pod { condition(object, "Ready").into() } else { object["metadata"]["resourceVersion"].to_string() };
    format!("{state}, written by {}", writes.join(", "))
}
