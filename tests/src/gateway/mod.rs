//! Real gateway processes: started on free ports of loopback, ended when dropped, killed or frozen on request.
//!
//! The binary is `PARLOR_GATEWAY`, else the workspace's, which is built first so that no test runs an old one.

mod log;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use parlor_crds::contract::{GatewayStatus, SIGNING_KEY};
use rustix::process::{Pid, Signal, kill_process};

use self::log::Log;
use crate::programs::build_own;

/// A gateway says where it listens within this time, and is ready soon after.
const STARTED_WITHIN: Duration = Duration::from_secs(20);
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    manifest: String,
    arguments: Vec<String>,
    secrets: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    binary: Option<PathBuf>,
}

impl Setup {
    /// A ChatRoom of that manifest on free ports of loopback.
    pub fn manifest(text: &str) -> Self {
        Self {
            manifest: text.to_owned(),
            arguments: Vec::new(),
            secrets: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            binary: None,
        }
    }

    /// A ChatRoom named `test` with this `spec`, written as YAML from its first column on.
    pub fn spec(spec: &str) -> Self {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        Self::manifest(&format!(
            "apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {{name: test}}\nspec:\n{spec}"
        ))
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A Secret's value, as `name/key`.
    pub fn secret(mut self, path: &str, value: &str) -> Self {
        self.secrets.push((path.to_owned(), value.to_owned()));
        self
    }

    /// Keeps messages in this Redis, and shares identities with all gateways that do.
    pub fn redis(self, seeds: &[String]) -> Self {
        self.secret(SIGNING_KEY, "one key for every gateway of these tests")
            .argument("--redis")
            .argument(seeds.join(","))
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a gateway that serves the `echo` protocol as well, which no release has.
    pub async fn with_echo(self) -> Result<Self> {
        let path =
            tokio::task::spawn_blocking(|| build_own("parlor-gateway", "parlor-gateway-echo", &["--features", "echo"]));
        Ok(self.binary(path.await.context("the builder's thread ended")??))
    }

    /// Starts another binary in place of the gateway's.
    pub fn binary(mut self, path: PathBuf) -> Self {
        self.binary = Some(path);
        self
    }

    /// Starts the gateway through another program, as in `taskset -c 1`.
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&part| part.to_owned()).collect();
        self
    }

    fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|a| a == argument)
    }
}

/// A running gateway; it ends when this is dropped.
pub struct Gateway {
    process: Child,
    listeners: BTreeMap<String, SocketAddr>,
    log: Log,
    directory: PathBuf,
}

