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

/// Where a server keeps its append-only files.
const APPEND_ONLY: &str = "appendonlydir";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A user of servers that are made to be broken; others come without a name or a password.
pub const USER: &str = "parlor";

/// How a server is run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) cluster: bool,
    /// Keeps its data over a restart, in an append-only file.
    pub(super) durable: bool,
    /// Its clock can be set.
    pub(super) clock: bool,
    /// Announces a port of its own to the other servers, where something listens that can hold them back, and knows a user
    /// whose password can change.
    pub(super) breakable: bool,
}

/// One redis-server process.
#[derive(Debug)]
pub struct RedisNode {
    port: u16,
    bus_port: u16,
    /// The port that it announces.
    announced: u16,
    kind: Kind,
    dir: PathBuf,
    process: Option<Child>,
    paused: bool,
    /// Of [`USER`].
    password: String,
}

impl RedisNode {
    /// Starts a server without a cluster.
    pub fn start() -> Result<Self> {
        Self::launch(Kind::default())
    }

    /// Starts a server without a cluster, whose clock can be set with [`Self::set_clock`].
    pub fn with_a_clock() -> Result<Self> {
        Self::launch(Kind { clock: true, ..Kind::default() })
    }

    /// From now on the server's time of day is off by so many seconds.
    pub fn set_clock(&self, seconds: i64) -> Result<()> {
        ensure!(self.kind.clock, "the server has the machine's clock");
        // Replaced as a whole: the server may read it at any moment.
        let (clock, new) = (self.dir.join("clock"), self.dir.join("clock.new"));
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(new, clock)?)
    }

    /// Changes the password of [`USER`], whose connections end.
    pub fn set_password(&mut self, password: &str) -> Result<()> {
        self.call(&["ACL", "SETUSER", USER, "resetpass", &format!(">{password}")])?;
        self.call(&["CLIENT", "KILL", "USER", USER])?;
        self.password = password.into();
        Ok(())
    }

    /// From now on the server's files grow no further, or do so again.
    pub fn fill_disk(&self, full: bool) -> Result<()> {
        let process = self.process.as_ref().context("the server does not run")?;
        // What a server writes of its cluster is less, and without that it would end.
        let limit = if full { "--fsize=4096:" } else { "--fsize=unlimited:" };
        let status = Command::new("prlimit").args(["--pid", &process.id().to_string(), limit]).status();
        ensure!(status.context("cannot run prlimit: install it (apt: util-linux)")?.success(), "prlimit failed");
        Ok(())
    }

    pub(super) fn launch(kind: Kind) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("parlor-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        if kind.clock {
            clock_library(&dir)?;
        }
        let (process, password) = (None, "first".to_owned());
        let mut node = Self { port: 0, bus_port: 0, announced: 0, kind, dir, process, paused: false, password };
        // A port that was free may be taken before the server has it: then with others.
        for _ in 0..5 {
            (node.port, node.bus_port) = (free_port()?, free_port()?);
            node.announced = if kind.breakable { free_port()? } else { node.port };
            node.run(kind.durable)?;
            if node.ready().is_ok() {
                return Ok(node);
            }
            node.kill()?;
        }
        let log = std::fs::read_to_string(node.dir.join("log")).unwrap_or_default();
        bail!("redis-server does not start (apt: redis-server): {log}")
    }

    fn run(&mut self, append_only: bool) -> Result<()> {
        let log = File::create(self.dir.join("log"))?;
        // Writing beyond what [`Self::fill_disk`] allows is an error, and does not end the server.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec redis-server \"$@\"", "redis-server"]);
        let timeout = NODE_TIMEOUT_MS.to_string();
        let (port, bus_port, announced) =
            (self.port.to_string(), self.bus_port.to_string(), self.announced.to_string());
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", if append_only { "yes" } else { "no" }]);
        command.args(["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(&self.dir);
        if self.kind.cluster {
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus_port, "--cluster-node-timeout", &timeout]);
            command.args(["--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"]);
            command.args(["--cluster-replica-validity-factor", "1", "--repl-ping-replica-period", "1"]);
            command.args(["--repl-timeout", "10"]);
        }
        if self.kind.breakable {
            command.args(["--cluster-announce-port", &announced]);
            command.args(["--user", USER, "on", &format!(">{}", self.password), "~*", "&*", "+@all"]);
        }
        if self.kind.clock {
            command.env("LD_PRELOAD", self.dir.join("clock.so")).env("PARLOR_CLOCK", self.dir.join("clock"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("start redis-server")?);
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

    /// Port of loopback under which other servers know it.
    pub(super) fn announced(&self) -> u16 {
        self.announced
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
        self.run(self.kind.durable)?;
        self.ready()
    }

    /// Starts the process again without its data.
    pub fn restart_empty(&mut self) -> Result<()> {
        self.kill()?;
        self.remove_append_only_files()?;
        self.restart()
    }

    /// The files to which the server appends, with how long they are now.
    pub fn append_only_files(&self) -> Result<Vec<(PathBuf, u64)>> {
        let files = std::fs::read_dir(self.dir.join(APPEND_ONLY)).context("read the append-only files")?;
        let incremental = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
        let paths = files.filter_map(|file| Some(file.ok()?.path())).filter(incremental);
        paths.map(|path| Ok((path.clone(), path.metadata()?.len()))).collect()
    }

    /// Starts the process again with its append-only files cut to these lengths, as after a loss of power.
    pub fn restart_cut(&mut self, files: &[(PathBuf, u64)]) -> Result<()> {
        self.kill()?;
        for (path, length) in files {
            File::options().write(true).open(path)?.set_len(*length)?;
        }
        self.restart()
    }

    /// Starts the process again with what it held at the last SAVE.
    pub fn restart_from_snapshot(&mut self) -> Result<()> {
        self.kill()?;
        self.remove_append_only_files()?;
        self.run(false)?;
        self.ready()?;
        self.call(&["CONFIG", "SET", "appendonly", "yes"]).map(drop)
    }

    fn remove_append_only_files(&self) -> Result<()> {
        let path = self.dir.join(APPEND_ONLY);
        if path.exists() { std::fs::remove_dir_all(path).context("remove the append-only files") } else { Ok(()) }
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
