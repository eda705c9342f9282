//! Very many ChatRooms, served by the operator's own program: how long until all are Ready, what it costs at rest, and that
//! nothing is written then.
//!
//! 20 ChatRooms of 4 gateways; as many as `PROOFS_CHATROOMS` says in the long form. `PARLOR_OPERATOR` names a release build.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod, Service},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, PostParams},
};
use parlor_crds::ChatRoom;
use parlor_tests::{control_plane::ControlPlane, crowd::Crowd, programs, stage::missing};
use serde::de::DeserializeOwned;
use serde_json::json;

const GATEWAYS: usize = 4;
/// How long the operator is watched at rest.
const REST: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn many_chatrooms_settle_and_then_cost_little_and_nothing_is_written() -> Result<()> {
    let rooms: usize = std::env::var("PROOFS_CHATROOMS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let patience = Duration::from_secs(60 + 2 * rooms as u64);
    let plane = ControlPlane::start().await?;
    plane.install_crd().await?;
    let client = plane.client().await?;
    let namespace = plane.namespace("crowd").await?;
    let _node = Crowd::start(client.clone(), "crowd").await?;
    let operator = tokio::task::block_in_place(|| Program::start(&plane))?;
    let began = Instant::now();
    let api = Api::<ChatRoom>::namespaced(client.clone(), &namespace);
    let made = stream::iter(0..rooms).map(|at| make(&api, at)).buffer_unordered(8).collect::<Vec<_>>().await;
    made.into_iter().collect::<Result<Vec<()>>>()?;
    loop {
        let found = api.list(&ListParams::default()).await.context("list the ChatRooms")?.items;
        let unsettled = |room: &&ChatRoom| {
            missing(room, "Ready", "True").or_else(|| missing(room, "Progressing", "False")).is_some()
        };
        let left = found.iter().filter(unsettled).count();
        if left == 0 {
            break;
        }
        ensure!(began.elapsed() < patience, "{left} of {rooms} ChatRooms are not settled after {patience:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("-- {rooms} ChatRooms of {GATEWAYS} gateways settled in {:.1} s", began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (before, cpu) = (versions(&client).await?, operator.cpu()?);
    tokio::time::sleep(REST).await;
    let (after, used) = (versions(&client).await?, operator.cpu()?.saturating_sub(cpu));
    let share = 100.0 * used.as_secs_f64() / REST.as_secs_f64();
    println!("-- at rest: {share:.1} % of a core, {} MB", operator.memory()? >> 20);
    let written: Vec<_> = after.iter().filter(|(id, version)| before.get(*id) != Some(*version)).collect();
    ensure!(written.is_empty() && before.len() == after.len(), "written at rest: {written:?}");
    Ok(())
}

async fn make(api: &Api<ChatRoom>, at: usize) -> Result<()> {
    let room: ChatRoom = serde_json::from_value(json!({
        "apiVersion": "parlor.chat/v1alpha1", "kind": "ChatRoom", "metadata": { "name": format!("room-{at}") },
        "spec": { "replicas": GATEWAYS, "redis": { "external": { "seeds": ["redis.example:6379"] } } },
    }))?;
    api.create(&PostParams::default(), &room).await.context("create a ChatRoom")?;
    Ok(())
}

/// The version of everything that the operator may write.
async fn versions(client: &Client) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    add::<ChatRoom>(client, &mut versions).await?;
    add::<ReplicaSet>(client, &mut versions).await?;
    add::<Pod>(client, &mut versions).await?;
    add::<Service>(client, &mut versions).await?;
    add::<ConfigMap>(client, &mut versions).await?;
    Ok(versions)
}

async fn add<K>(client: &Client, versions: &mut BTreeMap<String, String>) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    for object in Api::<K>::all(client.clone()).list(&ListParams::default()).await?.items {
        let id = format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
        versions.insert(id, object.resource_version().unwrap_or_default());
    }
    Ok(())
}

/// The operator as a process of its own; killed when dropped.
struct Program(Child);

impl Program {
    fn start(plane: &ControlPlane) -> Result<Self> {
        let program = programs::operator()?;
        let free = TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?;
        let child = Command::new(&program)
            .args(["--listen", &free.to_string(), "--log", "text"])
            .env("KUBECONFIG", plane.kubeconfig())
            .env("PARLOR_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self(child))
    }

    /// CPU time so far.
    fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).context("read the CPU time")?;
        let after_name = stat.rsplit_once(") ").context("no name")?.1;
        let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        // 100 ticks per second, on every Linux that Rust has a target for.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in bytes.
    fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).context("read the memory")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("read VmRSS")?;
        Ok(kilobytes << 10)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
