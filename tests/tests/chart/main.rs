//! The Helm chart: what it renders, what it refuses, and that a real API server takes it.

mod health;
mod images;
mod monitoring;
mod release;
mod upgrade;
mod values;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use parlor_crds::contract::SHARED_PORT;
use parlor_tests::{
    control_plane::ControlPlane,
    programs::{self, repository},
};
use serde::Deserialize;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_chart_carries_the_generated_resource() -> Result<()> {
    let generated = fs::read_to_string(repository().join("crds/chatroom.yaml"))?;
    let copy = chart().join("files/chatroom.yaml");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&copy, &generated)?;
    }
    let carried = fs::read_to_string(&copy)?;
    ensure!(carried == generated, "the chart's copy is old; run UPDATE=1 cargo test -p parlor-tests --test chart");
    Ok(())
}

#[test]
fn helm_finds_nothing_to_complain_about() -> Result<()> {
    let output = helm(&["lint", "--strict"], &[])?;
    ensure!(output.status.success(), "{}", text(&output));
    Ok(())
}

#[test]
fn the_resource_is_kept_on_uninstall_and_left_out_on_request() -> Result<()> {
    let crds = of_kind(&render(&[])?, "CustomResourceDefinition");
    ensure!(crds.len() == 1, "{} resources", crds.len());
    let kept = crds[0].pointer("/metadata/annotations/helm.sh~1resource-policy");
    ensure!(kept == Some(&Value::from("keep")), "the policy is {kept:?}");
    ensure!(of_kind(&render(&["crds.enabled=false"])?, "CustomResourceDefinition").is_empty());
    Ok(())
}

