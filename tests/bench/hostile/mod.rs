//! A thousand peers that do to a gateway whatever they should not, all at once: a process of its own, beside the load generator.
//!
//! Decides how many do what, and how fast each goes; what each of them sends is in [`script`]. A peer that is shown the door
//! comes back at once.

mod script;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::script::{Script, scripts};
use crate::machine::LOAD_CORE;

/// Hostile connections at a time.
pub(crate) const PEERS: usize = 1000;
/// What the kernel keeps of what a peer does not read, in bytes.
const UNREAD: u32 = 2048;
/// A peer that cannot connect waits this long; one that was closed comes back at once.
const AGAIN: Duration = Duration::from_millis(50);
/// So long a connection is kept whatever comes of it.
const STAYS: Duration = Duration::from_secs(20);

/// The process; it ends with this value.
pub(crate) struct Hostile(std::process::Child);

impl Hostile {
    /// Begins, with the honest members' room among those that are bothered; returns when all peers have begun.
    pub(crate) fn start(address: SocketAddr, room: &str) -> Result<Self> {
        let program = std::env::current_exe().context("find the benchmark")?;
        // It gives way to the load generator, which shares its core.
        let mut command = Command::new("nice");
        command.args(["-n", "19", "taskset", "-c", &LOAD_CORE.to_string()]).arg(program);
        command.args(["hostile", &address.to_string(), room]).stdout(Stdio::piped());
        let mut child = Self(command.spawn().context("start the hostile peers")?);
        let output = child.0.stdout.take().context("a process without output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("wait for the hostile peers")?;
        ensure!(line.trim() == "begun", "the hostile peers said {line:?}");
        Ok(child)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("failed to end the hostile peers: {error}");
        }
    }
}

/// What the process does until it is killed.
pub(crate) fn run(address: SocketAddr, room: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    runtime.block_on(async {
        let scripts = scripts(room);
        let mut peers = JoinSet::new();
        for number in 0..PEERS {
            let script = scripts[number % scripts.len()].clone();
            peers.spawn(async move {
                loop {
                    if bother(address, &script, number).await.is_err() {
                        sleep(AGAIN).await;
                    }
                }
            });
            // Not more than a listener's backlog at once, so that all are there soon.
            if number % 100 == 99 {
                sleep(AGAIN).await;
            }
        }
        println!("begun");
        while peers.join_next().await.is_some() {}
        Ok(())
    })
}

/// One connection of a peer, until it is closed or has stayed.
async fn bother(address: SocketAddr, script: &Script, number: usize) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if !script.reads {
        socket.set_recv_buffer_size(UNREAD)?;
    }
    let stream = socket.connect(address).await?;
    // An error is what a peer like this expects.
    let _ = timeout(STAYS, talk(stream, script, number)).await;
    Ok(())
}

async fn talk(stream: TcpStream, script: &Script, number: usize) -> std::io::Result<()> {
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        writing.write_all(&script.first).await?;
        for turn in 0.. {
            sleep(script.pause).await;
            writing.write_all(&(script.then)(number, turn)).await?;
        }
        Ok(())
    };
    let read = async {
        let mut piece = [0; 16 << 10];
        if !script.reads {
            std::future::pending::<()>().await;
        }
        while reading.read(&mut piece).await? > 0 {}
        Ok(())
    };
    tokio::select! {
        done = write => done,
        done = read => done,
    }
}
