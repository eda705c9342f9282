//! The planner and its client against real `redis-server` processes, each on a loopback address of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use parlor_operator::redis::client;
use parlor_operator::redis::journal::Journal;
use parlor_operator::redis::plan::{self, Member, Order, Shape, Step, next_step};
use parlor_operator::redis::roles::Place;
use parlor_operator::redis::settings;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SHAPE: Shape = Shape { shards: 3, replicas: 1 };
const PATIENCE: Duration = Duration::from_secs(120);

/// Servers that play pods: killed with the test, their data in one directory.
struct Pods {
    network: u8,
    root: PathBuf,
    pods: Vec<Pod>,
    /// What the ChatRoom asks for.
    shape: Shape,
    /// What the operator says to the servers.
    password: Option<&'static str>,
}

struct Pod {
    ip: String,
    process: Child,
}

impl Pods {
    /// `network` tells the tests of this file apart: they run side by side.
    fn start(network: u8) -> Self {
        let root = std::env::temp_dir().join(format!("parlor-redis-{}-{network}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join(settings::FILE), settings::conf(256 << 20)).unwrap();
        let mut pods = Self { network, root, pods: Vec::new(), shape: SHAPE, password: None };
        for at in 0..SHAPE.servers() {
            let pod = pods.launch(at, 0);
            pods.pods.push(pod);
        }
        pods
    }

    fn launch(&self, at: usize, generation: usize) -> Pod {
        let ip = format!("127.{}.{generation}.{}", self.network, at + 1);
        let data = self.data(at);
        std::fs::create_dir_all(&data).unwrap();
        let process = Command::new("redis-server")
            .arg(self.root.join(settings::FILE))
            .args(["--bind", &ip, "--cluster-announce-ip", &ip, "--cluster-announce-hostname", &name(at), "--dir"])
            .arg(&data)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        Pod { ip, process }
    }

    fn data(&self, at: usize) -> PathBuf {
        self.root.join(at.to_string())
    }

    fn kill(&mut self, at: usize) {
        self.pods[at].process.kill().unwrap();
        self.pods[at].process.wait().unwrap();
    }

    /// Kills the pod and starts it at another address, with its volume or with an empty one.
    fn replace(&mut self, at: usize, generation: usize, keep_volume: bool) {
        self.kill(at);
        if !keep_volume {
            std::fs::remove_dir_all(self.data(at)).unwrap();
        }
        self.pods[at] = self.launch(at, generation);
    }

    async fn members(&self) -> Vec<Member> {
        let asked = self.pods.iter().enumerate().map(|(at, pod)| async move {
            let view = client::view(&pod.ip, self.password).await.ok();
            let place = Place { host: format!("host-{}", at / 2), zone: String::new() };
            Member {
                pod: format!("redis-{at}"),
                name: name(at),
                ip: pod.ip.clone(),
                place,
                leaving: false,
                surplus: at >= self.shape.servers(),
                view,
            }
        });
        futures::future::join_all(asked).await
    }

    /// Reconciles as the operator does until the cluster is settled; returns the reasons of the steps that ran.
    async fn reconcile(&self) -> Vec<String> {
        self.reconcile_until(|step, _| *step == Step::Settled).await
    }

    /// Reconciles until a step, after those that ran, is `enough`.
    async fn reconcile_until(&self, enough: impl Fn(&Step, &[String]) -> bool) -> Vec<String> {
        let (started, mut journal, mut waiting, mut steps) =
            (Instant::now(), Journal::default(), String::new(), Vec::new());
        loop {
            assert!(
                started.elapsed() < PATIENCE,
                "not settled after {PATIENCE:?}; steps: {steps:#?}, waiting: {waiting:?}"
            );
            let members = self.members().await;
            journal.note(Instant::now(), &members);
            let step = next_step(self.shape, &members, &journal);
            if enough(&step, &steps) {
                return steps;
            }
            match step {
                Step::Settled => panic!("settled before it was enough; steps: {steps:#?}"),
                Step::Wait(what) => waiting = what,
                Step::Run { why, orders } => {
                    for order in &orders {
                        journal.ordered(order);
                        if let Err(error) = client::carry_out(order, self.password).await {
                            steps.push(error.to_string());
                        }
                    }
                    steps.push(why);
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn primary(&self) -> usize {
        let members = self.members().await;
        members.iter().position(|m| m.view.as_ref().is_some_and(|v| !v.myself().slots.is_empty())).unwrap()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        (0..self.pods.len()).for_each(|at| self.kill(at));
        remove(&self.root);
    }
}

/// The host name that the server of a pod announces.
fn name(at: usize) -> String {
    format!("redis-{at}.redis.default")
}

fn remove(root: &Path) {
    if let Err(error) = std::fs::remove_dir_all(root) {
        eprintln!("left {} behind: {error}", root.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_forms_and_stays_as_it_is() {
    let pods = Pods::start(81);
    let steps = pods.reconcile().await;
    assert!(!steps.is_empty());
    assert_eq!(pods.reconcile().await, Vec::<String>::new(), "a settled cluster needs no step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_pods_all_came_back_elsewhere_heals_with_its_data() {
    let mut pods = Pods::start(82);
    pods.reconcile().await;
    let before: Vec<String> = ids(&pods.members().await);
    for at in 0..SHAPE.servers() {
        pods.kill(at);
    }
    for at in 0..SHAPE.servers() {
        pods.pods[at] = pods.launch(at, 1);
    }
    pods.reconcile().await;
    assert_eq!(ids(&pods.members().await), before, "the same servers, at new addresses");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_lost_its_volume_is_succeeded_by_its_replica_and_joins_as_one() {
    let mut pods = Pods::start(83);
    pods.reconcile().await;
    let primary = pods.primary().await;
    pods.replace(primary, 1, false);
    pods.reconcile().await;
    let members = pods.members().await;
    let me = members[primary].view.as_ref().unwrap().myself();
    assert!(me.slots.is_empty() && me.replica_of.is_some(), "{me:?}");
    assert!(
        members.iter().all(|m| m.view.as_ref().unwrap().topology.nodes.len() == SHAPE.servers()),
        "the dead server is forgotten"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lost_every_volume_forms_anew() {
    let mut pods = Pods::start(84);
    pods.reconcile().await;
    for at in 0..SHAPE.servers() {
        pods.replace(at, 1, false);
    }
    pods.reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_of_primaries_that_lost_their_volumes_is_taken_over() {
    let mut pods = Pods::start(85);
    pods.reconcile().await;
    let members = pods.members().await;
    let primaries: Vec<usize> =
        (0..members.len()).filter(|at| !members[*at].view.as_ref().unwrap().myself().slots.is_empty()).collect();
    pods.replace(primaries[0], 1, false);
    pods.replace(primaries[1], 1, false);
    let steps = pods.reconcile().await;
    assert!(steps.iter().any(|step| step.contains("promote")), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_came_back_empty_is_given_a_primary_while_another_is_absent() {
    let mut pods = Pods::start(86);
    pods.reconcile().await;
    let members = pods.members().await;
    let replicas: Vec<usize> =
        (0..members.len()).filter(|at| members[*at].view.as_ref().unwrap().myself().replica_of.is_some()).collect();
    pods.kill(replicas[0]);
    pods.replace(replicas[1], 1, false);
    let absent = Step::Wait(format!("no answer from redis-{}", replicas[0]));
    pods.reconcile_until(|step, _| *step == absent).await;
    let members = pods.members().await;
    assert!(members[replicas[1]].view.as_ref().unwrap().myself().replica_of.is_some(), "it copies a primary");
}

#[tokio::test(flavor = "multi_thread")]
async fn primaries_that_are_absent_for_long_are_taken_over_though_their_pods_may_come_back() {
    let mut pods = Pods::start(87);
    pods.reconcile().await;
    let members = pods.members().await;
    let primaries: Vec<usize> = (0..members.len()).filter(|at| members[*at].view.as_ref().unwrap().serves()).collect();
    pods.kill(primaries[0]);
    pods.kill(primaries[1]);
    let absent = |step: &Step| matches!(step, Step::Wait(what) if what.starts_with("no answer from"));
    let promoted = |steps: &[String]| steps.iter().any(|step| step.contains("promote"));
    // Right after their death the operator waits for them as well.
    pods.reconcile_until(|step, steps| absent(step) && promoted(steps)).await;
    let members = pods.members().await;
    assert_eq!(members.iter().filter(|m| m.view.as_ref().is_some_and(|view| view.serves())).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_about_to_go_hands_over_before_it_goes() {
    let pods = Pods::start(88);
    pods.reconcile().await;
    let primary = pods.primary().await;
    let (started, mut journal) = (Instant::now(), Journal::default());
    loop {
        assert!(started.elapsed() < PATIENCE, "nobody took over");
        let mut members = pods.members().await;
        if !members[primary].view.as_ref().unwrap().serves() {
            return;
        }
        members[primary].leaving = true;
        journal.note(Instant::now(), &members);
        if let Step::Run { orders, .. } = next_step(SHAPE, &members, &journal) {
            for order in &orders {
                journal.ordered(order);
                client::carry_out(order, None).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_were_started_without_a_password_are_given_one_and_stay_in_sync() {
    let mut pods = Pods::start(89);
    pods.reconcile().await;
    pods.password = Some("correct");
    let steps = pods.reconcile().await;
    assert_eq!(steps, ["give 6 servers their password"]);
    let members = pods.members().await;
    assert!(members.iter().all(|m| m.view.as_ref().is_some_and(|view| !view.open && view.holds_a_copy())));
    for password in [None, Some("wrong")] {
        let refused = client::view(&pods.pods[0].ip, password).await.unwrap_err().to_string();
        assert!(refused.contains("NOAUTH") || refused.contains("WRONGPASS"), "{refused}");
        assert!(!refused.contains("wrong ") && !refused.contains("correct"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_added_and_taken_away_again_while_every_slot_is_served() {
    let mut pods = Pods::start(90);
    pods.reconcile().await;
    pods.shape.replicas = 2;
    for at in SHAPE.servers()..pods.shape.servers() {
        let pod = pods.launch(at, 0);
        pods.pods.push(pod);
    }
    pods.reconcile().await;
    let replicas = |members: &[Member]| {
        members.iter().filter(|m| m.view.as_ref().is_some_and(|v| v.holds_a_copy() && !v.serves())).count()
    };
    assert_eq!(replicas(&pods.members().await), 6);
    // A primary is among those that are one too many afterwards.
    let heir = pods.members().await.into_iter().skip(SHAPE.servers()).find(|m| !m.view.as_ref().unwrap().serves());
    let heir = heir.expect("a replica among the added servers");
    let order = Order { pod: heir.pod.clone(), ip: heir.ip.clone(), command: plan::Command::HandOver };
    client::carry_out(&order, None).await.unwrap();
    pods.shape.replicas = 1;
    let started = Instant::now();
    while !plan::can_do_without_surplus(SHAPE, &pods.members().await) {
        assert!(started.elapsed() < PATIENCE, "the added servers are still needed");
        pods.reconcile_until(|step, _| !matches!(step, Step::Run { .. })).await;
    }
    (SHAPE.servers()..pods.pods.len()).for_each(|at| pods.kill(at));
    pods.pods.truncate(SHAPE.servers());
    pods.reconcile().await;
    let members = pods.members().await;
    assert_eq!(replicas(&members), 3);
    assert!(members.iter().all(|m| m.view.as_ref().unwrap().topology.nodes.len() == SHAPE.servers()));
}

fn ids(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.view.as_ref().unwrap().myself().id.to_string()).collect()
}
