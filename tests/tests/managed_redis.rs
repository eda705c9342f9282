//! Managed Redis over its life against a real API server: the password changes, shards come and go, volumes grow. The Redis
//! servers are real; the node, and what gateways answer, are played.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use parlor_crds::ChatRoom;
use parlor_crds::contract::REDIS_PASSWORD;
use parlor_operator::redis::client;
use parlor_operator::redis::connection::Connection;
use parlor_operator::redis::passwords::Passwords;
use parlor_tests::audit::{self, Plan};
use parlor_tests::gateway::{Gateway, Setup};
use parlor_tests::stage::{Operator, Stage, message, missing};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// For what takes many steps of the operator, one per second at most.
const MANY_STEPS: Duration = Duration::from_secs(240);

async fn password(stage: &Stage, key: &str) -> Result<Option<String>> {
    let secret = stage.api::<Secret>().get("lobby-keys").await.context("read the Secret")?;
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    value.map(|value| String::from_utf8(value.0.clone()).context("a password that is no text")).transpose()
}

/// Servers that let this password in.
async fn let_in(stage: &Stage, password: &str) -> Result<usize> {
    let mut count = 0;
    for pod in stage.pods("redis").await? {
        let ip = pod.status.and_then(|status| status.pod_ip).context("a Redis pod without address")?;
        count += usize::from(client::view(&ip, Some(&Passwords::settled(password))).await.is_ok());
    }
    Ok(count)
}

