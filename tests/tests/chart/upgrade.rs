//! From the chart as it was to the chart as it is, on a real API server: what was installed stays, and ChatRooms with it.
//!
//! `before.tgz` is the chart of an earlier commit, as `git archive COMMIT:charts parlor | gzip` makes it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use parlor_tests::{control_plane::ControlPlane, programs::repository};
use serde_json::Value;

use crate::{chart, run};

const ROOM: &str = "apiVersion: parlor.chat/v1alpha1
kind: ChatRoom
metadata: {name: lobby}
spec: {replicas: 2, drain: {rate: 300}, redis: {external: {seeds: [redis.example:6379]}}}
";

#[tokio::test]
async fn the_chart_before_this_one_is_upgraded_with_its_values_and_chatrooms_stay_as_they_are() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let namespace = plane.namespace("upgrade").await?;
    let (before, now) = (before(), chart());
    let (before, now) = (before.to_str().context("no UTF-8")?, now.to_str().context("no UTF-8")?);
    let helm = |arguments: &[&str]| run(&plane, "helm", &[&["--namespace", &namespace], arguments].concat());
    let kubectl = |arguments: &[&str]| run(&plane, "kubectl", &[&["--namespace", &namespace], arguments].concat());
    helm(&["install", "parlor", before, "--set", "image.registry=reg.local/team", "--set", "replicas=2"])?;
    kubectl(&["wait", "--for=condition=Established", "--timeout=20s", "crd/chatrooms.parlor.chat"])?;
    let file = write_room(&namespace)?;
    kubectl(&["apply", "--filename", file.to_str().context("no UTF-8")?])?;
    let room = |kubectl: &dyn Fn(&[&str]) -> Result<String>| -> Result<Value> {
        Ok(serde_json::from_str(&kubectl(&["get", "chatroom", "lobby", "--output", "json"])?)?)
    };
    let old = room(&kubectl)?;
    helm(&["upgrade", "parlor", now, "--reset-then-reuse-values"])?;
    let new = room(&kubectl)?;
    ensure!(old["metadata"]["uid"] == new["metadata"]["uid"], "the ChatRoom was made again");
    for field in ["replicas", "drain", "redis"] {
        let (old, new) = (&old["spec"][field], &new["spec"][field]);
        ensure!(is_part_of(old, new), "spec.{field} was {old} and is {new}");
    }
    let image = "jsonpath={.spec.template.spec.containers[0].image} {.spec.replicas}";
    let said = kubectl(&["get", "deployment", "parlor-operator", "--output", image])?;
    ensure!(said == "reg.local/team/parlor-operator:0.1.0 2", "the values were lost: {said}");
    helm(&["rollback", "parlor", "1"])?;
    ensure!(room(&kubectl)?["metadata"]["uid"] == old["metadata"]["uid"], "the ChatRoom did not survive the way back");
    fs::remove_file(file)?;
    Ok(())
}

/// Whether `new` has everything that `old` has: new fields may have got their defaults.
fn is_part_of(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(name, value)| new.get(name).is_some_and(|new| is_part_of(value, new)))
        }
        _ => old == new,
    }
}

fn write_room(namespace: &str) -> Result<PathBuf> {
    let file = std::env::temp_dir().join(format!("parlor-{}-{namespace}.yaml", std::process::id()));
    fs::write(&file, ROOM)?;
    Ok(file)
}

fn before() -> PathBuf {
    repository().join("tests/tests/chart/before.tgz")
}
