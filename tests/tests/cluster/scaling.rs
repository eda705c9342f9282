//! Gateways that are added by hand and by load, and taken away again under traffic.

use std::time::{Duration, Instant};

use parlor_tests::{
    audit::Plan,
    client::Socket,
    kubectl::{Namespace, eventually, gateway_status, name},
};

use crate::{
    MINUTE, READY_WITHIN, SECOND, ingress,
    lobby::{GATEWAYS, HOST, Lobby},
    turn::Turn,
    url,
};

/// How soon load above the target is answered with a wish for more gateways.
const ASKED_WITHIN: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_adds_a_gateway_that_new_people_reach() {
    let lobby = Lobby::shared().await;
    lobby.here.kubectl(&["scale", "croom", "lobby", "--replicas=3"]).unwrap();
    lobby.whole(3).await;
    let began = Instant::now();
    let mut people = Vec::new();
    while !lobby.connections().await.values().all(|n| *n > 0) {
        assert!(began.elapsed() < 30 * SECOND, "of {} people none: {:?}", people.len(), lobby.connections().await);
        people.push(Socket::dial_via(&url(HOST, "/chat"), ingress()).await.unwrap());
        // The ingress learns of the new pod in its own time.
        tokio::time::sleep(SECOND / 4).await;
    }
    lobby.turn.say(format_args!("{} people are on all three: {:?}", people.len(), lobby.connections().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_taken_away_again_hands_its_people_on() {
    let lobby = Lobby::shared().await;
    lobby.here.kubectl(&["scale", "croom", "lobby", "--replicas=3"]).unwrap();
    lobby.whole(3).await;
    let auditing = lobby.audit(lobby.plan(60, 60.0, Duration::from_secs(40)));
    tokio::time::sleep(5 * SECOND).await;
    lobby.turn.say(format_args!("from three to two gateways: {:?}", lobby.connections().await));
    lobby.here.kubectl(&["scale", "croom", "lobby", "--replicas=2"]).unwrap();
    lobby.whole(2).await;
    assert!(!auditing.is_finished(), "it was gone only when all had stopped");
    let report = auditing.await.unwrap().unwrap();
    lobby.assert_clean(&report);
    assert!(report.reconnects > 0, "nobody had to move: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn load_above_the_target_adds_a_gateway_and_less_load_takes_it_away() {
    let turn = Turn::take().await;
    let here = Namespace::fresh("scaled-test").await.unwrap();
    here.apply(
        "apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {name: scaled}\nspec:\n\
         \x20 protocols: {native: {}}\n\
         \x20 scaling: {min: 1, max: 3, connectionsPerGateway: 20, scaleDownAfter: 20s}\n\
         \x20 route: {hosts: [scaled.test], ingressClassName: traefik}\n\
         \x20 # A node of two cores has no room for the default requests of two ChatRooms that grow.\n\
         \x20 template: {resources: {requests: {cpu: 20m}}}\n\
         \x20 redis: {managed: {resources: {requests: {cpu: 20m}}}}\n",
    )
    .unwrap();
    here.room_ready("scaled", READY_WITHIN).await.unwrap();
    let gateways = GATEWAYS.replace("lobby", "scaled");
    let sized = |size: usize| {
        let ready = here.ready_pods(&gateways)?.len();
        anyhow::ensure!(ready == size, "{ready} gateways");
        Ok(Some(()))
    };
    sized(1).unwrap();
    turn.say("35 people come to one gateway that is meant for 20");
    let plan = Plan {
        native: vec![url("scaled.test", "/chat")],
        via: Some(ingress()),
        rooms: vec!["r".into()],
        members: 35,
        rate: 35.0,
        duration: MINUTE,
        patience: MINUTE,
        ..Plan::default()
    };
    let auditing = tokio::spawn(async move { parlor_tests::audit::run(&plan).await });
    let first = here.ready_pods(&gateways).unwrap().remove(0);
    while gateway_status(&first).await.unwrap().connections < 35 {
        tokio::time::sleep(SECOND / 10).await;
    }
    let wanted = || Ok(Some(here.get("chatroom", "scaled")?["status"]["scaling"].clone()).filter(|s| s["wanted"] == 2));
    let scaling = eventually(ASKED_WITHIN, wanted).await.expect("a wish for two gateways");
    turn.say(format_args!("wanted: {scaling}"));
    // The operator may have counted while they were still coming.
    let counted = scaling["reason"]
        .as_str()
        .and_then(|reason| reason.strip_suffix(" connections at 20 per gateway: from 1 to 2"))
        .and_then(|counted| counted.parse().ok());
    assert!(counted.is_some_and(|counted: usize| (21..=35).contains(&counted)), "{scaling}");
    eventually(MINUTE, || sized(2)).await.unwrap();
    turn.say("a second gateway is ready");
    new_people_reach(&here, &gateways, &first).await;
    let report = auditing.await.unwrap().unwrap();
    assert!(report.verdict.is_clean() && report.reconnects == 0, "{report}");
    turn.say("all have left");
    eventually(2 * MINUTE, || sized(1)).await.unwrap();
    turn.say("one gateway again");
    here.remove().await.unwrap();
}

/// Somebody new comes to a gateway that is not the first.
async fn new_people_reach(here: &Namespace, gateways: &str, first: &serde_json::Value) {
    let began = Instant::now();
    let mut people = Vec::new();
    loop {
        people.push(Socket::dial_via(&url("scaled.test", "/chat"), ingress()).await.unwrap());
        for pod in here.ready_pods(gateways).unwrap().iter().filter(|pod| name(pod) != name(first)) {
            if gateway_status(pod).await.unwrap().connections > 0 {
                return;
            }
        }
        assert!(began.elapsed() < 30 * SECOND, "none of {} new people came to the new gateway", people.len());
        tokio::time::sleep(SECOND / 4).await;
    }
}
