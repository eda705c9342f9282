//! The lobby of the examples behind the ingress, as most tests find it: two gateways, a Redis Cluster of six, Ready.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use parlor_tests::{
    audit::{self, Plan, Report},
    kubectl::{Namespace, condition, eventually, gateway_status, name, reason},
};
use serde_json::Value;

use crate::{MINUTE, READY_WITHIN, example, ingress, turn::Turn, url};

pub(crate) const HOST: &str = "lobby.test";
pub(crate) const GATEWAYS: &str = "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=lobby";
pub(crate) const REDIS: &str = "app.kubernetes.io/component=redis,app.kubernetes.io/instance=lobby";

/// A lobby, during a test's turn.
pub(crate) struct Lobby {
    pub(crate) turn: Turn,
    pub(crate) here: Namespace,
}

impl Lobby {
    /// The lobby that tests share, whole and with two gateways, whatever the test before did to it.
    pub(crate) async fn shared() -> Self {
        let turn = Turn::take().await;
        let mut here = Namespace::named("lobby-test");
        if here.get("chatroom", "lobby").is_err() {
            here = Namespace::fresh("lobby-test").await.unwrap();
        }
        let lobby = Self { turn, here };
        lobby.here.apply(&routed(HOST)).unwrap();
        lobby.whole(2).await;
        lobby
    }

    /// Waits until the ChatRoom is Ready with this many gateways and everything of its Redis, and says how long it took.
    pub(crate) async fn whole(&self, gateways: usize) {
        let began = Instant::now();
        let room = self.here.room_ready("lobby", READY_WITHIN).await.unwrap();
        let whole = eventually(READY_WITHIN, || self.is_whole(gateways).map(|whole| whole.then_some(()))).await;
        let pods = || self.here.kubectl(&["get", "pods", "-o", "wide"]).unwrap();
        assert!(whole.is_ok(), "not whole: {:#}\n{}", room["status"], pods());
        self.turn.say(format_args!("whole after {:.1} s", began.elapsed().as_secs_f64()));
    }

    fn is_whole(&self, gateways: usize) -> Result<bool> {
        let room = self.here.get("chatroom", "lobby")?;
        let pods = self.here.list("pods", "app.kubernetes.io/instance=lobby")?.len();
        Ok(condition(&room, "Ready") == "True"
            && reason(&room, "RedisReady") == "Replicated"
            && self.here.ready_pods(GATEWAYS)?.len() == gateways
            && self.here.ready_pods(REDIS)?.len() == 6
            && pods == gateways + 6)
    }

    /// Open connections of each gateway that is ready.
    pub(crate) async fn connections(&self) -> BTreeMap<String, u32> {
        let mut connections = BTreeMap::new();
        for pod in self.here.ready_pods(GATEWAYS).unwrap() {
            connections.insert(name(&pod).to_owned(), gateway_status(&pod).await.unwrap().connections);
        }
        connections
    }

    /// Where OnlyOne's own port is reached: the address of its Service.
    pub(crate) fn onlyone_port(&self) -> String {
        let services = self.here.list("services", "app.kubernetes.io/instance=lobby").unwrap();
        let port =
            |service: &&Value| service["spec"]["ports"].as_array().is_some_and(|p| p.iter().any(|p| p["port"] == 9090));
        let service = services.iter().find(port).expect("a Service for OnlyOne's own port");
        format!("ws://{}:9090/", service["spec"]["clusterIP"].as_str().unwrap())
    }

    /// An audit of as many native people as OnlyOne people, who come by the ingress and by OnlyOne's own port.
    pub(crate) fn plan(&self, members: u32, rate: f64, duration: Duration) -> Plan {
        Plan {
            native: vec![url(HOST, "/chat")],
            onlyone: vec![url(HOST, "/onlyone"), self.onlyone_port()],
            via: Some(ingress()),
            rooms: vec!["onlyOne".into()],
            members,
            rate,
            duration,
            patience: MINUTE,
            ..Plan::default()
        }
    }

    /// Carries an audit out, beside the test.
    pub(crate) fn audit(&self, plan: Plan) -> tokio::task::JoinHandle<Result<Report>> {
        self.turn.say(format_args!("{} people post {} messages per second", plan.members, plan.rate));
        tokio::spawn(async move { audit::run(&plan).await })
    }

    /// Nobody missed an acknowledged message, or saw one twice or in another order than the others.
    pub(crate) fn assert_clean(&self, report: &Report) {
        report.to_string().lines().for_each(|line| self.turn.say(line));
        let pods = || self.here.kubectl(&["get", "pods", "-o", "wide"]).unwrap();
        assert!(report.verdict.is_clean(), "{report}\n{}", pods());
    }
}

/// `lobby.yaml` with a route for this host.
pub(crate) fn routed(host: &str) -> String {
    format!("{}  route:\n    hosts: [{host}]\n    ingressClassName: traefik\n", example("lobby.yaml"))
}
