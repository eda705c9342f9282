//! A server process that says `listening PORT` on its first line.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    generator::wire,
    machine::{SERVER_CORE, children},
};

/// A server listens within this time, and answers or ends within it when asked to.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines that wait to be read; a server that writes more waits for us.
const LINES: usize = 64;

/// Ends with this value, and its own children with it.
pub(super) struct Child {
    process: std::process::Child,
    input: ChildStdin,
    lines: Receiver<String>,
    address: SocketAddr,
    log: PathBuf,
}

impl Child {
    /// Starts a program on the server's core. What it writes to standard error goes to `target/bench/NAME.log`.
    pub(super) fn start(name: &str, program: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let mut child = Self::launch(name, program, arguments, env)?;
        let line = child.line().with_context(|| format!("wait for {name}"))?;
        let port = line.strip_prefix("listening ").and_then(|port| port.parse().ok());
        child.address.set_port(port.with_context(|| format!("{name} said {line}"))?);
        Ok(child)
    }

    /// As [`Self::start`], of a program that says nothing and is ready when it upgrades connections to `path`.
    pub(super) fn on_port(name: &str, program: &Path, arguments: &[&str], port: u16, path: &str) -> Result<Self> {
        let mut child = Self::launch(name, program, arguments, &[])?;
        child.address.set_port(port);
        let deadline = Instant::now() + PATIENCE;
        while !upgrades(child.address, path) {
            if let Some(status) = child.process.try_wait().context("ask whether it runs")? {
                bail!("{name} ended with {status}: {}", child.log());
            }
            ensure!(Instant::now() < deadline, "{name} does not get ready: {}", child.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(child)
    }

    fn launch(name: &str, program: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let directory = super::install::directory();
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let log = directory.join(format!("{name}.log"));
        let errors = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        let mut command = Command::new("taskset");
        command.args(["-c", &SERVER_CORE.to_string()]).arg(program).args(arguments).envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().with_context(|| format!("start {name} with taskset (apt: util-linux)"))?;
        let input = process.stdin.take().context("a process without input")?;
        let output = process.stdout.take().context("a process without output")?;
        let (sender, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            // Ends with the process, or with the one who reads.
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
        });
        Ok(Self { process, input, lines, address: SocketAddr::from(([127, 0, 0, 1], 0)), log })
    }

    fn line(&self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).with_context(|| format!("it says nothing: {}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Itself and those it has started.
    pub(super) fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.process.id()];
        all.extend(children(self.process.id()));
        all
    }

    /// CPU time and number of sends of the bare sender.
    pub(super) fn sends(&mut self) -> Result<(Duration, u64)> {
        writeln!(self.input).context("ask the bare sender")?;
        let line = self.line()?;
        let numbers = line.split_once(' ').and_then(|(nanos, number)| nanos.parse().ok().zip(number.parse().ok()));
        let (nanos, number) = numbers.with_context(|| format!("the bare sender said {line}"))?;
        Ok((Duration::from_nanos(nanos), number))
    }

    fn end(&mut self) -> Result<()> {
        // Politely: nginx takes its workers with it.
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        kill_process(pid, Signal::TERM).context("end it")?;
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.process.try_wait().context("wait for its end")?.is_none() {
            if Instant::now() > deadline {
                self.process.kill().context("kill it")?;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn upgrades(address: SocketAddr, path: &str) -> bool {
    let answer = || -> std::io::Result<[u8; 12]> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(wire::upgrade(path, false, None).as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    answer().is_ok_and(|answer| &answer == b"HTTP/1.1 101")
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{}: {error:#}", self.log.display());
        }
    }
}
