//! Pods that are deleted while people chat. The room becomes whole again by itself, before they have finished.

use std::time::Duration;

use parlor_tests::{
    audit::Report,
    kubectl::{Namespace, eventually, is_primary, name},
};
use serde_json::Value;

use crate::{
    MINUTE, SECOND,
    lobby::{GATEWAYS, Lobby, REDIS},
};

const MEMBERS: u32 = 40;
const TRAFFIC: Duration = Duration::from_secs(45);
const OPERATOR: &str = "app.kubernetes.io/name=parlor-operator";

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_gateway_hands_its_people_to_the_other() {
    let lobby = Lobby::shared().await;
    let pod = lobby.here.ready_pods(GATEWAYS).unwrap().remove(0);
    let report = lose(&lobby, &lobby.here, &pod, &[]).await;
    assert!(report.reconnects > 0, "nobody was on the gateway: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_at_once_takes_no_message_with_it() {
    let lobby = Lobby::shared().await;
    let pod = lobby.here.ready_pods(GATEWAYS).unwrap().remove(0);
    let report = lose(&lobby, &lobby.here, &pod, &["--force", "--grace-period=0"]).await;
    assert!(report.reconnects > 0, "nobody was on the gateway: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_redis_primary_loses_no_message_and_no_connection() {
    let lobby = Lobby::shared().await;
    let redis = lobby.here.ready_pods(REDIS).unwrap();
    let pod = redis.iter().find(|pod| is_primary(pod).unwrap()).expect("a Redis Cluster with a primary");
    let report = lose(&lobby, &lobby.here, pod, &[]).await;
    assert_eq!(report.reconnects, 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_operator_is_not_noticed_and_the_next_one_goes_on() {
    let lobby = Lobby::shared().await;
    let parlor = Namespace::named("parlor");
    let pod = parlor.ready_pods(OPERATOR).unwrap().remove(0);
    let report = lose(&lobby, &parlor, &pod, &[]).await;
    assert_eq!(report.reconnects, 0, "{report}");
    lobby.here.kubectl(&["scale", "chatroom/lobby", "--replicas=3"]).unwrap();
    lobby.whole(3).await;
}

/// Deletes the pod while people chat; afterwards all is as before, and they have not stopped yet.
async fn lose(lobby: &Lobby, place: &Namespace, pod: &Value, how: &[&str]) -> Report {
    let auditing = lobby.audit(lobby.plan(MEMBERS, f64::from(MEMBERS), TRAFFIC));
    tokio::time::sleep(8 * SECOND).await;
    let connections = lobby.connections().await;
    assert!(connections.values().all(|n| *n > 0), "one-sided: {connections:?}");
    lobby.turn.say(format_args!("deleting {} {}", name(pod), how.join(" ")));
    place.kubectl(&[&["delete", "pod", name(pod), "--wait=false"], how].concat()).unwrap();
    let uid = &pod["metadata"]["uid"];
    let is_gone = || {
        let there = place.list("pods", "")?.iter().any(|pod| &pod["metadata"]["uid"] == uid);
        Ok((!there).then_some(()))
    };
    eventually(MINUTE, is_gone).await.expect("the pod ends");
    lobby.turn.say("it is gone");
    let operators = || Ok((Namespace::named("parlor").ready_pods(OPERATOR)?.len() == 1).then_some(()));
    eventually(MINUTE, operators).await.expect("an operator runs");
    lobby.whole(2).await;
    assert!(!auditing.is_finished(), "the room was whole again only when all had stopped");
    let report = auditing.await.unwrap().unwrap();
    lobby.assert_clean(&report);
    report
}
