//! Autoscalers of others: the examples say what is true, and a HorizontalPodAutoscaler sizes a ChatRoom through `/scale`.

use std::fs;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::PostParams;
use parlor_crds::ChatRoom;
use parlor_tests::programs::repository;
use parlor_tests::stage::{Stage, external};
use serde::Deserialize;
use serde_json::{Value, json};

fn documents(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(repository().join("docs/examples/autoscalers").join(file))?;
    let documents = serde_yaml::Deserializer::from_str(&text).map(Value::deserialize);
    documents.collect::<Result<_, _>>().context("parse the example")
}

#[test]
fn the_examples_name_the_chatroom_beside_them_and_metrics_that_exist() -> Result<()> {
    let metrics = fs::read_to_string(repository().join("docs/metrics.md"))?;
    for file in ["hpa.yaml", "keda.yaml"] {
        let [room, scaler] = <[Value; 2]>::try_from(documents(file)?).ok().context("two documents")?;
        let read = parlor_crds::load(&serde_yaml::to_string(&room)?)?;
        ensure!(read.spec.replicas.is_some() && read.spec.scaling.is_none(), "{file}: /scale needs spec.replicas");
        let target = &scaler["spec"]["scaleTargetRef"];
        for field in ["apiVersion", "kind"] {
            ensure!(target[field] == room[field], "{file}: scaleTargetRef.{field} is {}", target[field]);
        }
        ensure!(target["name"] == room["metadata"]["name"], "{file}: scaleTargetRef.name is {}", target["name"]);
        let text = scaler.to_string();
        let named: Vec<&str> = text.match_indices("parlor_").map(|(at, _)| word(&text[at..])).collect();
        ensure!(!named.is_empty(), "{file} names no metric");
        for metric in named {
            ensure!(metrics.contains(&format!("| `{metric}` |")), "{file}: {metric} is no metric");
        }
    }
    Ok(())
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_horizontal_pod_autoscaler_sizes_a_chatroom_which_drains_whom_it_takes_away() -> Result<()> {
    let stage = Stage::set("hpa", 66).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_gateways(2).await?;
    let mut example = documents("hpa.yaml")?.pop().context("no autoscaler")?;
    example["spec"]["scaleTargetRef"]["name"] = json!("lobby");
    let scaler: HorizontalPodAutoscaler = serde_json::from_value(example)?;
    let api = stage.api::<HorizontalPodAutoscaler>();
    api.create(&PostParams::default(), &scaler).await.context("create the autoscaler")?;
    // It wants three at least, whatever the metrics say.
    stage.until_gateways(3).await?;
    let room = stage.api::<ChatRoom>().get("lobby").await?;
    ensure!(room.spec.replicas == Some(3), "{:?}", room.spec.replicas);
    let seen = api.get("sized").await?.status.context("no status")?;
    let able = seen.conditions.iter().flatten().find(|one| one.type_ == "AbleToScale").context("no AbleToScale")?;
    ensure!(able.status == "True", "{able:?}");
    ensure!(seen.current_replicas.is_some_and(|seen| seen >= 2), "it counts {:?} gateways", seen.current_replicas);
    Ok(())
}
