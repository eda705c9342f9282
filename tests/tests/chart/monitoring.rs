//! Alerts and dashboard: Prometheus reads every expression, and every metric in them exists.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, ensure};
use parlor_tests::programs::{self, repository};
use regex::Regex;
use serde_json::{Value, json};

use crate::{list, of_kind, render, text};

/// What a histogram or a counter adds to its name.
const SUFFIXES: [&str; 3] = ["_bucket", "_count", "_sum"];

fn alerts() -> Result<Value> {
    let objects = render(&["monitoring.rules.enabled=true"])?;
    Ok(of_kind(&objects, "PrometheusRule")[0]["spec"].clone())
}

/// The expressions of the dashboard, with a namespace in place of its variable.
fn dashboard() -> Result<Vec<String>> {
    let objects = render(&["monitoring.dashboard.enabled=true"])?;
    let file = of_kind(&objects, "ConfigMap")[0]["data"]["parlor.json"].clone();
    let dashboard: Value = serde_json::from_str(file.as_str().context("no dashboard")?).context("it is no JSON")?;
    let panels = list(&dashboard, "/panels");
    let targets = panels.iter().flat_map(|panel| list(panel, "/targets"));
    let expressions = targets.filter_map(|target| target["expr"].as_str().map(|text| text.replace("$namespace", ".*")));
    Ok(expressions.collect())
}

fn all_expressions() -> Result<Vec<String>> {
    let rules = list(&alerts()?, "/groups/0/rules");
    let of_alerts = rules.iter().filter_map(|rule| rule["expr"].as_str().map(str::to_owned));
    Ok(of_alerts.chain(dashboard()?).collect())
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_exist() -> Result<()> {
    let documented = fs::read_to_string(repository().join("docs/metrics.md"))?;
    let known: BTreeSet<&str> =
        documented.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let name = Regex::new("parlor_[a-z_]+")?;
    let expressions = all_expressions()?;
    ensure!(expressions.len() > 10, "only {} expressions", expressions.len());
    for expression in expressions {
        for found in name.find_iter(&expression).map(|found| found.as_str()) {
            let whole = SUFFIXES.iter().find_map(|suffix| found.strip_suffix(suffix)).unwrap_or(found);
            ensure!(known.contains(found) || known.contains(whole), "{found} is no metric, in {expression}");
        }
    }
    Ok(())
}

#[test]
fn prometheus_reads_every_alert_and_every_expression_of_the_dashboard() -> Result<()> {
    let mut rules = alerts()?;
    // As a recording rule, an expression of the dashboard is read by the same parser.
    let of_dashboard: Vec<Value> = dashboard()?
        .into_iter()
        .enumerate()
        .map(|(at, expr)| json!({ "record": format!("dashboard:{at}"), "expr": expr }))
        .collect();
    if let Some(Value::Array(groups)) = rules.get_mut("groups") {
        groups.push(json!({ "name": "dashboard", "rules": of_dashboard }));
    }
    let file = std::env::temp_dir().join(format!("parlor-rules-{}.yaml", std::process::id()));
    fs::write(&file, serde_yaml::to_string(&rules)?)?;
    let checked = Command::new(programs::checks()?.join("checkrules")).arg(&file).output().context("run checkrules")?;
    fs::remove_file(&file)?;
    ensure!(checked.status.success(), "{}", text(&checked));
    Ok(())
}