impl Gateway {
    /// Starts one and waits until it is ready.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let gateway = Self::launch(setup).await?;
        gateway.ready().await?;
        Ok(gateway)
    }

    /// Starts one and waits until it says where it listens.
    pub async fn launch(setup: &Setup) -> Result<Self> {
        let setup = setup.clone();
        tokio::task::spawn_blocking(move || Self::launch_now(&setup)).await.context("the launcher's thread ended")?
    }

    fn launch_now(setup: &Setup) -> Result<Self> {
        let directory = directory()?;
        let mut process = command(setup, &directory)?.spawn().context("start parlor-gateway")?;
        let log = Log::default();
        process.stdout.take().into_iter().for_each(|pipe| log.follow(pipe));
        process.stderr.take().into_iter().for_each(|pipe| log.follow(pipe));
        let mut gateway = Self { process, listeners: BTreeMap::new(), log, directory };
        let deadline = Instant::now() + STARTED_WITHIN;
        while !["shared", "admin"].iter().all(|name| gateway.listeners.contains_key(*name)) {
            if let Some(status) = gateway.process.try_wait().context("ask whether it runs")? {
                bail!("the gateway ended with {status}:\n{}", gateway.log());
            }
            ensure!(Instant::now() < deadline, "the gateway did not say where it listens:\n{}", gateway.log());
            std::thread::sleep(Duration::from_millis(10));
            gateway.listeners = gateway.log.listeners();
        }
        Ok(gateway)
    }

    /// Writes a Secret's value, as `name/key`: what Kubernetes does when a Secret that is mounted changes.
    pub fn rotate(&self, path: &str, value: &str) -> Result<()> {
        let path = self.directory.join("secrets").join(path);
        let new = path.with_extension("new");
        std::fs::write(&new, value).with_context(|| format!("write {}", new.display()))?;
        std::fs::rename(&new, &path).with_context(|| format!("replace {}", path.display()))
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + STARTED_WITHIN;
        loop {
            let last = self.admin_get("/readyz").await;
            match last {
                Ok((200, _)) => return Ok(()),
                last if Instant::now() > deadline => bail!("not ready: {last:?}\n{}", self.log()),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Where it listens: `shared`, `admin`, or a protocol with a port of its own.
    pub fn address(&self, listener: &str) -> Result<SocketAddr> {
        let address = self.listeners.get(listener).copied();
        address
            .or_else(|| self.log.listeners().get(listener).copied())
            .with_context(|| format!("the gateway named no listener {listener}:\n{}", self.log()))
    }

    /// URL of a path on the shared port.
    pub fn url(&self, path: &str) -> String {
        self.listeners.get("shared").map(|address| format!("ws://{address}{path}")).unwrap_or_default()
    }

    /// Status code and body of a GET on the admin port.
    pub async fn admin_get(&self, path: &str) -> Result<(u16, String)> {
        self.admin("GET", path).await
    }

    /// Status code and body of a request to the admin port.
    pub async fn admin(&self, method: &str, path: &str) -> Result<(u16, String)> {
        http(self.address("admin")?, method, path).await
    }

    /// Status code and body of a POST with this body to the admin port.
    pub async fn admin_post(&self, path: &str, body: &str) -> Result<(u16, String)> {
        exchange(self.address("admin")?, "POST", path, body).await
    }

    /// What `/status` says.
    pub async fn status(&self) -> Result<GatewayStatus> {
        let (code, body) = self.admin_get("/status").await?;
        ensure!(code == 200, "/status answered {code}: {body}");
        serde_json::from_str(&body).with_context(|| format!("read {body}"))
    }

    /// How often something was refused, by protocol and reason.
    pub async fn refusals(&self) -> Result<BTreeMap<(String, String), u64>> {
        let page = self.metrics().await?;
        let lines = page.lines().filter_map(|line| line.strip_prefix("parlor_refusals_total{protocol=\""));
        let refusal = |line: &str| {
            let (protocol, rest) = line.split_once("\",reason=\"")?;
            let (reason, count) = rest.split_once("\"} ")?;
            Some(((protocol.to_owned(), reason.to_owned()), count.parse().ok()?))
        };
        lines.map(|line| refusal(line).with_context(|| format!("read {line}"))).collect()
    }

    /// A counter without labels, by its name less `parlor_` and `_total`.
    pub async fn counter(&self, name: &str) -> Result<u64> {
        let (page, start) = (self.metrics().await?, format!("parlor_{name}_total "));
        let value = page.lines().find_map(|line| line.strip_prefix(&start)).with_context(|| format!("no {start}"))?;
        value.parse().with_context(|| format!("read {start}{value}"))
    }

    async fn metrics(&self) -> Result<String> {
        let (code, page) = self.admin_get("/metrics").await?;
        ensure!(code == 200, "/metrics answered {code}: {page}");
        Ok(page)
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The last lines that it wrote.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Changes a Secret's value as the kubelet does, in place: `path` is `name/key`.
    pub fn remount(&self, path: &str, value: &str) -> Result<()> {
        let (path, new) = (self.directory.join("secrets").join(path), self.directory.join("new"));
        std::fs::write(&new, value).context("write the new value")?;
        std::fs::rename(&new, &path).with_context(|| format!("change {}", path.display()))
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().context("kill the gateway")?;
        self.process.wait().context("wait for the gateway")?;
        Ok(())
    }

    /// SIGSTOP: the process freezes, its sockets stay open.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.process.try_wait().context("ask whether it runs")? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the gateway did not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to the gateway"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!("remove {}: {error}", self.directory.display());
        }
    }
}

/// What a gateway says that does not start: its exit code and its errors.
pub async fn refusal(setup: &Setup) -> Result<(i32, String)> {
    let setup = setup.clone();
    tokio::task::spawn_blocking(move || {
        let directory = directory()?;
        let output = command(&setup, &directory)?.output().context("start parlor-gateway")?;
        std::fs::remove_dir_all(&directory).context("remove the manifest")?;
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
    })
    .await
    .context("the launcher's thread ended")?
}

/// Status code and body of one HTTP request without a body.
pub async fn http(address: SocketAddr, method: &str, path: &str) -> Result<(u16, String)> {
    exchange(address, method, path, "").await
}

async fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{length}Connection: close\r\n\r\n{body}");
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("connect")?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).context("set a deadline")?;
        stream.write_all(request.as_bytes()).context("send the request")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("read the answer")?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP answer")?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        Ok((code, body))
    })
    .await
    .context("the request's thread ended")?
}

fn directory() -> Result<PathBuf> {
    let nth = STARTED.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("parlor-gateway-{}-{nth}", std::process::id()));
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    Ok(directory)
}

fn command(setup: &Setup, directory: &std::path::Path) -> Result<Command> {
    let manifest = directory.join("chatroom.yaml");
    std::fs::write(&manifest, &setup.manifest).context("write the manifest")?;
    let secrets = directory.join("secrets");
    for (path, value) in &setup.secrets {
        let path = secrets.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&secrets)).context("make the secrets' directory")?;
        std::fs::write(&path, value).with_context(|| format!("write {}", path.display()))?;
    }
    let binary = match &setup.binary {
        Some(binary) => binary,
        None => BINARY.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?,
    };
    let mut command = match setup.wrapper.split_first() {
        Some((wrapper, arguments)) => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    if !setup.secrets.is_empty() {
        command.arg("--secrets").arg(&secrets);
    }
    command.arg(&manifest).args(&setup.arguments).envs(setup.environment.iter().cloned());
    for (name, address) in [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")] {
        if !setup.has(name) {
            command.args([name, address]);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// The gateway's binary, for tests that start it in a way of their own.
pub fn binary() -> Result<PathBuf> {
    BINARY.as_ref().cloned().map_err(|error| anyhow::anyhow!("{error}"))
}

static BINARY: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| match std::env::var_os("PARLOR_GATEWAY") {
    Some(path) => Ok(path.into()),
    None => build_own("parlor-gateway", "parlor-gateway", &[]).map_err(|error| format!("{error:#}")),
});
