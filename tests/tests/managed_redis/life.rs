//! The password changes, shards come and go, volumes grow, and a backup comes back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolume, PersistentVolumeClaim, Secret},
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use parlor_crds::ChatRoom;
use parlor_tests::stage::{Operator, Stage, message};
use serde_json::{Value, json};

use crate::{MANY_STEPS, reshard, uids};

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_rotated_when_the_chatroom_asks_for_it_and_once() -> Result<()> {
    let stage = Stage::set("rotation", 30).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let old = stage.present_key("redis-password").await?;
    let before: BTreeMap<String, Option<String>> = uids(&stage, "redis").await?;
    stage.rotate("1").await?;
    stage
        .until_within(MANY_STEPS, async |stage| {
            let retired = stage.key("redis-password-retired").await?;
            Ok((retired.as_ref() != Some(&old)).then(|| "the old password is not retired".to_owned()))
        })
        .await?;
    stage.until_ready().await?;
    let new = stage.present_key("redis-password").await?;
    ensure!(new != old, "the password is the same");
    // The Secret says that the old one is retired before each server has heard of it.
    stage
        .until_within(MANY_STEPS, async |stage| {
            let let_in = (stage.let_in(&old).await?, stage.let_in(&new).await?);
            Ok((let_in != (0, 6)).then(|| format!("servers that take the old and the new password: {let_in:?}")))
        })
        .await?;
    ensure!(uids(&stage, "redis").await? == before, "a server was restarted");
    ensure!(stage.key("redis-password-former").await?.is_none(), "the rotation is not over");
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
    let old = stage.present_key("redis-password").await?;
    stage.rotate("1").await?;
    for key in ["redis-password-next", "redis-password-former", "redis-password-retired"] {
        stage
            .until_within(MANY_STEPS, async |stage| {
                // A stage of the rotation may be over before it is seen.
                let later = ["redis-password-former", "redis-password-retired"];
                for key in [key].iter().chain(&later) {
                    if stage.key(key).await?.is_some() {
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
            let count = stage.let_in(&old).await?;
            Ok((count > 0).then(|| format!("{count} servers let the old password in")))
        })
        .await?;
    stage.until_ready().await
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

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_secret_that_is_deleted_comes_back_as_it_was() -> Result<()> {
    let stage = Stage::set("deleted-keys", 39).await?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    let before = stage.api::<Secret>().get("lobby-keys").await.context("read the Secret")?.data;
    // For a gateway that does not start the operator looks at once, and not within a minute.
    stage.kubelet.break_image("broken");
    stage.change(json!({ "template": { "image": "broken" } })).await?;
    stage
        .until(async |stage| {
            let pods = stage.pods("gateway").await?.len();
            Ok((pods < 2).then(|| "no gateway of the new template".to_owned()))
        })
        .await?;
    stage.api::<Secret>().delete("lobby-keys", &DeleteParams::default()).await.context("delete the Secret")?;
    stage
        .until(async |stage| {
            let found = stage.api::<Secret>().get_opt("lobby-keys").await.context("read the Secret again")?;
            let is_same = found.is_some_and(|found| found.data == before);
            Ok((!is_same).then(|| "the Secret is not what it was".to_owned()))
        })
        .await?;
    ensure!(stage.let_in(&stage.present_key("redis-password").await?).await? == 6, "servers have another password");
    Ok(())
}
