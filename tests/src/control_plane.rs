//! A real API server for tests: etcd, kube-apiserver and kube-controller-manager on a loopback address of their own.
//!
//! Decides where the processes live and when they end. How they are built and started is `tests/cluster/up`'s
//! business; there is no node, so nothing runs the pods. Called by the operator's tests and the chart's.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{await_condition, conditions},
};
use tokio::sync::OnceCell;

use crate::programs::{exported_path, repository, up};

/// How long the API server may take to serve a new resource.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);
/// Control planes that one test process has started.
static STARTED: AtomicU8 = AtomicU8::new(0);
static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// A running control plane; it ends when this is dropped, or when the test process ends in whatever way.
pub struct ControlPlane {
    launcher: Child,
    lifeline: Option<ChildStdin>,
    state: PathBuf,
    programs: PathBuf,
}

impl ControlPlane {
    /// The control plane that all tests of this process use, each in a namespace of its own; started by the first.
    pub async fn shared() -> Result<&'static Self> {
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a control plane: some 4 s, or ten minutes the first time on a machine, when it is built.
    pub async fn start() -> Result<Self> {
        let nth = STARTED.fetch_add(1, Ordering::Relaxed);
        let plane = tokio::task::spawn_blocking(move || Self::launch(std::process::id(), nth))
            .await
            .context("the launcher's thread ended")??;
        Ok(plane)
    }

    fn launch(pid: u32, nth: u8) -> Result<Self> {
        let state = std::env::temp_dir().join(format!("parlor-control-plane-{pid}-{nth}"));
        let mut launcher = Command::new(up())
            .args(["--only", "control-plane", "--until-eof", "--state"])
            .arg(&state)
            .args(["--address", &loopback(pid, nth)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", up().display()))?;
        let lifeline = launcher.stdin.take();
        let output = launcher.stdout.take().context("the launcher has no output")?;
        let mut said = String::new();
        for line in BufReader::new(output).lines() {
            let line = line.context("read what the launcher says")?;
            if let Some(programs) = exported_path(&line) {
                return Ok(Self { launcher, lifeline, state, programs });
            }
            said.push_str(&line);
            said.push('\n');
        }
        if let Some(mut errors) = launcher.stderr.take() {
            errors.read_to_string(&mut said).context("read the launcher's errors")?;
        }
        let status = launcher.wait().context("wait for the launcher")?;
        bail!("the control plane did not start ({status}):\n{said}")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    /// The file that holds the pid of one of its processes, such as `kube-apiserver`.
    pub fn process(&self, name: &str) -> PathBuf {
        self.state.join("pid").join(name)
    }

    /// The directory of `kubectl` and `helm`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// A client of the administrator for the calling runtime, which is the only one that may use it.
    pub async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).context("read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("use the kubeconfig")?;
        Client::try_from(config).context("make a client")
    }

    /// Creates a namespace whose name begins with `prefix`, and returns the name.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let mut wanted = Namespace::default();
        wanted.metadata.generate_name = Some(format!("{prefix}-"));
        let made = Api::<Namespace>::all(self.client().await?)
            .create(&PostParams::default(), &wanted)
            .await
            .context("create a namespace")?;
        made.metadata.name.context("a namespace without a name")
    }

    /// Applies `crds/chatroom.yaml` and waits until the API server serves ChatRooms.
    pub async fn install_crd(&self) -> Result<()> {
        let path = repository().join("crds/chatroom.yaml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let crd: CustomResourceDefinition = serde_yaml::from_str(&text).context("parse the CRD")?;
        let name = crd.metadata.name.clone().context("a CRD without a name")?;
        let api = Api::<CustomResourceDefinition>::all(self.client().await?);
        api.patch(&name, &PatchParams::apply("parlor-tests").force(), &Patch::Apply(&crd))
            .await
            .context("apply the CRD")?;
        let established = await_condition(api, &name, conditions::is_crd_established());
        tokio::time::timeout(ESTABLISHED_WITHIN, established)
            .await
            .context("the CRD is not established in time")?
            .context("watch the CRD")?;
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.launcher.wait() {
            eprintln!("wait for the control plane to end: {error}");
        }
    }
}

/// A loopback address that no other living process's control plane has: 127.<64 + n>.<pid in 16 bits>, where pids
/// above 65,535 move n on by eight for each 65,536.
fn loopback(pid: u32, nth: u8) -> String {
    let [_, high, middle, low] = pid.to_be_bytes();
    let block = 64 + (u32::from(high) * 8 + u32::from(nth % 8)) % 128;
    format!("127.{block}.{middle}.{low}")
}
