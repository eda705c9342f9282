//! An API server that refuses, that is slow, and that is gone.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use parlor_tests::{
    control_plane::ControlPlane,
    fate::{Fate, Life},
    stage::{Operator, Stage, external},
};
use serde_json::json;

/// How long the API server is gone; a minute with `PROOFS=long`.
const GONE: Duration = Duration::from_secs(20);
const GONE_LONG: Duration = Duration::from_secs(60);
/// Several passes at rest.
const QUIET: Duration = Duration::from_secs(16);

/// A stage whose operator has this fate.
async fn stage_of(life: &Life, name: &str, network: u8) -> Result<Stage> {
    let Stage { client, namespace, kubelet, operator } = Stage::set(name, network).await?;
    operator.stop().await?;
    let operator = Operator::start(life.client(client.clone()), &namespace);
    Ok(Stage { client, namespace, kubelet, operator })
}

/// Form, grow, shrink; and then nothing is written.
async fn a_life_and_then_rest(stage: &Stage, life: &Life) -> Result<()> {
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_gateways(1).await?;
    stage.change(json!({ "replicas": 3 })).await?;
    stage.until_gateways(3).await?;
    stage.change(json!({ "replicas": 2 })).await?;
    stage.until_gateways(2).await?;
    life.turn(Fate::Calm);
    stage.until_ready().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = life.writes().len();
    tokio::time::sleep(QUIET).await;
    let more = life.writes().len() - before;
    ensure!(more == 0, "{more} writes at rest");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_conflicts_throttling_errors_and_broken_connections_only_delays() -> Result<()> {
    let life = Life::with(Fate::Refused(30));
    let stage = stage_of(&life, "storm", 63).await?;
    a_life_and_then_rest(&stage, &life).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_takes_half_a_second_for_everything_only_delays() -> Result<()> {
    let life = Life::with(Fate::Slow(Duration::from_millis(500)));
    let stage = stage_of(&life, "slow", 64).await?;
    a_life_and_then_rest(&stage, &life).await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_gone_gateways_serve_on_and_afterwards_an_operator_catches_up() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let mut stage = Stage::set_on(&plane, "gone", 65).await?;
    stage.create(external(json!({ "replicas": 2 }))).await?;
    stage.until_ready().await?;
    let names: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    signal(&plane.process("kube-apiserver"), "STOP")?;
    let pause = if std::env::var("PROOFS").is_ok_and(|how| how == "long") { GONE_LONG } else { GONE };
    let successor = Operator::start(stage.client.clone(), &stage.namespace);
    let old = std::mem::replace(&mut stage.operator, successor);
    // A leader that cannot renew its lease ends; its Deployment starts it again.
    let ended = tokio::time::timeout(pause, old.ended()).await;
    tokio::time::sleep(pause.saturating_sub(Duration::from_secs(15))).await;
    let drained = stage.kubelet.gateways().values().filter(|gateway| gateway.draining).count();
    signal(&plane.process("kube-apiserver"), "CONT")?;
    ensure!(drained == 0, "{drained} gateways were drained meanwhile");
    ensure!(ended.is_ok_and(|ended| ended.is_err()), "the operator led on without its lease");
    stage.operator = Operator::start(stage.client.clone(), &stage.namespace);
    stage.change(json!({ "replicas": 3 })).await?;
    stage.until_gateways(3).await?;
    let after: Vec<String> = stage.gateways().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(names.iter().all(|name| after.contains(name)), "{names:?} became {after:?}");
    Ok(())
}

fn signal(pid_file: &Path, signal: &str) -> Result<()> {
    let pid = std::fs::read_to_string(pid_file).with_context(|| format!("read {}", pid_file.display()))?;
    let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().context("run kill")?;
    ensure!(sent.success(), "kill -{signal} {pid}: {sent}");
    Ok(())
}
