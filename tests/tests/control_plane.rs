//! The control plane that the operator is tested against: it is real, and it ends with its test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use parlor_tests::control_plane::ControlPlane;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn controllers_make_the_pods_of_a_replicaset_and_collect_them_with_it() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let namespace = plane.namespace("replicaset").await?;
    let client = plane.client().await?;
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), &namespace);
    let set = serde_json::from_value(json!({
        "metadata": {"name": "two"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "two"}},
            "template": {
                "metadata": {"labels": {"app": "two"}},
                "spec": {"containers": [{"name": "any", "image": "none"}]},
            },
        },
    }))?;
    sets.create(&PostParams::default(), &set).await.context("create the ReplicaSet")?;
    let pods = Api::<Pod>::namespaced(client, &namespace);
    await_count(&pods, 2).await?;
    sets.delete("two", &DeleteParams::background()).await.context("delete the ReplicaSet")?;
    await_count(&pods, 0).await
}

#[tokio::test]
async fn a_control_plane_is_gone_once_it_is_dropped() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let client = plane.client().await?;
    client.apiserver_version().await.context("ask for the version")?;
    let kubeconfig = plane.kubeconfig();
    tokio::task::spawn_blocking(move || drop(plane)).await?;
    ensure!(!kubeconfig.exists(), "{} is still there", kubeconfig.display());
    ensure!(client.apiserver_version().await.is_err(), "the API server still answers");
    Ok(())
}

async fn await_count(pods: &Api<Pod>, wanted: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let found = pods.list(&ListParams::default()).await.context("list the pods")?.items.len();
        if found == wanted {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "{found} pods, wanted {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
