//! Autoscalers of others: the examples say what is true, and a HorizontalPodAutoscaler sizes a ChatRoom through `/scale`.
//!
//! The autoscaler and its metrics server are real; how much CPU gateways use is played. KEDA itself is not run: its operator
//! links the clients of every cloud. Its example is held against KEDA's own definition and its table of triggers.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscaler,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams, ValidationDirective},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::wait::{await_condition, conditions},
};
use parlor_operator::reconcile::observed::is_ready;
use parlor_tests::{
    control_plane::ControlPlane,
    metrics_server::MetricsServer,
    programs::{self, repository},
    stage::{Stage, external},
};
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

/// What KEDA says of the parameters of one kind of trigger.
fn parameters(kind: &str) -> Result<Vec<Value>> {
    let table = fs::read_to_string(programs::checks()?.join("keda-triggers.json")).context("read KEDA's table")?;
    let table: Value = serde_json::from_str(&table).context("parse KEDA's table")?;
    let mut scalers = table["scalers"].as_array().into_iter().flatten();
    let scaler = scalers.find(|scaler| scaler["type"] == kind).with_context(|| format!("KEDA has no {kind}"))?;
    Ok(scaler["parameters"].as_array().cloned().unwrap_or_default())
}

#[test]
fn keda_reads_every_trigger_of_its_example_and_prometheus_reads_the_query() -> Result<()> {
    let scaler = documents("keda.yaml")?.pop().context("no ScaledObject")?;
    let triggers = scaler["spec"]["triggers"].as_array().cloned().unwrap_or_default();
    ensure!(triggers.len() == 2, "{triggers:?}");
    for trigger in &triggers {
        let kind = trigger["type"].as_str().unwrap_or_default();
        let (known, given) = (parameters(kind)?, trigger["metadata"].as_object().cloned().unwrap_or_default());
        for name in given.keys() {
            ensure!(known.iter().any(|one| one["name"] == **name), "{kind} has no parameter {name}");
        }
        let is_needed = |one: &&Value| one["optional"] != true && one.get("default").is_none();
        for needed in known.iter().filter(is_needed) {
            let name = needed["name"].as_str().unwrap_or_default();
            ensure!(given.contains_key(name), "{kind} lacks {name}");
        }
    }
    let query = &triggers[0]["metadata"]["query"];
    let rules = json!({ "groups": [{ "name": "keda", "rules": [{ "record": "keda:query", "expr": query }] }] });
    let file = std::env::temp_dir().join(format!("parlor-keda-{}.yaml", std::process::id()));
    fs::write(&file, serde_yaml::to_string(&rules)?)?;
    let checked = Command::new(programs::checks()?.join("checkrules")).arg(&file).output().context("run checkrules")?;
    fs::remove_file(&file)?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keda_s_own_definition_accepts_the_example_as_it_stands() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let (client, namespace) = (plane.client().await?, plane.namespace("keda").await?);
    let checks = tokio::task::block_in_place(programs::checks)?;
    let definition = fs::read_to_string(checks.join("keda-scaledobjects.yaml")).context("read KEDA's definition")?;
    let definition: CustomResourceDefinition = serde_yaml::from_str(&definition)?;
    let name = definition.metadata.name.clone().context("a definition without a name")?;
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    definitions.create(&PostParams::default(), &definition).await.context("create KEDA's definition")?;
    let established = await_condition(definitions, &name, conditions::is_crd_established());
    tokio::time::timeout(Duration::from_secs(20), established).await.context("it is not established")??;
    let example = documents("keda.yaml")?.pop().context("no ScaledObject")?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject"));
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, &kind);
    // A field that KEDA does not know is refused rather than dropped.
    let strictly = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("tests") };
    api.patch("sized", &strictly, &Patch::Apply(example)).await.context("KEDA's definition refuses the example")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_horizontal_pod_autoscaler_sizes_a_chatroom_by_its_cpu_and_parlor_drains_whom_it_takes_away() -> Result<()> {
    let stage = Stage::set("hpa", 66).await?;
    let _metrics = MetricsServer::start(ControlPlane::shared().await?).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_gateways(2).await?;
    let mut example = documents("hpa.yaml")?.pop().context("no autoscaler")?;
    example["spec"]["scaleTargetRef"]["name"] = json!("lobby");
    let scaler: HorizontalPodAutoscaler = serde_json::from_value(example)?;
    let api = stage.api::<HorizontalPodAutoscaler>();
    api.create(&PostParams::default(), &scaler).await.context("create the autoscaler")?;
    // It wants three at least, whatever the metrics say.
    stage.until_gateways(3).await?;
    // 90 % of what they request; the example wants 60 %.
    for pod in stage.gateways().await? {
        stage.kubelet.gateway(&pod.name_any(), |gateway| gateway.cores = 0.09);
    }
    until_gateways(&stage, 5).await?;
    let room = stage.room().await?;
    ensure!(room.spec.replicas == Some(5), "{:?}", room.spec.replicas);
    let seen = api.get("sized").await?.status.context("no status")?;
    let able = seen.conditions.iter().flatten().find(|one| one.type_ == "AbleToScale").context("no AbleToScale")?;
    ensure!(able.status == "True", "{able:?}");
    // Nothing serves the other metric here, and an autoscaler that lacks one never shrinks. It waits for no evening either.
    let calm = json!({ "spec": {
        "metrics": [scaler.spec.metrics.iter().flatten().next()],
        "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } },
    } });
    let busiest = |at: usize| if at == 0 { 0 } else { 40 };
    for (at, pod) in stage.gateways().await?.iter().enumerate() {
        stage.kubelet.gateway(&pod.name_any(), |gateway| (gateway.cores, gateway.connections) = (0.04, busiest(at)));
    }
    let emptiest = stage.gateways().await?.first().map(ResourceExt::name_any).context("no gateway")?;
    api.patch("sized", &PatchParams::default(), &Patch::Merge(calm)).await.context("calm the autoscaler")?;
    until_gateways(&stage, 4).await?;
    let left: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(!left.contains(&emptiest), "{emptiest} had nobody, and {left:?} are left");
    Ok(())
}

/// A metrics server measures every ten seconds, and a rate needs two measurements.
async fn until_gateways(stage: &Stage, wanted: usize) -> Result<()> {
    let enough = Duration::from_secs(120);
    stage
        .until_within(enough, async |stage| {
            let serving = stage.gateways().await?.iter().filter(|pod| is_ready(pod)).count();
            Ok((serving != wanted).then(|| format!("{serving} gateways serve, wanted {wanted}")))
        })
        .await
}
