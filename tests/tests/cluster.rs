//! From `kubectl apply` to people chatting, on a real cluster, driven from outside through the ingress.
//!
//! Each test sets up what it needs; they take turns, because they share the node and the operator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use parlor_tests::audit::{self, Plan, Report};
use parlor_tests::client::Socket;
use parlor_tests::client::native::Native;
use parlor_tests::gateway::{Setup, refusal};
use parlor_tests::kubectl::{
    INGRESS, Namespace, condition, eventually, gateway_status, is_primary, kubectl, name, run,
};
use parlor_tests::mistakes::MISTAKES;
use parlor_tests::programs::repository;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

const HOST: &str = "lobby.test";
const GATEWAYS: &str = "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=lobby";
const REDIS: &str = "app.kubernetes.io/component=redis,app.kubernetes.io/instance=lobby";
/// Everything that a ChatRoom may own.
const KINDS: &str = "replicasets,statefulsets,pods,services,configmaps,secrets,serviceaccounts,poddisruptionbudgets,\
                     networkpolicies,ingresses";
const MINUTE: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::const_new(());

/// The lobby of the examples behind the ingress, in a namespace of its own, ready.
async fn lobby() -> (MutexGuard<'static, ()>, Namespace) {
    let turn = TURN.lock().await;
    let here = Namespace::named("lobby-test");
    if here.get("chatroom", "lobby").is_err() {
        let here = Namespace::fresh("lobby-test").unwrap();
        let example = fs::read_to_string(repository().join("crds/examples/lobby.yaml")).unwrap();
        here.apply(&format!("{example}  route:\n    hosts: [{HOST}]\n    ingressClassName: traefik\n")).unwrap();
    }
    here.kubectl(&["patch", "chatroom", "lobby", "--type=merge", "--patch", r#"{"spec":{"replicas":2}}"#]).unwrap();
    here.room_ready("lobby", 5 * MINUTE).await.unwrap();
    eventually(2 * MINUTE, || Ok((here.ready_pods(GATEWAYS)?.len() == 2).then_some(()))).await.unwrap();
    (turn, here)
}

fn url(host: &str, path: &str) -> String {
    format!("ws://{host}:8000{path}")
}

fn plan(members: u32, rate: f64, seconds: u64) -> Plan {
    Plan {
        native: vec![url(HOST, "/chat")],
        onlyone: vec![url(HOST, "/onlyone")],
        via: Some(INGRESS.parse().unwrap()),
        rooms: vec!["onlyOne".into()],
        members,
        rate,
        duration: Duration::from_secs(seconds),
        patience: MINUTE,
        ..Plan::default()
    }
}

fn assert_clean(report: &Report, here: &Namespace) {
    let pods = || here.kubectl(&["get", "pods", "-o", "wide"]).unwrap();
    assert!(report.verdict.is_clean(), "{report}\n{}", pods());
}

/// resourceVersion of everything that the ChatRoom owns, and of itself.
fn versions(here: &Namespace) -> BTreeMap<String, String> {
    let mut objects = here.list(KINDS, "app.kubernetes.io/instance=lobby").unwrap();
    objects.push(here.get("chatroom", "lobby").unwrap());
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    objects.iter().map(|o| (format!("{}/{}", o["kind"].as_str().unwrap(), name(o)), version(o))).collect()
}

#[tokio::test]
async fn a1_a_lobby_that_is_ready_is_left_alone() {
    let (_turn, here) = lobby().await;
    let object = here.get("chatroom", "lobby").unwrap();
    for kind in ["Ready", "GatewaysAvailable", "RedisReady", "RouteReady"] {
        assert_eq!(condition(&object, kind), "True", "{kind}: {:#}", object["status"]);
    }
    // What follows from becoming Ready may still be written.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = versions(&here);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(before, versions(&here), "something is written though nothing changes");
}

#[tokio::test]
async fn a2_fifty_and_fifty_people_see_two_thousand_messages_once_in_one_order() {
    let (_turn, here) = lobby().await;
    let report = audit::run(&plan(100, 100.0, 20)).await.unwrap();
    assert_clean(&report, &here);
    assert_eq!(report.verdict.acknowledged, 2000, "{report}");
    assert_eq!(report.verdict.shown, 2000 * 100, "{report}");
    assert_eq!(report.reconnects, 0, "{report}");
}

#[tokio::test]
async fn a3_losing_a_gateway_a_redis_primary_and_the_operator_loses_no_message() {
    let (_turn, here) = lobby().await;
    let auditing = tokio::spawn(async { audit::run(&plan(40, 40.0, 90)).await });
    let delete = |here: &Namespace, pod: &Value| {
        println!("deleting {}", name(pod));
        here.kubectl(&["delete", "pod", name(pod), "--wait=false"]).unwrap();
    };
    tokio::time::sleep(Duration::from_secs(10)).await;
    delete(&here, &here.ready_pods(GATEWAYS).unwrap()[0]);
    tokio::time::sleep(Duration::from_secs(25)).await;
    let redis = here.ready_pods(REDIS).unwrap();
    delete(&here, redis.iter().find(|pod| is_primary(pod).unwrap()).unwrap());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let parlor = Namespace::named("parlor");
    let operator = || Ok(parlor.ready_pods("app.kubernetes.io/name=parlor-operator")?.into_iter().next());
    delete(&parlor, &eventually(MINUTE, operator).await.unwrap());
    let report = auditing.await.unwrap().unwrap();
    assert_clean(&report, &here);
    assert!(report.reconnects > 0, "{report}");
    here.room_ready("lobby", 3 * MINUTE).await.unwrap();
}

#[tokio::test]
async fn a4_scale_adds_a_gateway_that_new_people_reach() {
    let (_turn, here) = lobby().await;
    here.kubectl(&["scale", "chatroom/lobby", "--replicas=3"]).unwrap();
    let pods = eventually(2 * MINUTE, || {
        let pods = here.ready_pods(GATEWAYS)?;
        Ok((pods.len() == 3).then_some(pods))
    });
    let pods = pods.await.unwrap();
    // The ingress learns of the new pod in its own time.
    let mut people = Vec::new();
    for _ in 0..60 {
        people.push(Socket::dial_via(&url(HOST, "/chat"), INGRESS.parse().unwrap()).await.unwrap());
        let mut reached = 0;
        for pod in &pods {
            reached += usize::from(gateway_status(pod).await.unwrap().connections > 0);
        }
        if reached == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("60 people, and one of three gateways has none");
}

#[tokio::test]
async fn a5_load_above_the_target_adds_a_gateway() {
    let _turn = TURN.lock().await;
    let here = Namespace::fresh("scaled-test").unwrap();
    here.apply(
        "apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {name: scaled}\nspec:\n\
         \x20 protocols: {native: {}}\n\
         \x20 scaling: {min: 1, max: 3, connectionsPerGateway: 20, scaleDownAfter: 30s}\n\
         \x20 route: {hosts: [scaled.test], ingressClassName: traefik}\n",
    )
    .unwrap();
    here.room_ready("scaled", 5 * MINUTE).await.unwrap();
    let gateways = "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=scaled";
    assert_eq!(here.ready_pods(gateways).unwrap().len(), 1);
    let mut people = Vec::new();
    for n in 0..35 {
        let socket = Socket::dial_via(&url("scaled.test", "/chat"), INGRESS.parse().unwrap()).await.unwrap();
        let mut person = Native::over(socket);
        person.join("r", &format!("p{n}")).await.unwrap();
        people.push(person);
    }
    eventually(Duration::from_secs(90), || Ok((here.ready_pods(gateways)?.len() == 2).then_some(()))).await.unwrap();
    let scaling = here.get("chatroom", "scaled").unwrap()["status"]["scaling"].clone();
    assert_eq!(scaling["wanted"], 2, "{scaling}");
    assert!(scaling["reason"].as_str().is_some_and(|reason| reason.contains("35")), "{scaling}");
    drop(people);
    kubectl(&["delete", "namespace", "scaled-test", "--wait=false"], None).unwrap();
}

#[tokio::test]
async fn a6_each_mistake_is_refused_by_kubectl_apply_and_by_the_gateway() {
    let _turn = TURN.lock().await;
    let here = Namespace::named("default");
    for mistake in MISTAKES {
        let said = here.apply(&mistake.manifest()).unwrap_err().to_string();
        assert!(said.contains(mistake.says), "kubectl apply, {}: {said}", mistake.what);
        let (code, said) = refusal(&Setup::manifest(&mistake.manifest())).await.unwrap();
        assert_eq!(code, 64, "{}: {said}", mistake.what);
        assert!(said.contains(mistake.says), "the gateway, {}: {said}", mistake.what);
    }
}

#[tokio::test]
async fn a7_deleting_a_chatroom_removes_all_but_its_volumes() {
    let _turn = TURN.lock().await;
    let here = Namespace::fresh("storage-test").unwrap();
    let example = fs::read_to_string(repository().join("crds/examples/storage.yaml")).unwrap();
    here.apply(&example).unwrap();
    here.room_ready("storage", 5 * MINUTE).await.unwrap();
    let owned = "app.kubernetes.io/instance=storage";
    assert!(here.list(KINDS, owned).unwrap().len() > 10);
    here.kubectl(&["delete", "chatroom", "storage"]).unwrap();
    let left = || {
        let left: Vec<_> = here.list(KINDS, owned)?.iter().map(|o| format!("{} {}", o["kind"], name(o))).collect();
        anyhow::ensure!(left.is_empty(), "still there: {left:?}");
        Ok(Some(()))
    };
    eventually(3 * MINUTE, left).await.unwrap();
    let volumes = here.list("persistentvolumeclaims", owned).unwrap();
    assert_eq!(volumes.len(), 6, "a volume for each Redis pod stays");
    kubectl(&["delete", "namespace", "storage-test", "--wait=false"], None).unwrap();
}

#[tokio::test]
async fn a8_uninstalling_leaves_chatrooms_and_one_that_is_deleted_then_still_goes() {
    let (_turn, here) = lobby().await;
    let values = run("helm", &["--namespace", "parlor", "get", "values", "parlor", "-o", "yaml"], None).unwrap();
    run("helm", &["--namespace", "parlor", "uninstall", "parlor", "--wait"], None).unwrap();
    kubectl(&["get", "crd", "chatrooms.parlor.chat"], None).unwrap();
    here.get("chatroom", "lobby").unwrap();
    // Nobody watches over it, and people go on chatting.
    let report = audit::run(&plan(20, 20.0, 5)).await.unwrap();
    assert_clean(&report, &here);
    here.kubectl(&["delete", "chatroom", "lobby", "--timeout=60s"]).unwrap();
    let gone = || Ok(here.list(KINDS, "app.kubernetes.io/instance=lobby")?.is_empty().then_some(()));
    let gone = eventually(3 * MINUTE, gone).await;
    let chart = repository().join("charts/parlor");
    let install = ["--namespace", "parlor", "install", "parlor", chart.to_str().unwrap(), "--wait", "--values", "-"];
    run("helm", &install, Some(&values)).unwrap();
    gone.unwrap();
}
