//! Managed Redis over its life against a real API server. The Redis servers are real; the node, and what gateways answer, are
//! played.

mod audited;
mod life;
mod measured;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use parlor_tests::stage::Stage;
use serde_json::json;

/// For what takes many steps of the operator, one per second at most.
const MANY_STEPS: Duration = Duration::from_secs(240);

/// Which pods there are, by name.
async fn uids(stage: &Stage, component: &str) -> Result<BTreeMap<String, Option<String>>> {
    Ok(stage.pods(component).await?.iter().map(|pod: &Pod| (pod.name_any(), pod.uid())).collect())
}

/// Changes the number of shards, and waits until they serve.
async fn reshard(stage: &Stage, shards: usize) -> Result<()> {
    stage.change(json!({ "redis": { "managed": { "shards": shards } } })).await?;
    stage.until_reason("Progressing", "RedisResharding").await?;
    stage.until_within(MANY_STEPS, async |stage| stage.resharding(shards).await).await
}
