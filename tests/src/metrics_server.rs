//! A real metrics server for a control plane of tests: an autoscaler asks it, through the API server, how much CPU pods use.
//!
//! It reads that from the played kubelet. Decides only where it listens and how the API server finds it. Called by the tests of
//! autoscalers.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::{api::core::v1::Service, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::{Api, api::PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{control_plane::ControlPlane, kubelet::RESOURCES_PORT, programs};

const NAME: &str = "metrics-server";
const METRICS: &str = "v1beta1.metrics.k8s.io";
/// It measures once before it says that it is there.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// The running server; it ends when this is dropped.
pub struct MetricsServer {
    process: Child,
    certificates: PathBuf,
}

impl MetricsServer {
    /// Starts it, for all nodes of the control plane.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let program = tokio::task::block_in_place(programs::checks)?.join(NAME);
        let free = TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port();
        let certificates = std::env::temp_dir().join(format!("parlor-{NAME}-{}", std::process::id()));
        let mut command = Command::new(&program);
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            command.arg(flag).arg(plane.kubeconfig());
        }
        let process = command
            .args(["--bind-address=127.0.0.1", &format!("--secure-port={free}")])
            .arg("--cert-dir")
            .arg(&certificates)
            // No shorter resolution is allowed, and no longer wait for a kubelet than that.
            .args([
                "--metric-resolution=10s",
                "--kubelet-request-timeout=5s",
                "--kubelet-preferred-address-types=InternalIP",
            ])
            .args([&format!("--kubelet-port={RESOURCES_PORT}"), "--deprecated-kubelet-completely-insecure"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut server = Self { process, certificates };
        let published = publish(plane, free).await?;
        server.until_available(&published).await?;
        Ok(server)
    }

    /// Waits until the API server has found it.
    async fn until_available(&mut self, published: &Api<APIService>) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().context("look at the metrics server")? {
                bail!("the metrics server ended: {status}");
            }
            let conditions = published.get(METRICS).await?.status.and_then(|status| status.conditions);
            let mut conditions = conditions.into_iter().flatten();
            let found = conditions.find(|one| one.type_ == "Available");
            if found.as_ref().is_some_and(|one| one.status == "True") {
                return Ok(());
            }
            ensure!(start.elapsed() < FOUND_WITHIN, "the API server does not find the metrics server: {found:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.certificates));
    }
}

/// Tells the API server where it is. The control plane has no node, and so no Service with an address.
async fn publish(plane: &ControlPlane, port: u16) -> Result<Api<APIService>> {
    let client = plane.client().await?;
    let service = typed::<Service>(json!({
        "metadata": { "name": NAME }, "spec": { "type": "ExternalName", "externalName": "localhost" },
    }))?;
    let api_service = typed::<APIService>(json!({
        "metadata": { "name": METRICS },
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": { "namespace": "kube-system", "name": NAME, "port": port },
        },
    }))?;
    let services = Api::<Service>::namespaced(client.clone(), "kube-system");
    services.create(&PostParams::default(), &service).await.context("create the Service")?;
    let api_services = Api::<APIService>::all(client);
    api_services.create(&PostParams::default(), &api_service).await.context("create the APIService")?;
    Ok(api_services)
}

fn typed<K: DeserializeOwned>(value: Value) -> Result<K> {
    serde_json::from_value(value).context("write a manifest")
}
