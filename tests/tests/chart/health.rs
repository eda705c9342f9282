//! What tools of GitOps make of a ChatRoom's status: Argo CD by the Lua file in `docs/gitops`, Flux by the rules of kstatus.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use parlor_tests::{kstatus::kstatus, programs::repository};
use serde_json::{Value, json};

/// A ChatRoom as it was seen by the operator, with these conditions: type, status, reason.
fn room(conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, reason)| json!({ "type": kind, "status": status, "reason": reason, "message": "why" }))
        .collect();
    json!({
        "metadata": { "generation": 3 }, "spec": { "suspend": false },
        "status": { "observedGeneration": 3, "conditions": conditions },
    })
}

/// What is seen, and what Argo CD and kstatus make of it.
fn cases() -> Vec<(Value, &'static str, &'static str)> {
    let settled = ("Progressing", "False", "Settled");
    let rolling = ("Progressing", "True", "RollingOut");
    let mut unseen = room(&[("Ready", "True", "Serving"), settled]);
    unseen["metadata"]["generation"] = json!(4);
    // As the API server fills it in before the operator has seen it.
    let new = json!({ "metadata": { "generation": 1 }, "spec": {}, "status": { "observedGeneration": -1 } });
    let mut suspended = room(&[("Ready", "False", "Suspended"), settled]);
    suspended["spec"]["suspend"] = json!(true);
    vec![
        (new, "Progressing", "InProgress"),
        (unseen, "Progressing", "InProgress"),
        (room(&[("Ready", "True", "Serving"), settled]), "Healthy", "Current"),
        (
            room(&[("Ready", "True", "Serving"), rolling, ("Reconciling", "True", "RollingOut")]),
            "Progressing",
            "InProgress",
        ),
        (
            room(&[("Ready", "False", "NoneReady"), rolling, ("Reconciling", "True", "RollingOut")]),
            "Progressing",
            "InProgress",
        ),
        (room(&[("Ready", "False", "InvalidSpec"), ("Stalled", "True", "InvalidSpec")]), "Degraded", "Failed"),
        (room(&[("Ready", "Unknown", "NoReports"), settled]), "Progressing", "InProgress"),
        (room(&[("Ready", "False", "Unavailable"), settled]), "Degraded", "InProgress"),
        (room(&[("Paused", "True", "Annotation"), ("Ready", "True", "Serving")]), "Suspended", "Current"),
        (suspended, "Suspended", "InProgress"),
    ]
}

#[test]
fn argo_cd_and_kstatus_tell_a_rollout_from_its_end_and_from_a_mistake() -> Result<()> {
    for (room, argo_cd, wanted) in cases() {
        ensure!(kstatus(&room) == wanted, "kstatus says {} of {room}", kstatus(&room));
        let said = lua_health(&room)?;
        ensure!(said.starts_with(&format!("{argo_cd}\n")), "Argo CD says {said} of {room}");
    }
    Ok(())
}

/// Runs the Lua file as Argo CD does: the object is the global `obj`, and the result is a table.
fn lua_health(room: &Value) -> Result<String> {
    let file = fs::read_to_string(repository().join("docs/gitops/argocd-health.lua"))?;
    let program = format!(
        "obj = {}\nlocal health = (function()\n{file}\nend)()\nprint(health.status)\nprint(health.message)",
        lua(room)
    );
    let output = Command::new("lua5.4").args(["-e", &program]).output().context("run lua5.4: is it installed?")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A value as Lua writes it.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(name, value)| format!("[{name:?}] = {}", lua(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("{{ {} }}", items.iter().map(lua).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
