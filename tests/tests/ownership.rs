//! The operator among objects and ChatRooms of other people, and the sentences with which it says what is wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota, Secret, Service};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use parlor_crds::ChatRoom;
use parlor_tests::{
    control_plane::ControlPlane,
    stage::{Operator, Stage, external, message, missing},
};
use serde_json::{Value, json};

/// Several passes at rest.
const QUIET: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_others_are_named_and_neither_changed_nor_deleted() -> Result<()> {
    let stage = Stage::set("foreign", 30).await?;
    let service: Service = object(json!({
        "metadata": { "name": "lobby" }, "spec": { "selector": { "app": "alice" }, "ports": [{ "port": 80 }] },
    }))?;
    let secret: Secret = object(json!({
        "metadata": { "name": "lobby-keys" }, "stringData": { "signing-key": "alice's" },
    }))?;
    let service =
        stage.api::<Service>().create(&PostParams::default(), &service).await.context("create the Service")?;
    let secret = stage.api::<Secret>().create(&PostParams::default(), &secret).await.context("create the Secret")?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_reason("Ready", "NameTaken").await?;
    tokio::time::sleep(QUIET).await;
    let said = message(&stage.room().await?, "Ready");
    ensure!(said.contains("Secret/lobby-keys exists") && said.contains("left alone"), "{said}");
    ensure!(stage.pods("gateway").await?.is_empty(), "gateways were made with somebody else's keys");
    stage.api::<ChatRoom>().delete("lobby", &DeleteParams::default()).await?;
    tokio::time::sleep(QUIET).await;
    let service_now = stage.api::<Service>().get("lobby").await.context("the Service is gone")?;
    let secret_now = stage.api::<Secret>().get("lobby-keys").await.context("the Secret is gone")?;
    ensure!(service_now.resource_version() == service.resource_version(), "the Service was changed: {service_now:?}");
    ensure!(secret_now.resource_version() == secret.resource_version(), "the Secret was changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_becomes_free_is_used_without_help() -> Result<()> {
    let stage = Stage::set("freed", 31).await?;
    let service: Service = object(json!({ "metadata": { "name": "lobby" }, "spec": { "ports": [{ "port": 80 }] } }))?;
    stage.api::<Service>().create(&PostParams::default(), &service).await.context("create the Service")?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_reason("Ready", "NameTaken").await?;
    stage.api::<Service>().delete("lobby", &DeleteParams::default()).await?;
    stage.until_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_chatroom_whose_names_collide_is_told_which_chatroom_has_them() -> Result<()> {
    let stage = Stage::set("collide", 32).await?;
    stage
        .create(external(json!({ "replicas": 1, "protocols": { "native": {}, "onlyone": { "port": 9090 } } })))
        .await?;
    stage.until_ready().await?;
    let second: ChatRoom = object(json!({
        "apiVersion": "parlor.chat/v1alpha1", "kind": "ChatRoom", "metadata": { "name": "lobby-onlyone" },
        "spec": external(json!({ "replicas": 1 })),
    }))?;
    stage.api::<ChatRoom>().create(&PostParams::default(), &second).await.context("create the second ChatRoom")?;
    stage
        .until(async |stage| {
            let said = message(&stage.api::<ChatRoom>().get("lobby-onlyone").await?, "Ready");
            let named = said.contains("Service/lobby-onlyone exists and belongs to ChatRoom/lobby");
            Ok((!named).then_some(said))
        })
        .await?;
    ensure!(missing(&stage.room().await?, "Ready", "True").is_none(), "the first one suffers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_keeps_pods_away_is_named() -> Result<()> {
    let stage = Stage::set("quota", 33).await?;
    let quota: ResourceQuota = object(json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } }))?;
    stage.api::<ResourceQuota>().create(&PostParams::default(), &quota).await.context("create the quota")?;
    stage.create(json!({ "replicas": 1 })).await?;
    stage
        .until(async |stage| {
            let room = stage.room().await?;
            let (gateways, redis) = (message(&room, "GatewaysAvailable"), message(&room, "RedisReady"));
            let named = gateways.contains("exceeded quota") && redis.contains("exceeded quota");
            Ok((!named).then(|| format!("{gateways:?} and {redis:?}")))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_size_has_an_event_with_its_own_numbers() -> Result<()> {
    let stage = Stage::set("events", 34).await?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    for size in [2, 1, 3] {
        stage.until_ready().await?;
        stage.change(json!({ "replicas": size })).await?;
    }
    stage
        .until(async |stage| {
            let events = stage.api::<Event>().list(&ListParams::default()).await?.items;
            let notes: Vec<String> = events.into_iter().filter_map(|event| event.message).collect();
            let wanted = ["spec.replicas is 1", "spec.replicas is 2", "spec.replicas is 3"];
            let all = wanted.iter().all(|note| notes.iter().any(|said| said == note));
            Ok((!all).then(|| format!("{notes:#?}")))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_chatroom_is_left_as_it_is_until_it_is_resumed() -> Result<()> {
    let stage = Stage::set("paused", 35).await?;
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_ready().await?;
    annotate(&stage, json!("true")).await?;
    stage.until_reason("Paused", "Annotation").await?;
    stage.change(json!({ "replicas": 2 })).await?;
    stage.api::<Service>().delete("lobby", &DeleteParams::default()).await?;
    tokio::time::sleep(QUIET).await;
    ensure!(stage.api::<Service>().get_opt("lobby").await?.is_none(), "the Service was made again");
    ensure!(stage.pods("gateway").await?.len() == 1, "the fleet was changed");
    annotate(&stage, Value::Null).await?;
    stage.until_gateways(2).await?;
    stage.until_ready().await?;
    ensure!(message(&stage.room().await?, "Paused").is_empty(), "Paused is still said");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_refused_slows_nothing_else() -> Result<()> {
    let stage = Stage::set("refused", 36).await?;
    // The API server takes it in the ChatRoom and refuses it in the Service.
    let service = json!({ "type": "ClusterIP", "annotations": { "not a key!": "x" } });
    let protocols = json!({ "native": {}, "onlyone": { "port": 9090 } });
    stage.create(external(json!({ "replicas": 1, "protocols": protocols, "service": service }))).await?;
    stage.until_gateways(1).await?;
    stage.until_reason("Ready", "ApplyFailed").await?;
    let said = message(&stage.room().await?, "Ready");
    ensure!(said.contains("Service/lobby-onlyone") && !said.contains("ListMeta"), "{said}");
    tokio::time::sleep(QUIET).await;
    let asked = std::time::Instant::now();
    let gateway = stage.gateways().await?[0].name_any();
    stage.api::<Pod>().delete(&gateway, &DeleteParams::default()).await?;
    stage.change(json!({ "replicas": 2 })).await?;
    stage.until_gateways(2).await?;
    ensure!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_resource_is_one_sentence_at_start() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let client = plane.client().await?;
    let namespace = plane.namespace("missing").await?;
    let operator = Operator::start(client, &namespace);
    let ended = tokio::time::timeout(Duration::from_secs(20), operator.ended()).await.context("it did not end")?;
    let said = ended.err().context("it ended well")?.to_string();
    ensure!(said.contains("the cluster has no resource ChatRoom") && said.contains("crds.enabled=true"), "{said}");
    Ok(())
}

async fn annotate(stage: &Stage, value: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "parlor.chat/paused": value } } }));
    stage.api::<ChatRoom>().patch("lobby", &PatchParams::default(), &patch).await.context("annotate the ChatRoom")?;
    Ok(())
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).context("write the object")
}
