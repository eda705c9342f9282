//! Real Redis processes on loopback: one alone, or a cluster formed without redis-cli.
//!
//! Each server has its own directory and free ports, and ends with the value that started it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// Slots of a Redis Cluster.
const SLOTS: usize = 16384;

/// Shorter than in production, so that tests of failovers are short.
const NODE_TIMEOUT_MS: u32 = 1500;

/// How long a server or a cluster may take to become ready.
const READY: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A reply, as far as tests need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Text(String),
    Number(i64),
    List(Vec<Reply>),
    Nil,
}

impl Reply {
    /// The text, or nothing.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

fn reply(input: &mut impl BufRead) -> Result<Reply> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).context("the server closed the connection")?;
    Ok(match kind {
        "+" => Reply::Text(rest.into()),
        "-" => bail!("redis says {rest}"),
        ":" => Reply::Number(rest.parse()?),
        "$" if rest == "-1" => Reply::Nil,
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            input.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Text(String::from_utf8_lossy(&bytes).into())
        }
        "*" if rest == "-1" => Reply::Nil,
        "*" => Reply::List((0..rest.parse::<usize>()?).map(|_| reply(input)).collect::<Result<_>>()?),
        other => bail!("{other:?} begins no reply"),
    })
}

/// A connection to a server. Replies come in the order of the commands, and within five seconds.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a command.
    pub fn send(&mut self, words: &[&str]) -> Result<()> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        Ok(self.0.get_mut().write_all(text.as_bytes())?)
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply> {
        reply(&mut self.0)
    }
}

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
}

/// A port of loopback that was free a moment ago, below those that the system gives to outgoing connections: a server
/// that was killed finds its port free again.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (std::process::id().wrapping_mul(211).wrapping_add(step)) % 20_000;
        let port = u16::try_from(port).context("a port is out of range")?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of loopback is free")
}

impl RedisNode {
    /// Starts a server that stands alone.
    pub fn start() -> Result<Self> {
        Self::launch(false, false)
    }

    fn launch(cluster: bool, durable: bool) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("parlor-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mut node = Self { port: 0, bus_port: 0, cluster, durable, dir, process: None, paused: false };
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

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// A connection that stays.
    pub fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
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

/// A Redis Cluster: the first `shards` nodes start as primaries, the rest as their replicas in turn.
#[derive(Debug)]
pub struct RedisCluster {
    pub nodes: Vec<RedisNode>,
    shards: usize,
}

/// Waits until `done` says so.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < READY {
        if done() {
            return Ok(());
        }
        sleep(Duration::from_millis(50));
    }
    bail!("{what} did not come true in {READY:?}")
}

impl RedisCluster {
    /// Starts and forms a cluster; returns when every replica follows and every server says ok.
    pub fn start(shards: usize, replicas: usize) -> Result<Self> {
        Self::launch(shards, replicas, false)
    }

    /// As [`Self::start`], of servers that keep their data over a restart.
    pub fn durable(shards: usize, replicas: usize) -> Result<Self> {
        Self::launch(shards, replicas, true)
    }

    fn launch(shards: usize, replicas: usize, durable: bool) -> Result<Self> {
        let number = shards * (1 + replicas);
        let nodes = (0..number).map(|_| RedisNode::launch(true, durable)).collect::<Result<Vec<_>>>()?;
        let cluster = Self { nodes, shards };
        cluster.form()?;
        Ok(cluster)
    }

