//! An operator that is killed at every one of its writes: before the API server has it, or after. Its successors finish the
//! work. A new operator writes everything once more, so the one that dies at its nth write gets no further than that.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use parlor_crds::ChatRoom;
use parlor_operator::reconcile::observed::is_ready;
use parlor_tests::{
    fate::{Fate, Life},
    stage::{Operator, Stage, external, missing},
};
use serde_json::{Value, json};

/// For one scenario, however many operators it takes.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn is_long() -> bool {
    std::env::var("PROOFS").is_ok_and(|how| how == "long")
}

/// A stage whose operators all die early.
struct Fatal {
    stage: Stage,
    /// Operators that were killed.
    deaths: u32,
}

impl Fatal {
    async fn set(name: &str, network: u8) -> Result<Self> {
        let Stage { client, namespace, kubelet, operator } = Stage::set(name, network).await?;
        operator.stop().await?;
        let operator = Operator::start(Life::with(Fate::CutOff).client(client.clone()), &namespace);
        Ok(Self { stage: Stage { client, namespace, kubelet, operator }, deaths: 0 })
    }

    /// Lets operators live and die until nothing is missing: the first dies at its first write, the next at its second, and so
    /// on, by turns when the API server has carried it out and before. With `PROOFS=long` each dies both ways.
    async fn until(
        &mut self,
        what: &str,
        mut missing: impl AsyncFnMut(&Stage) -> Result<Option<String>>,
    ) -> Result<()> {
        let (start, before) = (Instant::now(), self.deaths);
        loop {
            let nth = self.deaths - before;
            let write = if is_long() { nth / 2 } else { nth } + 1;
            let life = Life::with(Fate::DiesAt { write, carried_out: nth.is_multiple_of(2) });
            self.stage.operator = Operator::start(life.client(self.stage.client.clone()), &self.stage.namespace);
            loop {
                let Some(why) = missing(&self.stage).await? else {
                    println!("-- {what}: {} operators died", self.deaths - before);
                    return Ok(());
                };
                ensure!(start.elapsed() < PATIENCE, "{what}: {why}, and {} operators died", self.deaths - before);
                if tokio::time::timeout(LOOK_EVERY, life.died()).await.is_ok() {
                    break;
                }
            }
            self.deaths += 1;
            self.bury().await?;
        }
    }

    /// The dead one's lease is taken away, for which a real successor would wait 15 s.
    async fn bury(&mut self) -> Result<()> {
        let (client, namespace) = (self.stage.client.clone(), self.stage.namespace.clone());
        self.stage.operator = Operator::start(Life::with(Fate::CutOff).client(client), &namespace);
        let leases = self.stage.api::<Lease>();
        leases.delete_collection(&DeleteParams::default(), &ListParams::default()).await.context("delete the lease")?;
        Ok(())
    }

    async fn until_gateways(&mut self, what: &str, wanted: usize) -> Result<()> {
        let mut last = Vec::new();
        self.until(what, async |stage| {
            people_leave(stage, &mut last).await?;
            let (serving, all) = (stage.gateways().await?, stage.pods("gateway").await?.len());
            let ready = serving.iter().filter(|pod| is_ready(pod)).count();
            let settled = missing(&stage.room().await?, "Progressing", "False");
            let wrong = ready != wanted || all != wanted;
            Ok(wrong.then(|| format!("{ready} of {all} gateways, not {wanted}")).or(settled))
        })
        .await
    }
}

/// People leave gateways that drain; and no gateway may go before they have.
async fn people_leave(stage: &Stage, last: &mut Vec<(String, u32)>) -> Result<()> {
    let there: Vec<String> = stage.pods("gateway").await?.iter().map(ResourceExt::name_any).collect();
    for (name, connections) in last.iter() {
        ensure!(there.contains(name) || *connections == 0, "{name} went with {connections} people on it");
    }
    last.clear();
    for (name, gateway) in stage.kubelet.gateways() {
        let left = if gateway.draining { gateway.connections.saturating_sub(4) } else { gateway.connections };
        stage.kubelet.gateway(&name, |gateway| gateway.connections = left);
        last.push((name, left));
    }
    Ok(())
}

async fn people_come(stage: &Stage) -> Result<()> {
    for pod in stage.gateways().await? {
        stage.kubelet.gateway(&pod.name_any(), |gateway| gateway.connections = 20);
    }
    Ok(())
}

/// Form, grow, shrink with people on the gateways, roll out, go.
async fn a_life(fatal: &mut Fatal, spec: Value) -> Result<()> {
    fatal.stage.create(spec).await?;
    fatal.until_gateways("form", 2).await?;
    fatal.stage.change(json!({ "replicas": 4 })).await?;
    fatal.until_gateways("from 2 to 4 gateways", 4).await?;
    people_come(&fatal.stage).await?;
    fatal.stage.change(json!({ "replicas": 2 })).await?;
    fatal.until_gateways("from 4 to 2 gateways with people on them", 2).await?;
    let old: Vec<String> = fatal.stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    fatal.stage.change(json!({ "template": { "podAnnotations": { "a": "b" } } })).await?;
    fatal.until_gateways("a new template", 2).await?;
    let new: Vec<String> = fatal.stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(new.iter().all(|name| !old.contains(name)), "{old:?} became {new:?}");
    fatal.stage.api::<ChatRoom>().delete("lobby", &DeleteParams::default()).await.context("delete the ChatRoom")?;
    fatal
        .until("deletion", async |stage| {
            let left = stage.api::<Pod>().list(&ListParams::default()).await?.items.len();
            Ok((left > 0).then(|| format!("{left} pods are left")))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_die_at_every_write_form_scale_roll_out_and_delete_a_chatroom() -> Result<()> {
    let mut fatal = Fatal::set("killed", 60).await?;
    a_life(&mut fatal, external(json!({ "replicas": 2 }))).await?;
    ensure!(fatal.deaths >= 20, "only {} operators died", fatal.deaths);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_die_at_every_write_form_a_redis_cluster_change_its_shards_and_rotate_its_password() -> Result<()>
{
    let mut fatal = Fatal::set("killed-redis", 61).await?;
    fatal.stage.create(json!({ "replicas": 2 })).await?;
    fatal.until_gateways("form with a Redis Cluster", 2).await?;
    fatal.until("every shard in sync", async |stage| Ok(missing(&stage.room().await?, "RedisReady", "True"))).await?;
    for (what, shards) in [("from 3 to 4 shards", 4), ("from 4 to 3 shards", 3)] {
        fatal.stage.change(json!({ "redis": { "managed": { "shards": shards } } })).await?;
        fatal.until(what, async |stage| stage.resharding(shards).await).await?;
    }
    let old = fatal.stage.present_key("redis-password").await?;
    fatal.stage.rotate("1").await?;
    fatal.until("another password", async |stage| stage.rotating(&old).await).await
}