async fn annotate(stage: &Stage, value: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "parlor.chat/rotate-password": value } } }));
    stage.api::<ChatRoom>().patch("lobby", &PatchParams::default(), &patch).await.context("annotate the ChatRoom")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_rotated_when_the_chatroom_asks_for_it_and_once() -> Result<()> {
    let stage = Stage::set("rotation", 30).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let old = password(&stage, "redis-password").await?.context("no password")?;
    let before: BTreeMap<String, Option<String>> = uids(&stage, "redis").await?;
    annotate(&stage, "1").await?;
    stage
        .until_within(MANY_STEPS, async |stage| {
            let retired = password(stage, "redis-password-retired").await?;
            Ok((retired.as_ref() != Some(&old)).then(|| "the old password is not retired".to_owned()))
        })
        .await?;
    stage.until_ready().await?;
    let new = password(&stage, "redis-password").await?.context("no password")?;
    ensure!(new != old, "the password is the same");
    // The Secret says that the old one is retired before each server has heard of it.
    stage
        .until_within(MANY_STEPS, async |stage| {
            let let_in = (let_in(stage, &old).await?, let_in(stage, &new).await?);
            Ok((let_in != (0, 6)).then(|| format!("servers that take the old and the new password: {let_in:?}")))
        })
        .await?;
    ensure!(uids(&stage, "redis").await? == before, "a server was restarted");
    ensure!(password(&stage, "redis-password-former").await?.is_none(), "the rotation is not over");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let versions = stage.versions().await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    ensure!(stage.versions().await? == versions, "something was written at rest");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_goes_on_with_the_next_operator() -> Result<()> {
    let mut stage = Stage::set("rotation-operators", 31).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let old = password(&stage, "redis-password").await?.context("no password")?;
    annotate(&stage, "1").await?;
    for key in ["redis-password-next", "redis-password-former", "redis-password-retired"] {
        stage
            .until_within(MANY_STEPS, async |stage| {
                // A stage of the rotation may be over before it is seen.
                let later = ["redis-password-former", "redis-password-retired"];
                for key in [key].iter().chain(&later) {
                    if password(stage, key).await?.is_some() {
                        return Ok(None);
                    }
                }
                Ok(Some(format!("{key} is missing")))
            })
            .await?;
        let Stage { client, namespace, kubelet, operator } = stage;
        operator.stop().await?;
        stage = Stage { operator: Operator::start(client.clone(), &namespace), client, namespace, kubelet };
    }
    stage
        .until_within(MANY_STEPS, async |stage| {
            let count = let_in(stage, &old).await?;
            Ok((count > 0).then(|| format!("{count} servers let the old password in")))
        })
        .await?;
    stage.until_ready().await
}

async fn uids(stage: &Stage, component: &str) -> Result<BTreeMap<String, Option<String>>> {
    Ok(stage.pods(component).await?.iter().map(|pod: &Pod| (pod.name_any(), pod.uid())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_added_and_taken_away() -> Result<()> {
    let stage = Stage::set("shards", 32).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    reshard(&stage, 4).await?;
    reshard(&stage, 3).await?;
    stage.until_ready().await
}

async fn reshard(stage: &Stage, shards: usize) -> Result<()> {
    stage.change(json!({ "redis": { "managed": { "shards": shards } } })).await?;
    stage.until_reason("Progressing", "RedisResharding").await?;
    let served = format!("{shards} of {shards} shards have a replica in sync");
    stage
        .until_within(MANY_STEPS, async |stage| {
            let (room, pods) = (stage.room().await?, stage.pods("redis").await?.len());
            let said = message(&room, "RedisReady");
            let wrong =
                !said.contains(&served) || pods != shards * 2 || missing(&room, "Progressing", "False").is_some();
            Ok(wrong.then(|| format!("{pods} pods: {said}")))
        })
        .await
}

/// A class of volumes, and a volume of it for each Redis pod.
async fn volumes(stage: &Stage, class: &str, may_grow: bool) -> Result<()> {
    let made: StorageClass = serde_json::from_value(json!({
        "metadata": { "name": class }, "provisioner": "kubernetes.io/no-provisioner", "allowVolumeExpansion": may_grow,
    }))?;
    Api::all(stage.client.clone()).create(&PostParams::default(), &made).await.context("create the StorageClass")?;
    for n in 0..6 {
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": { "name": format!("{class}-{n}") },
            "spec": {
                "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                "hostPath": { "path": "/nowhere" },
            },
        }))?;
        Api::all(stage.client.clone()).create(&PostParams::default(), &volume).await.context("create a volume")?;
    }
    Ok(())
}

fn stored(class: &str, size: &str) -> Value {
    json!({ "replicas": 1, "redis": { "managed": { "storage": { "size": size, "className": class } } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_grow_while_the_servers_run() -> Result<()> {
    let stage = Stage::set("volumes", 33).await?;
    volumes(&stage, "growing", true).await?;
    stage.create(stored("growing", "1Gi")).await?;
    stage.until_ready().await?;
    let (before, set) = (uids(&stage, "redis").await?, stage.api::<StatefulSet>().get("lobby-redis").await?.uid());
    stage.change(json!({ "redis": { "managed": { "storage": { "size": "2Gi" } } } })).await?;
    stage
        .until(async |stage| {
            let claims = stage.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?.items;
            let size = |claim: &PersistentVolumeClaim| {
                claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage").map(|size| size.0.clone())
            };
            let grown = claims.iter().filter(|claim| size(claim).as_deref() == Some("2Gi")).count();
            let now = stage.api::<StatefulSet>().get_opt("lobby-redis").await?.and_then(|set| set.uid());
            Ok((grown != 6 || now.is_none() || now == set).then(|| format!("{grown} claims have grown, set {now:?}")))
        })
        .await?;
    stage.until_ready().await?;
    ensure!(uids(&stage, "redis").await? == before, "a server was restarted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_that_cannot_grow_are_named_and_their_servers_run_on() -> Result<()> {
    let stage = Stage::set("volumes-fixed", 34).await?;
    volumes(&stage, "fixed", false).await?;
    stage.create(stored("fixed", "1Gi")).await?;
    stage.until_ready().await?;
    let before = uids(&stage, "redis").await?;
    stage.change(json!({ "redis": { "managed": { "storage": { "size": "2Gi" } } } })).await?;
    stage
        .until(async |stage| {
            let said = message(&stage.room().await?, "Ready");
            let words = ["failed to grow PersistentVolumeClaim data-lobby-redis-", "StorageClass: fixed"];
            Ok((!words.iter().all(|word| said.contains(word))).then_some(said))
        })
        .await?;
    ensure!(uids(&stage, "redis").await? == before, "a server was restarted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_backup_are_those_of_the_chatroom_that_is_restored() -> Result<()> {
    let stage = Stage::set("restored", 36).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let secret = stage.api::<Secret>().get("lobby-keys").await.context("read the Secret")?;
    stage.api::<ChatRoom>().delete("lobby", &DeleteParams::default()).await.context("delete the ChatRoom")?;
    let start = Instant::now();
    while stage.api::<Secret>().get_opt("lobby-keys").await?.is_some() || !stage.pods("redis").await?.is_empty() {
        ensure!(start.elapsed() < MANY_STEPS, "the Secret stays");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let metadata = ObjectMeta {
        name: secret.metadata.name.clone(),
        labels: secret.metadata.labels.clone(),
        annotations: secret.metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    let backup = Secret { metadata, ..secret.clone() };
    stage.api::<Secret>().create(&PostParams::default(), &backup).await.context("restore the Secret")?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let restored = stage.api::<Secret>().get("lobby-keys").await.context("read the Secret again")?;
    ensure!(restored.data == secret.data, "keys were made again");
    ensure!(
        restored.owner_references().iter().map(|owner| &owner.uid).eq(stage.room().await?.uid().iter()),
        "no owner"
    );
    Ok(())
}

/// A real gateway on the stage's Redis.
async fn gateway(stage: &Stage) -> Result<Gateway> {
    let pods = stage.pods("redis").await?;
    let ips = pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone());
    let seeds: Vec<String> = ips.map(|ip| format!("{ip}:{}", client::PORT)).collect();
    let password = password(stage, "redis-password").await?.context("no password")?;
    let setup = Setup::spec("protocols: {native: {}}\nreplicas: 3\nredis: {managed: {}}").redis(&seeds);
    Gateway::start(&setup.secret(REDIS_PASSWORD, &password)).await
}

/// Ends every connection of clients at every server, so that each is opened again with what is known now.
async fn hang_up(stage: &Stage, password: &str) -> Result<()> {
    for pod in stage.pods("redis").await? {
        let ip = pod.status.and_then(|status| status.pod_ip).context("a Redis pod without address")?;
        let stream = TcpStream::connect((ip.as_str(), client::PORT)).await.context("connect to a Redis server")?;
        let mut connection = Connection::new(stream);
        connection.ask(&["AUTH", password]).await.context("present the password")?;
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"].map(str::to_owned).to_vec();
        connection.numbers(&[kill]).await.context("end the connections")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_the_password_and_the_number_of_shards_change() -> Result<()> {
    let stage = Stage::set("audited", 35).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let gateways = [gateway(&stage).await?, gateway(&stage).await?];
    let plan = Plan {
        native: gateways.iter().map(|gateway| gateway.url("/chat")).collect(),
        rooms: (0..16).map(|n| format!("room{n}")).collect(),
        members: 3,
        duration: Duration::from_secs(150),
        patience: Duration::from_secs(60),
        ..Plan::default()
    };
    let audit = tokio::spawn({
        let plan = plan.clone();
        async move { audit::run(&plan).await }
    });
    let began = Instant::now();
    let old = password(&stage, "redis-password").await?.context("no password")?;
    annotate(&stage, "1").await?;
    stage
        .until_within(MANY_STEPS, async |stage| {
            let current = password(stage, "redis-password").await?.context("no password")?;
            gateways.iter().try_for_each(|gateway| gateway.remount(REDIS_PASSWORD, &current))?;
            let is_over = password(stage, "redis-password-retired").await?.is_some() && let_in(stage, &old).await? == 0;
            Ok((!is_over).then(|| "the rotation is not over".to_owned()))
        })
        .await?;
    println!("the password was rotated in {:.1} s", began.elapsed().as_secs_f64());
    let current = password(&stage, "redis-password").await?.context("no password")?;
    hang_up(&stage, &current).await?;
    let began = Instant::now();
    reshard(&stage, 4).await?;
    println!("a shard was added in {:.1} s", began.elapsed().as_secs_f64());
    hang_up(&stage, &current).await?;
    let began = Instant::now();
    reshard(&stage, 3).await?;
    println!("a shard was taken away in {:.1} s", began.elapsed().as_secs_f64());
    let report = audit.await.context("the auditor's task ended")??;
    println!("{report}");
    let logs = || gateways.iter().map(Gateway::log).collect::<Vec<_>>().join("\n");
    ensure!(report.verdict.is_clean() && report.verdict.acknowledged > 0, "{report}\n{}", logs());
    Ok(())
}
