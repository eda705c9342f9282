//! What the operator does for a fleet that runs: keys that changed, and connections that are spread unevenly.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Secret};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use parlor_tests::stage::{Operator, Stage, external};
use serde_json::json;

/// Several passes.
const QUIET: Duration = Duration::from_secs(8);

async fn write_secret(stage: &Stage, value: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mine" }, "stringData": { "token": value, "password": value },
    });
    let how = PatchParams::apply("tests").force();
    stage.api::<Secret>().patch("mine", &how, &Patch::Apply(&secret)).await.context("write the Secret")?;
    Ok(())
}

/// A new operator reads Secrets at once; one that runs would do so within a minute.
async fn another_operator(stage: Stage) -> Result<Stage> {
    let Stage { client, namespace, kubelet, operator } = stage;
    operator.stop().await?;
    let operator = Operator::start(client.clone(), &namespace);
    Ok(Stage { client, namespace, kubelet, operator })
}

async fn templates(stage: &Stage) -> Result<Vec<String>> {
    let sets = stage.api::<ReplicaSet>().list(&ListParams::default()).await?.items;
    Ok(sets.iter().map(ResourceExt::name_any).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_token_that_gateways_read_once_replaces_them_and_a_changed_password_does_not() -> Result<()> {
    let stage = Stage::set("rotation", 70).await?;
    write_secret(&stage, "first").await?;
    let named = json!({ "secretRef": { "name": "mine", "key": "token" } });
    let password = json!({ "name": "mine", "key": "password" });
    let redis = json!({ "external": { "seeds": ["redis.example:6379"], "passwordSecretRef": password } });
    let spec = json!({ "replicas": 1, "redis": redis });
    stage.create(spec).await?;
    stage.until_ready().await?;
    let before = templates(&stage).await?;
    write_secret(&stage, "second").await?;
    let stage = another_operator(stage).await?;
    tokio::time::sleep(QUIET).await;
    ensure!(templates(&stage).await? == before, "a password is read again by gateways, and needs no new ones");
    stage.change(json!({ "protocols": { "native": {}, "onlyone": { "token": named } } })).await?;
    stage.until_ready().await?;
    stage.until_gateways(1).await?;
    let before = stage.gateways().await?[0].name_any();
    write_secret(&stage, "third").await?;
    let stage = another_operator(stage).await?;
    stage
        .until(async |stage| {
            let now: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
            Ok(now.contains(&before).then(|| format!("{before} still serves with the old token")))
        })
        .await?;
    stage.until_ready().await?;
    // A Secret that is replaced is gone for a moment. That is no reason to replace anyone.
    let before = templates(&stage).await?;
    stage.api::<Secret>().delete("mine", &DeleteParams::default()).await.context("delete the Secret")?;
    tokio::time::sleep(QUIET).await;
    write_secret(&stage, "third").await?;
    tokio::time::sleep(QUIET).await;
    ensure!(templates(&stage).await? == before, "{before:?} changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_keys_that_were_deleted_are_made_again_and_every_gateway_gets_them() -> Result<()> {
    let stage = Stage::set("regenerated", 71).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_ready().await?;
    let old: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    stage.api::<Secret>().delete("lobby-keys", &DeleteParams::default()).await.context("delete the Secret")?;
    let stage = another_operator(stage).await?;
    stage
        .until(async |stage| {
            let now: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
            let left = now.iter().filter(|name| old.contains(name)).count();
            Ok((left > 0 || now.len() != 2).then(|| format!("{left} gateways have the old keys, {} serve", now.len())))
        })
        .await?;
    stage.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_scale_up_people_move_until_gateways_are_within_a_tenth_of_each_other() -> Result<()> {
    let stage = Stage::set("rebalance", 72).await?;
    let drain = json!({ "rate": 100_000, "rebalance": true });
    stage.create(external(json!({ "replicas": 2, "drain": drain }))).await?;
    stage.until_gateways(2).await?;
    for pod in stage.gateways().await? {
        stage.kubelet.gateway(&pod.name_any(), |gateway| gateway.connections = 9_000);
    }
    stage.change(json!({ "replicas": 3 })).await?;
    stage.until_gateways(3).await?;
    stage
        .until(async |stage| {
            let all: Vec<u32> = stage.kubelet.gateways().values().map(|gateway| gateway.connections).collect();
            let (least, most) = (all.iter().min().copied().unwrap_or(0), all.iter().max().copied().unwrap_or(0));
            Ok((most - least > 600).then(|| format!("connections are {all:?}")))
        })
        .await?;
    ensure!(stage.kubelet.gateways().values().all(|gateway| !gateway.draining), "a gateway was drained for it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_set_share_of_gateways_with_people_drains_at_once() -> Result<()> {
    let stage = Stage::set("share", 73).await?;
    stage.create(external(json!({ "replicas": 6, "drain": { "atOnce": 33 } }))).await?;
    stage.until_gateways(6).await?;
    for pod in stage.gateways().await? {
        stage.kubelet.gateway(&pod.name_any(), |gateway| gateway.connections = 5);
    }
    stage.change(json!({ "replicas": 1 })).await?;
    let mut most = 0;
    stage
        .until(async |stage| {
            let gateways = stage.kubelet.gateways();
            let full = gateways.iter().filter(|(_, gateway)| gateway.draining && gateway.connections > 0);
            let full: Vec<String> = full.map(|(name, _)| name.clone()).collect();
            most = most.max(full.len());
            for name in full {
                stage.kubelet.gateway(&name, |gateway| gateway.connections -= 1);
            }
            Ok((stage.pods("gateway").await?.len() > 1).then(|| format!("{} gateways are left", gateways.len())))
        })
        .await?;
    ensure!(most == 2, "{most} of 6 gateways drained at the same time");
    Ok(())
}
