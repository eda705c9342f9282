//! Real Redis processes on loopback: one alone, or a cluster formed without redis-cli.
//!
//! Each server has its own directory and free ports, and ends with the value that started it.

mod cluster;
mod node;
mod wire;

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

pub use self::{
    cluster::RedisCluster,
    node::{RedisNode, USER},
    wire::{Connection, Reply},
};

/// How long a server or a cluster may take to become ready.
const READY: Duration = Duration::from_secs(30);

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
