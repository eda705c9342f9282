//! Two operators: the one that is cut off has ended before the other begins, and writes nothing when it is back. Those of two
//! releases wait for each other.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_operator::run::RunError;
use parlor_tests::{
    control_plane::ControlPlane,
    fate::{Fate, Life},
    stage::{Operator, Stage, external},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_cut_off_ends_before_another_begins_and_never_writes_again() -> Result<()> {
    let Stage { client, namespace, kubelet, operator } = Stage::set("rivals", 62).await?;
    operator.stop().await?;
    let (first, second) = (Life::with(Fate::Calm), Life::with(Fate::Calm));
    let old = Operator::start(first.client(client.clone()), &namespace);
    let mut stage = Stage { client, namespace, kubelet, operator: old };
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_ready().await?;
    ensure!(!first.writes().is_empty(), "the first operator wrote nothing");
    let rival = Operator::start(second.client(stage.client.clone()), &stage.namespace);
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(second.writes().is_empty(), "two operators act at the same time");
    first.turn(Fate::CutOff);
    let cut = Instant::now();
    let old = std::mem::replace(&mut stage.operator, rival);
    stage.change(json!({ "replicas": 2 })).await?;
    let ended = tokio::time::timeout(Duration::from_secs(20), old.ended()).await;
    let ended = ended.context("the operator that is cut off lives on")?;
    ensure!(matches!(ended, Err(RunError::Leader(_))), "it ended otherwise: {ended:?}");
    let ended = Instant::now();
    stage.until_gateways(2).await?;
    let began = second.writes().first().copied().context("the second operator wrote nothing")?;
    ensure!(ended < began, "the second began {:?} before the first had ended", ended - began);
    println!("-- cut off, ended after {:?}, the other began after {:?}", ended - cut, began - cut);
    let last = first.writes().last().copied().context("no writes")?;
    first.turn(Fate::Calm);
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(first.writes().last() == Some(&last) && last < began, "the first wrote after the second had begun");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_releases_that_watch_every_namespace_the_second_waits_until_the_first_is_gone() -> Result<()> {
    // The ChatRooms of other tests are not theirs.
    let plane = ControlPlane::start().await?;
    let Stage { client, namespace, kubelet, operator } = Stage::set_on(&plane, "releases", 67).await?;
    operator.stop().await?;
    let (first, second) = (Life::with(Fate::Calm), Life::with(Fate::Calm));
    let old = Operator::start_for_all(first.client(client.clone()), &plane.namespace("old-release").await?);
    let mut stage = Stage { client, namespace, kubelet, operator: old };
    stage.create(external(json!({ "replicas": 1 }))).await?;
    stage.until_ready().await?;
    let new = Operator::start_for_all(second.client(stage.client.clone()), &plane.namespace("new-release").await?);
    // Longer than a lease lasts.
    tokio::time::sleep(Duration::from_secs(18)).await;
    ensure!(second.writes().is_empty(), "two releases act at the same time");
    let old = std::mem::replace(&mut stage.operator, new);
    old.stop().await?;
    stage.change(json!({ "replicas": 2 })).await?;
    stage.until_gateways(2).await?;
    ensure!(!second.writes().is_empty(), "the second release never began");
    Ok(())
}
