//! Servers that play the pods of a managed Redis, and a loop that plays the operator.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use parlor_operator::redis::{
    access::Access,
    client,
    journal::Journal,
    passwords::Passwords,
    plan::{Member, Shape, Step, next_step},
    roles::Location,
    settings,
    tls::Tls,
};

pub(crate) const SHAPE: Shape = Shape { shards: 3, replicas: 1 };
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Servers that play pods: killed with the test, their data in one directory.
pub(crate) struct Pods {
    network: u8,
    root: PathBuf,
    pub(crate) pods: Vec<Pod>,
    /// What the ChatRoom asks for.
    pub(crate) shape: Shape,
    /// What the operator knows of the passwords.
    pub(crate) passwords: Option<Passwords>,
    /// Certificates, if the servers speak TLS.
    pub(crate) tls: Option<Tls>,
}

pub(crate) struct Pod {
    pub(crate) ip: String,
    process: Child,
}

impl Pods {
    /// `network` tells the tests of this file apart: they run side by side.
    pub(crate) fn start(network: u8) -> Self {
        Self::start_with(network, "")
    }

    /// Servers that speak TLS with the files in `certificates`.
    pub(crate) fn start_with_tls(network: u8, certificates: &Path) -> Self {
        let here = certificates.display().to_string();
        Self::start_with(network, &settings::tls().replace(settings::TLS_DIR, &here))
    }

    /// How servers are spoken to.
    pub(crate) fn access(&self) -> Access {
        Access { passwords: self.passwords.clone(), tls: self.tls.clone() }
    }

