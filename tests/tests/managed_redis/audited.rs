//! Real gateways on a managed Redis: nothing that was acknowledged is lost while the operator changes it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use parlor_crds::contract::{REDIS_AUTHORITY, REDIS_PASSWORD};
use parlor_operator::redis::{client, connection::Connection};
use parlor_tests::{
    audit::{self, Plan},
    gateway::{Gateway, Setup},
    stage::{Operator, Stage},
};
use serde_json::json;
use tokio::net::TcpStream;

use crate::{MANY_STEPS, reshard, uids};

/// A real gateway on the stage's Redis.
pub(crate) async fn gateway(stage: &Stage) -> Result<Gateway> {
    let seeds: Vec<String> = stage.redis_ips().await?.iter().map(|ip| format!("{ip}:{}", client::PORT)).collect();
    let password = stage.present_key("redis-password").await?;
    let setup = Setup::spec("protocols: {native: {}}\nreplicas: 3\nredis: {managed: {}}").redis(&seeds);
    Gateway::start(&setup.secret(REDIS_PASSWORD, &password)).await
}

/// Ends every connection of clients at every server, so that each is opened again with what is known now.
pub(crate) async fn hang_up(stage: &Stage, password: &str) -> Result<()> {
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
    let old = stage.present_key("redis-password").await?;
    stage.rotate("1").await?;
    stage
        .until_within(MANY_STEPS, async |stage| {
            let current = stage.present_key("redis-password").await?;
            gateways.iter().try_for_each(|gateway| gateway.remount(REDIS_PASSWORD, &current))?;
            stage.rotating(&old).await
        })
        .await?;
    println!("the password was rotated in {:.1} s", began.elapsed().as_secs_f64());
    let current = stage.present_key("redis-password").await?;
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

/// Servers that present the newest certificate.
async fn renewed(stage: &Stage) -> Result<usize> {
    let views = stage.views(&stage.secured().await?).await?;
    Ok(views.iter().filter(|view| !view.certificate_is_old).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_and_servers_speak_tls_and_nothing_acknowledged_is_lost_while_the_certificate_is_renewed() -> Result<()>
{
    let mut stage = Stage::set("tls", 37).await?;
    stage.create(json!({ "replicas": 1, "redis": { "managed": { "tls": {} } } })).await?;
    stage.until_ready().await?;
    let current = stage.present_key("redis-password").await?;
    ensure!(stage.let_in(&current).await? == 0, "a server answers without TLS");
    ensure!(renewed(&stage).await? == 6, "a server presents another certificate");
    let before = uids(&stage, "redis").await?;

    let authority = stage.present_key("redis-ca.crt").await?;
    let manifest = format!(
        "apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {{name: lobby, namespace: {}}}\n\
         spec: {{protocols: {{native: {{}}}}, replicas: 3, redis: {{managed: {{tls: {{}}}}}}}}",
        stage.namespace
    );
    let seeds: Vec<String> = stage.redis_ips().await?.iter().map(|ip| format!("{ip}:{}", client::PORT)).collect();
    let setup = Setup::manifest(&manifest).redis(&seeds).secret(REDIS_PASSWORD, &current);
    let gateway = Gateway::start(&setup.secret(REDIS_AUTHORITY, &authority)).await?;

    let first = stage.key("redis-tls.crt").await?;
    let due = Patch::Merge(json!({ "stringData": { "redis-tls-renewed-at": "2001-01-01" } }));
    stage.api::<Secret>().patch("lobby-keys", &PatchParams::default(), &due).await.context("make the renewal due")?;
    // A new operator reads the Secret at once; one that runs would do so within a minute.
    let Stage { client, namespace, kubelet, operator } = stage;
    operator.stop().await?;
    let operator = Operator::start(client.clone(), &namespace);
    stage = Stage { client, namespace, kubelet, operator };
    stage
        .until_within(MANY_STEPS, async |stage| {
            let is_renewed = stage.key("redis-tls.crt").await? != first;
            Ok((!is_renewed).then(|| "the certificate is the old one".to_owned()))
        })
        .await?;
    let plan = Plan { native: vec![gateway.url("/chat")], duration: Duration::from_secs(30), ..Plan::default() };
    let audit = tokio::spawn(async move { audit::run(&plan).await });
    stage
        .until_within(MANY_STEPS, async |stage| {
            let count = renewed(stage).await?;
            Ok((count < 6).then(|| format!("{count} servers present the new certificate")))
        })
        .await?;
    let report = audit.await.context("the auditor's task ended")??;
    ensure!(report.verdict.is_clean() && report.verdict.acknowledged > 0, "{report}\n{}", gateway.log());
    ensure!(uids(&stage, "redis").await? == before, "a server was restarted");
    stage.until_ready().await
}