    fn form(&self) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            if index < self.shards {
                let (first, last) = (index * SLOTS / self.shards, (index + 1) * SLOTS / self.shards - 1);
                node.call(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
            }
            let (port, bus_port) = (node.port.to_string(), node.bus_port.to_string());
            self.nodes[0].call(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port])?;
        }
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        let knows = |node: &RedisNode| {
            node.call(&["CLUSTER", "INFO"]).is_ok_and(|info| info.text().lines().any(|line| line.trim() == known))
        };
        eventually("that all servers know each other", || self.nodes.iter().all(knows))?;
        for (index, node) in self.nodes.iter().enumerate().skip(self.shards) {
            let primary = self.nodes[index % self.shards].id()?;
            eventually("that a replica follows", || node.call(&["CLUSTER", "REPLICATE", &primary]).is_ok())?;
        }
        self.healthy()
    }

    /// Waits until every running server says ok and every replica has its link.
    pub fn healthy(&self) -> Result<()> {
        let ok = |node: &RedisNode| {
            let state = node.call(&["CLUSTER", "INFO"]);
            let linked = node.says("replication", "role:master") || node.says("replication", "master_link_status:up");
            linked && state.is_ok_and(|state| state.text().contains("cluster_state:ok"))
        };
        eventually("that the cluster is healthy", || self.running().all(ok))
    }

    /// Waits until all servers run, agree on one primary a shard, and every other server is a replica in sync.
    pub fn replicated(&self) -> Result<()> {
        let in_sync = |node: &RedisNode| {
            let info = node.call(&["INFO", "replication"]);
            let info = info.as_ref().map(Reply::text).unwrap_or_default();
            let copies = info.lines().filter(|line| line.starts_with("slave") && line.contains("state=online")).count();
            if info.contains("role:master") { Some(copies) } else { info.contains("link_status:up").then_some(0) }
        };
        let replicas = self.nodes.len() - self.shards;
        eventually("that every shard is replicated", || {
            let copies: Vec<_> = self.running().filter_map(in_sync).collect();
            let primaries = copies.iter().filter(|copies| **copies > 0).count();
            copies.len() == self.nodes.len() && primaries == self.shards && copies.iter().sum::<usize>() == replicas
        })?;
        self.healthy()
    }

    fn running(&self) -> impl Iterator<Item = &RedisNode> {
        self.nodes.iter().filter(|node| node.process.is_some() && !node.paused)
    }

    /// The port of every server.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// `host:port` of every server.
    pub fn seeds(&self) -> Vec<String> {
        self.nodes.iter().map(RedisNode::address).collect()
    }

    /// Index of the server that is primary of a slot now, as the servers themselves say.
    pub fn primary(&self, slot: u16) -> Result<usize> {
        let owner = self.running().find_map(|node| {
            let nodes = node.call(&["CLUSTER", "NODES"]).ok()?;
            let mine = nodes.text().lines().find(|line| line.contains("myself,master"))?.to_owned();
            let ranges = mine.split(' ').skip(8).filter_map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
            });
            ranges.into_iter().any(|range| range.contains(&slot)).then_some(node.port)
        });
        self.nodes.iter().position(|node| Some(node.port) == owner).context("no running server is the slot's primary")
    }

    /// Index of a running replica of the server at `primary`.
    pub fn replica(&self, primary: usize) -> Result<usize> {
        let port = format!("master_port:{}", self.nodes[primary].port);
        let follows = |node: &RedisNode| node.process.is_some() && !node.paused && node.says("replication", &port);
        self.nodes.iter().position(follows).context("the primary has no running replica")
    }

    /// Makes a replica the primary of its shard without losing anything.
    pub fn failover(&self, replica: usize) -> Result<()> {
        let node = &self.nodes[replica];
        node.call(&["CLUSTER", "FAILOVER"])?;
        eventually("that the replica is the primary", || node.says("replication", "role:master"))
    }

    /// Moves the keys of a slot to another primary, and stops before the slot itself is handed over.
    pub fn move_keys(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.primary(slot)?;
        let (source, target, slot) = (&self.nodes[from], &self.nodes[to], slot.to_string());
        target.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source.id()?])?;
        source.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target.id()?])?;
        let port = target.port.to_string();
        loop {
            let Reply::List(keys) = source.call(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"])? else { break };
            let Some(key) = keys.first() else { break };
            source.call(&["MIGRATE", "127.0.0.1", &port, key.text(), "0", "5000"])?;
        }
        Ok(())
    }

    /// Hands a slot over whose keys have moved.
    pub fn move_slot(&self, slot: u16, to: usize) -> Result<()> {
        let (from, id) = (self.primary(slot)?, self.nodes[to].id()?);
        let slot_text = slot.to_string();
        for index in [to, from] {
            self.nodes[index].call(&["CLUSTER", "SETSLOT", &slot_text, "NODE", &id])?;
        }
        eventually("that the slot has moved", || self.primary(slot).is_ok_and(|primary| primary == to))
    }
}