    fn start_with(network: u8, more: &str) -> Self {
        let root = std::env::temp_dir().join(format!("parlor-redis-{}-{network}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let include = settings::include().replace(settings::SECRET_DIR, &root.display().to_string());
        std::fs::write(root.join(settings::FILE), settings::conf(256 << 20) + more + &include).unwrap();
        std::fs::write(root.join(settings::PASSWORD_FILE), "").unwrap();
        let mut pods = Self { network, root, pods: Vec::new(), shape: SHAPE, passwords: None, tls: None };
        for at in 0..SHAPE.servers() {
            let pod = pods.launch(at, 0);
            pods.pods.push(pod);
        }
        pods
    }

    pub(crate) fn launch(&self, at: usize, generation: usize) -> Pod {
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

    /// Writes the file that servers read when they start, as these passwords are.
    pub(crate) fn mount(&self, passwords: &Passwords) {
        std::fs::write(self.root.join(settings::PASSWORD_FILE), passwords.file()).unwrap();
    }

    /// Starts pods until there are as many as the shape asks for.
    pub(crate) fn grow(&mut self) {
        for at in self.pods.len()..self.shape.servers() {
            let pod = self.launch(at, 0);
            self.pods.push(pod);
        }
    }

    /// Ends the pods that are one too many.
    pub(crate) fn shrink(&mut self) {
        (self.shape.servers()..self.pods.len()).for_each(|at| self.kill(at));
        self.pods.truncate(self.shape.servers());
    }

    fn data(&self, at: usize) -> PathBuf {
        self.root.join(at.to_string())
    }

    pub(crate) fn kill(&mut self, at: usize) {
        self.pods[at].process.kill().unwrap();
        self.pods[at].process.wait().unwrap();
    }

    /// Copies the files of every server while it runs. A snapshot of a volume is of one moment; a copy is not, so it waits until
    /// no server rewrites its append-only file, whose parts come and go then.
    pub(crate) async fn back_up(&self) {
        for pod in &self.pods {
            let started = Instant::now();
            while rewrites(&pod.ip) {
                assert!(started.elapsed() < PATIENCE, "{} still rewrites its append-only file", pod.ip);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        copy(&self.root, &self.backup());
    }

    /// Ends every server and starts it elsewhere with what was backed up.
    pub(crate) fn restore(&mut self, generation: usize) {
        (0..self.pods.len()).for_each(|at| self.kill(at));
        for at in 0..self.pods.len() {
            std::fs::remove_dir_all(self.data(at)).unwrap();
            copy(&self.backup().join(at.to_string()), &self.data(at));
            self.pods[at] = self.launch(at, generation);
        }
    }

    fn backup(&self) -> PathBuf {
        self.root.with_extension("backup")
    }

    /// Kills the pod and starts it at another address, with its volume or with an empty one.
    pub(crate) fn replace(&mut self, at: usize, generation: usize, keep_volume: bool) {
        self.kill(at);
        if !keep_volume {
            std::fs::remove_dir_all(self.data(at)).unwrap();
        }
        self.pods[at] = self.launch(at, generation);
    }

    pub(crate) async fn members(&self) -> Vec<Member> {
        let asked = self.pods.iter().enumerate().map(|(at, pod)| async move {
            let view = client::view(&pod.ip, &self.access()).await.ok();
            let place = Location { host: format!("host-{}", at / 2), zone: String::new() };
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
    pub(crate) async fn reconcile(&self) -> Vec<String> {
        self.reconcile_until(|step, _| *step == Step::Settled).await
    }

    /// Reconciles until a step, after those that ran, is `enough`.
    pub(crate) async fn reconcile_until(&self, enough: impl Fn(&Step, &[String]) -> bool) -> Vec<String> {
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
                    let access = self.access();
                    for order in &orders {
                        journal.ordered(order);
                        if let Err(error) = client::carry_out(order, &access).await {
                            steps.push(error.to_string());
                        }
                    }
                    steps.push(why);
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// As an operator that remembers nothing from one order to the next.
    pub(crate) async fn reconcile_with_an_operator_that_dies_after_every_order(&self) {
        self.reconcile_dying(false).await;
    }

    /// As operators that end while an order is carried out, and leave it as it is.
    pub(crate) async fn reconcile_with_an_operator_that_dies_in_the_middle_of_orders(&self) {
        self.reconcile_dying(true).await;
    }

    async fn reconcile_dying(&self, in_the_middle: bool) {
        let (started, mut orders_given) = (Instant::now(), 0_u32);
        loop {
            assert!(started.elapsed() < PATIENCE, "not settled after {PATIENCE:?} and {orders_given} orders");
            let members = self.members().await;
            let mut journal = Journal::default();
            journal.note(Instant::now(), &members);
            match next_step(self.shape, &members, &journal) {
                Step::Settled => return,
                Step::Wait(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                Step::Run { orders, .. } => {
                    // Each order is the first for once, and the last.
                    let order = &orders[orders_given as usize % orders.len()];
                    let access = self.access();
                    let carried_out = client::carry_out(order, &access);
                    let life = if in_the_middle { rand::random_range(1..150) } else { 10_000 };
                    drop(tokio::time::timeout(Duration::from_millis(life), carried_out).await);
                    orders_given += 1;
                }
            }
        }
    }

    pub(crate) async fn replica(&self) -> usize {
        let members = self.members().await;
        members.iter().position(|m| m.view.as_ref().is_some_and(|v| v.myself().replica_of.is_some())).unwrap()
    }

    pub(crate) async fn primary(&self) -> usize {
        let members = self.members().await;
        members.iter().position(|m| m.view.as_ref().is_some_and(|v| !v.myself().slots.is_empty())).unwrap()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        (0..self.pods.len()).for_each(|at| self.kill(at));
        remove(&self.root);
        if self.backup().exists() {
            remove(&self.backup());
        }
    }
}

/// The host name that the server of a pod announces.
fn name(at: usize) -> String {
    format!("redis-{at}.redis.default")
}

/// Whether the server rewrites its append-only file, or is about to.
fn rewrites(ip: &str) -> bool {
    let asked = Command::new("redis-cli").args(["-h", ip, "INFO", "persistence"]).output().unwrap();
    let told = String::from_utf8(asked.stdout).unwrap();
    assert!(told.contains("aof_enabled:1"), "{ip} keeps an append-only file: {told}");
    ["aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"].iter().any(|busy| told.contains(busy))
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(status.success(), "cp ended with {status}");
}

fn remove(root: &Path) {
    if let Err(error) = std::fs::remove_dir_all(root) {
        eprintln!("left {} behind: {error}", root.display());
    }
}
