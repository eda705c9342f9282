//! A namespace of a real cluster, spoken to as people do: through kubectl. This machine is the cluster's node, so the
//! pods' own addresses can be reached too.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use parlor_crds::contract::{ADMIN_PORT, GatewayStatus};
use serde_json::Value;

use crate::{cluster::command, gateway::http};

/// No command may take longer, in seconds: the longest of them wait for two minutes.
const LONGEST: u32 = 180;
/// What comes and goes by itself: heartbeats, and the log of what happened.
const PASSING: [&str; 3] = ["leases.coordination.k8s.io", "events", "events.events.k8s.io"];

/// A program that ended with an error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{command} ended with {code}: {said}")]
pub struct Failed {
    pub command: String,
    /// 124 if it had to be ended.
    pub code: i32,
    /// Its errors.
    pub said: String,
}

/// One namespace.
#[derive(Clone, Debug)]
pub struct Namespace(String);

impl Namespace {
    /// An existing namespace.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// A new one; an old one of that name goes first.
    pub async fn fresh(name: &str) -> Result<Self> {
        let here = Self::named(name);
        here.remove().await?;
        kubectl(&["create", "namespace", name], None)?;
        Ok(here)
    }

    /// Deletes the namespace and waits until it is gone.
    pub async fn remove(&self) -> Result<()> {
        if kubectl(&["get", "namespace", &self.0], None).is_err() {
            return Ok(());
        }
        // The ChatRooms first: a namespace whose pods may drain for an hour is looked at again only in half of that.
        self.kubectl(&["delete", "chatrooms.parlor.chat", "--all"])?;
        let empty = || Ok(self.list("pods", "")?.is_empty().then_some(()));
        eventually(Duration::from_secs(120), empty).await.context("wait for the pods of the namespace to end")?;
        kubectl(&["delete", "namespace", &self.0, "--timeout=120s"], None)?;
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs kubectl in the namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&[&["--namespace", &self.0], arguments].concat(), None)
    }

    /// `kubectl apply` of this text.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        kubectl(&["--namespace", &self.0, "apply", "-f", "-"], Some(manifest))
    }

    /// One object.
    pub fn get(&self, what: &str, name: &str) -> Result<Value> {
        json(&self.kubectl(&["get", what, name, "-o", "json"])?)
    }

    /// All objects of these kinds with these labels.
    pub fn list(&self, kinds: &str, labels: &str) -> Result<Vec<Value>> {
        let mut list = json(&self.kubectl(&["get", kinds, "-l", labels, "-o", "json", "--show-managed-fields"])?)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("a list without items: {other}"),
        }
    }

    /// Every object in the namespace of every kind that the API server knows, by kind and name; without Leases, which
    /// are heartbeats, and Events, which are a log.
    pub fn everything(&self) -> Result<BTreeMap<String, Value>> {
        let kinds = kubectl(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"], None)?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !PASSING.contains(kind)).collect();
        let objects = self.list(&kinds.join(","), "")?;
        let named = |o: Value| (format!("{}/{}", o["kind"].as_str().unwrap_or_default(), name(&o)), o);
        Ok(objects.into_iter().map(named).collect())
    }

    /// The pods with these labels that are ready and not on their way out.
    pub fn ready_pods(&self, labels: &str) -> Result<Vec<Value>> {
        let mut pods = self.list("pods", labels)?;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null() && condition(pod, "Ready") == "True");
        Ok(pods)
    }

    /// Waits until the ChatRoom is Ready as it is written now, or says why it is not. More gateways and copies may still come.
    pub async fn room_ready(&self, room: &str, within: Duration) -> Result<Value> {
        self.room_says(room, &[("Ready", "True")], within).await
    }

    /// Waits until the ChatRoom is Ready as it is written now and nothing is under way, or says what is.
    pub async fn room_settled(&self, room: &str, within: Duration) -> Result<Value> {
        self.room_says(room, &[("Ready", "True"), ("Progressing", "False")], within).await
    }

    async fn room_says(&self, room: &str, wanted: &[(&str, &str)], within: Duration) -> Result<Value> {
        let found = eventually(within, || {
            let object = self.get("chatroom", room)?;
            let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let says_all = wanted.iter().all(|(kind, status)| condition(&object, kind) == *status);
            Ok((current && says_all).then_some(object))
        });
        match found.await {
            Ok(object) => Ok(object),
            Err(error) => {
                let status = self.get("chatroom", room)?["status"].clone();
                let pods = self.kubectl(&["get", "pods", "-o", "wide"])?;
                Err(error.context(format!("{room} does not say {wanted:?}: {status:#}\n{pods}")))
            }
        }
    }
}

/// Runs kubectl, with this on its standard input.
pub fn kubectl(arguments: &[&str], input: Option<&str>) -> Result<String> {
    run("kubectl", arguments, input)
}

/// Runs a program of the cluster, with this on its standard input; an error is of type [`Failed`].
pub fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String> {
    let mut child = command(program, LONGEST)?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {program}"))?;
    let mut stdin = child.stdin.take().context("a child without an input")?;
    stdin.write_all(input.unwrap_or_default().as_bytes()).with_context(|| format!("write to {program}"))?;
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("wait for {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let command = format!("{program} {}", arguments.join(" "));
        return Err(Failed { command, code: output.status.code().unwrap_or(-1), said }.into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tries twice per second until there is an answer; fails with the last error when there is none in time.
pub async fn eventually<T>(within: Duration, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let last = attempt();
        match last {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) if Instant::now() > deadline => bail!("it did not come true within {within:?}"),
            Err(error) if Instant::now() > deadline => return Err(error.context(format!("still after {within:?}"))),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

/// Status of a condition; empty where there is none.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    said(object, kind, "status")
}

/// Reason of a condition; empty where there is none.
pub fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    said(object, kind, "reason")
}

fn said<'a>(object: &'a Value, kind: &str, field: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|c| c["type"] == kind).find_map(|c| c[field].as_str()).unwrap_or_default()
}

/// Name of an object.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// What a gateway's pod says of itself.
pub async fn gateway_status(pod: &Value) -> Result<GatewayStatus> {
    let (code, body) = http(address(pod, ADMIN_PORT)?, "GET", "/status").await?;
    ensure!(code == 200, "/status answered {code}");
    serde_json::from_str(&body).with_context(|| format!("read {body}"))
}

/// Whether a Redis pod is a primary now, asked with the password of its ChatRoom.
pub fn is_primary(pod: &Value) -> Result<bool> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let secret = format!("{}-keys", text("/metadata/labels/app.kubernetes.io~1instance"));
    let template = "go-template={{index .data \"redis-password\" | base64decode}}";
    let password = kubectl(&["-n", text("/metadata/namespace"), "get", "secret", &secret, "-o", template], None)?;
    let mut redis = TcpStream::connect_timeout(&address(pod, 6379)?, Duration::from_secs(5)).context("reach Redis")?;
    redis.set_read_timeout(Some(Duration::from_secs(5))).context("set a deadline")?;
    write!(redis, "AUTH {password}\r\nROLE\r\nQUIT\r\n").context("ask for the role")?;
    let mut answer = String::new();
    redis.read_to_string(&mut answer).context("read the role")?;
    Ok(answer.contains("\r\nmaster\r\n"))
}

fn address(pod: &Value, port: u16) -> Result<SocketAddr> {
    let ip = pod["status"]["podIP"].as_str().with_context(|| format!("{} has no address", name(pod)))?;
    Ok(SocketAddr::new(ip.parse().context("read the pod's address")?, port))
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("read kubectl's JSON")
}