#[test]
fn no_rule_has_a_wildcard_or_lets_the_operator_raise_its_own_rights() -> Result<()> {
    for values in [&[][..], &["watchNamespaces={red,blue}"]] {
        let objects = render(values)?;
        let roles = [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat();
        for rule in roles.iter().flat_map(|role| list(role, "/rules")) {
            for field in ["/apiGroups", "/resources", "/verbs"] {
                for word in list(&rule, field) {
                    let word = word.as_str().context("a word that is no string")?.to_owned();
                    let refused = ["*", "escalate", "bind", "impersonate", "deletecollection"];
                    ensure!(!refused.contains(&word.as_str()), "{word} in {rule}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn naming_namespaces_gives_rights_there_and_nowhere_else() -> Result<()> {
    let objects = render(&["watchNamespaces={red,blue}"])?;
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        ensure!(of_kind(&objects, kind).is_empty(), "a {kind} is left");
    }
    let places = |kind| -> BTreeSet<String> {
        of_kind(&objects, kind).iter().filter_map(|o| Some(o.pointer("/metadata/namespace")?.to_string())).collect()
    };
    for kind in ["Role", "RoleBinding"] {
        ensure!(places(kind) == BTreeSet::from(["red", "blue", "parlor"].map(|n| format!("{n:?}"))), "{kind}");
    }
    let operator = &of_kind(&objects, "Deployment")[0];
    let told = list(operator, "/spec/template/spec/containers/0/env");
    let wanted = serde_json::json!({"name": "PARLOR_WATCH_NAMESPACES", "value": "red,blue"});
    ensure!(told.contains(&wanted), "{told:?}");
    Ok(())
}

#[test]
fn the_operators_pods_have_the_name_that_network_policies_of_chatrooms_let_through() -> Result<()> {
    let operator = &of_kind(&render(&[])?, "Deployment")[0];
    let name = operator.pointer("/spec/template/metadata/labels/app.kubernetes.io~1name");
    ensure!(name == Some(&Value::from("parlor-operator")), "{name:?}");
    Ok(())
}

#[test]
fn its_test_talks_to_the_shared_port_of_the_named_chatroom() -> Result<()> {
    let values = ["test.chatRoom=hall", "test.namespace=town", "test.path=/talk"];
    let pod = &of_kind(&render(&values)?, "Pod")[0];
    let url = format!("ws://hall.town.svc:{SHARED_PORT}/talk");
    let arguments = list(pod, "/spec/containers/0/args");
    ensure!(arguments == ["probe", &url], "{arguments:?}");
    Ok(())
}

#[test]
fn images_take_a_registry_a_digest_and_pull_secrets_everywhere() -> Result<()> {
    let digest = format!("sha256:{}", "a".repeat(64));
    let values = [
        "global.imageRegistry=reg.local/team",
        &format!("image.digest={digest}"),
        "imagePullSecrets={pull}",
        "noFixedUsers=true",
    ];
    let objects = render(&values)?;
    let images: Vec<Value> =
        pods(&objects).iter().filter_map(|pod| pod.pointer("/containers/0/image").cloned()).collect();
    let wanted = [format!("reg.local/team/parlor-operator@{digest}"), "reg.local/team/parlor-gateway:0.1.0".into()];
    ensure!(images == wanted, "{images:?}");
    for pod in pods(&objects) {
        ensure!(list(&pod, "/imagePullSecrets") == [serde_json::json!({ "name": "pull" })], "{pod}");
        ensure!(pod.pointer("/securityContext/runAsUser").is_none(), "{pod}");
    }
    let environment = list(&of_kind(&objects, "Deployment")[0], "/spec/template/spec/containers/0/env");
    ensure!(environment.iter().any(|one| one["name"] == "PARLOR_GATEWAY_IMAGE" && one["value"] == wanted[1].as_str()));
    Ok(())
}

#[test]
fn monitoring_is_rendered_on_request_and_every_alert_links_its_own_section_of_the_runbook() -> Result<()> {
    let nothing = render(&[])?;
    for kind in ["PodMonitor", "PrometheusRule", "NetworkPolicy", "ConfigMap"] {
        ensure!(of_kind(&nothing, kind).is_empty(), "{kind} without being asked for");
    }
    let objects = render(&[
        "monitoring.podMonitor.enabled=true",
        "monitoring.rules.enabled=true",
        "monitoring.rules.runbook=https://wiki.example.com/parlor",
        "monitoring.dashboard.enabled=true",
        "networkPolicy.enabled=true",
    ])?;
    ensure!(of_kind(&objects, "PodMonitor").len() == 2 && of_kind(&objects, "NetworkPolicy").len() == 1);
    let runbook = fs::read_to_string(repository().join("docs/operations.md"))?;
    let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    let sections: BTreeSet<String> = runbook.lines().filter(|line| line.starts_with("### ")).map(heading).collect();
    let alerts = list(&of_kind(&objects, "PrometheusRule")[0], "/spec/groups/0/rules");
    ensure!(!alerts.is_empty());
    for alert in alerts {
        let name = alert["alert"].as_str().context("an alert without a name")?;
        let section = name.to_lowercase();
        ensure!(sections.contains(&section), "docs/operations.md has no section {name}");
        let link = alert.pointer("/annotations/runbook_url").and_then(Value::as_str);
        ensure!(link == Some(&format!("https://wiki.example.com/parlor#{section}")), "{name} links {link:?}");
    }
    Ok(())
}

#[test]
fn two_operators_have_a_disruption_budget_and_one_has_none() -> Result<()> {
    ensure!(of_kind(&render(&[])?, "PodDisruptionBudget").is_empty());
    ensure!(of_kind(&render(&["replicas=2"])?, "PodDisruptionBudget").len() == 1);
    Ok(())
}

#[test]
fn no_container_has_a_cpu_limit_or_a_secret_among_its_arguments() -> Result<()> {
    for pod in pods(&render(&[])?) {
        for container in list(&pod, "/containers") {
            ensure!(container.pointer("/resources/limits").is_none(), "{container}");
            let arguments = list(&container, "/args").iter().map(Value::to_string).collect::<String>();
            ensure!(!arguments.contains("token") && !arguments.contains("password"), "{arguments}");
        }
    }
    Ok(())
}

#[test]
fn wrong_values_are_refused_with_their_path() -> Result<()> {
    for (value, path) in [
        ("replicas=0", "/replicas"),
        ("replicas=many", "/replicas"),
        ("replica=2", "'replica'"),
        ("port=80", "/port"),
        ("watchNamespaces={Red}", "/watchNamespaces/0"),
        ("watchNamespaces=red", "/watchNamespaces"),
        ("crds.enabled=perhaps", "/crds/enabled"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("image.tag=a b", "/image/tag"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("global.imageRegistry=reg.local/", "/global/imageRegistry"),
        ("gateway.image.repository=", "/gateway/image/repository"),
        ("resources.requests.cpu=fast", "/resources/requests/cpu"),
        ("test.path=chat", "/test/path"),
    ] {
        let output = helm_template(&[value])?;
        ensure!(!output.status.success(), "{value} was taken");
        ensure!(text(&output).contains(path), "{value} is refused without {path}: {}", text(&output));
    }
    Ok(())
}

#[tokio::test]
async fn a_restricted_namespace_admits_its_pods_and_uninstalling_keeps_the_resource() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let namespace = plane.namespace("restricted").await?;
    let kubectl = |arguments: &[&str]| run(&plane, "kubectl", arguments);
    kubectl(&["label", "namespace", &namespace, "pod-security.kubernetes.io/enforce=restricted"])?;
    let chart = chart();
    let chart = chart.to_str().context("a path that is no UTF-8")?;
    let notes = run(&plane, "helm", &["install", "--namespace", &namespace, "parlor", chart])?;
    ensure!(notes.contains("WARNING: the image parlor-operator:0.1.0 names no registry"), "{notes}");
    let start = Instant::now();
    while kubectl(&["get", "pods", "--namespace", &namespace, "--output", "name"])?.is_empty() {
        let events = kubectl(&["get", "events", "--namespace", &namespace])?;
        ensure!(start.elapsed() < PATIENCE, "no pod of the operator:\n{events}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    kubectl(&["wait", "--for=condition=Established", "--timeout=20s", "crd/chatrooms.parlor.chat"])?;
    run(&plane, "helm", &["uninstall", "--namespace", &namespace, "parlor"])?;
    kubectl(&["get", "crd/chatrooms.parlor.chat"])?;
    Ok(())
}

fn chart() -> PathBuf {
    repository().join("charts/parlor")
}

/// The objects that the chart makes with these values, its test's pod included.
fn render(values: &[&str]) -> Result<Vec<Value>> {
    let output = helm_template(values)?;
    ensure!(output.status.success(), "{}", text(&output));
    let rendered = String::from_utf8(output.stdout)?;
    let objects = serde_yaml::Deserializer::from_str(&rendered).map(Value::deserialize);
    let objects = objects.collect::<Result<Vec<_>, _>>().context("parse what helm rendered")?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

fn helm_template(values: &[&str]) -> Result<Output> {
    helm(&["template", "parlor", "--namespace=parlor"], values)
}

fn helm(command: &[&str], values: &[&str]) -> Result<Output> {
    let mut helm = Command::new(programs::directory()?.join("helm"));
    helm.args(command).arg(chart());
    for value in values {
        helm.args(["--set", value]);
    }
    helm.output().context("run helm")
}

/// Runs a program against the control plane and returns what it prints.
fn run(plane: &ControlPlane, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(plane.programs().join(program))
        .args(arguments)
        .env("KUBECONFIG", plane.kubeconfig())
        .output()
        .with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program} {arguments:?}: {}", text(&output));
    Ok(String::from_utf8(output.stdout)?)
}

fn of_kind(objects: &[Value], kind: &str) -> Vec<Value> {
    objects.iter().filter(|object| object["kind"] == kind).cloned().collect()
}

/// The specifications of all pods, whether by themselves or in a Deployment.
fn pods(objects: &[Value]) -> Vec<Value> {
    let of_deployments = of_kind(objects, "Deployment").into_iter().map(|d| d["spec"]["template"]["spec"].clone());
    of_deployments.chain(of_kind(objects, "Pod").into_iter().map(|p| p["spec"].clone())).collect()
}

fn list(object: &Value, path: &str) -> Vec<Value> {
    object.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
