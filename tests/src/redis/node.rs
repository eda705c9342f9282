//! One server: its process, its ports and its directory.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Connection, READY, Reply, free_port};

/// Shorter than in production, so that tests of failovers are short.
const NODE_TIMEOUT_MS: u32 = 1500;

/// Builds what gives a server another time of day.
fn clock_library(dir: &Path) -> Result<()> {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    std::fs::write(&source, include_str!("clock.c"))?;
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).status();
    ensure!(built.context("cannot run cc: install it (apt: gcc)")?.success(), "clock.c does not build");
    Ok(())
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// One redis-server process.
#[derive(Debug)]
pub struct RedisNode {
    port: u16,
    bus_port: u16,
    cluster: bool,
    /// Keeps its data over a restart, in an append-only file.
    durable: bool,
    dir: PathBuf,
    process: Option<Child>,
    paused: bool,
    /// The file that says how far its clock is off, if that can be set.
    clock: Option<PathBuf>,
}

impl RedisNode {
    /// Starts a server without a cluster.
    pub fn start() -> Result<Self> {
        Self::launch(false, false)
    }

    /// Starts a server without a cluster, whose clock can be set with [`Self::set_clock`].
    pub fn with_a_clock() -> Result<Self> {
        let mut node = Self::launch(false, false)?;
        clock_library(&node.dir)?;
        node.clock = Some(node.dir.join("clock"));
        node.set_clock(0)?;
        node.restart()?;
        Ok(node)
    }

    /// From now on the server's time of day is off by so many seconds.
    pub fn set_clock(&self, seconds: i64) -> Result<()> {
        let clock = self.clock.as_ref().context("the server has the machine's clock")?;
        // Replaced as a whole: the server may read it at any moment.
        let new = clock.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(new, clock)?)
    }

    pub(super) fn launch(cluster: bool, durable: bool) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("parlor-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mut node = Self { port: 0, bus_port: 0, cluster, durable, dir, process: None, paused: false, clock: None };
        // A port that was free may be taken before the server has it: then with others.
        for _ in 0..5 {
            (node.port, node.bus_port) = (free_port()?, free_port()?);
            node.run()?;
            if node.ready().is_ok() {
                return Ok(node);
            }
            node.kill()?;
        }
        let log = std::fs::read_to_string(node.dir.join("log")).unwrap_or_default();
        bail!("redis-server does not start: {log}")
    }

    fn run(&mut self) -> Result<()> {
        let log = File::create(self.dir.join("log"))?;
        let mut command = Command::new("redis-server");
        let timeout = NODE_TIMEOUT_MS.to_string();
        let (port, bus_port) = (self.port.to_string(), self.bus_port.to_string());
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", if self.durable { "yes" } else { "no" }]);
        command.args(["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(&self.dir);
        if self.cluster {
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus_port, "--cluster-node-timeout", &timeout]);
            command.args(["--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"]);
            command.args(["--cluster-replica-validity-factor", "1", "--repl-ping-replica-period", "1"]);
        }
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", self.dir.join("clock.so")).env("PARLOR_CLOCK", clock);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("cannot start redis-server: install it (apt: redis-server)")?);
        Ok(())
    }

    fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < READY {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("redis-server ended with {status}");
            }
            if self.call(&["PING"]).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("redis-server does not answer on port {}", self.port)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Port of loopback that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Port of loopback on which it speaks with the other servers of its cluster.
    pub(super) fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// Started, and neither killed nor frozen.
    pub(super) fn runs(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// A connection that stays.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    /// One command on a connection of its own.
    pub fn call(&self, words: &[&str]) -> Result<Reply> {
        let mut connection = self.connect()?;
        connection.send(words)?;
        connection.reply()
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let process = self.process.as_ref().context("the server does not run")?;
        let status = Command::new("kill").arg(signal).arg(process.id().to_string()).status()?;
        ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Freezes the process.
    pub fn pause(&mut self) -> Result<()> {
        self.signal("-STOP")?;
        self.paused = true;
        Ok(())
    }

    /// Thaws the process.
    pub fn resume(&mut self) -> Result<()> {
        self.signal("-CONT")?;
        self.paused = false;
        Ok(())
    }

    /// Starts the process again with the same ports and directory: empty, unless its cluster is durable.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run()?;
        self.ready()
    }

    /// The server's cluster id.
    pub fn id(&self) -> Result<String> {
        Ok(self.call(&["CLUSTER", "MYID"])?.text().into())
    }

    /// True when a line of `INFO section` says so.
    pub fn says(&self, section: &str, line: &str) -> bool {
        self.call(&["INFO", section]).is_ok_and(|info| info.text().lines().any(|said| said.trim() == line))
    }

    /// Where the server keeps its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for RedisNode {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("redis on port {} did not end: {error}", self.port);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{} stays: {error}", self.dir.display());
        }
    }
}
