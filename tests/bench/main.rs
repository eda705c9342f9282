//! How fast, with what latency, and at what cost: a real gateway on a core of its own against the bare system call.
//!
//! Load generator and Redis share the other core. Numbers are CPU time of the gateway's process, so that what the
//! other core does changes latency, not cost. Prints a table and, unless `--short`, writes RESULTS.md.

mod baseline;
mod load;
mod machine;
mod results;
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use parlor_tests::gateway::{Gateway, Setup};
use parlor_tests::redis::RedisCluster;

use crate::load::Load;
use crate::machine::{LOAD_CORE, SERVER_CORE, process_cpu, resident, thread_cpu};
use crate::results::{Idle, Results, Row};

/// Everyone in one room.
const MEMBERS: usize = 1000;
const BYTES: usize = 100;
/// What Parlor writes for one such message: the frame around the text.
const FRAME_BYTES: usize = BYTES + 140;
const SPEC: &str = "
protocols: {native: {}}
replicas: 2
limits: {connectionsPerGateway: 20000, messagesPerSecond: 1000000, roomsPerConnection: 10}
";

/// Measures delivery, latency, CPU and memory.
#[derive(Debug, Parser)]
#[command(name = "parlor-bench")]
struct Args {
    /// Some 40 seconds instead of some five minutes; writes no RESULTS.md
    #[arg(long)]
    short: bool,
    /// Only the memory and CPU of idle connections
    #[arg(long)]
    idle: bool,
}

/// How long each part takes.
#[derive(Clone, Copy)]
struct Extent {
    warm_up: Duration,
    measured: Duration,
    rates: &'static [f64],
    idle_connections: usize,
    idle: Duration,
}

const SHORT: Extent = Extent {
    warm_up: Duration::from_secs(1),
    measured: Duration::from_secs(4),
    rates: &[50.0, 1000.0],
    idle_connections: 3000,
    idle: Duration::from_secs(5),
};

const FULL: Extent = Extent {
    warm_up: Duration::from_secs(3),
    measured: Duration::from_secs(30),
    rates: &[20.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0],
    // What fits into the 20,000 descriptors that a process may often have.
    idle_connections: 19_000,
    idle: Duration::from_secs(60),
};

fn main() -> Result<ExitCode> {
    let Args { short, idle: only_idle } = Args::parse();
    let extent = if short { SHORT } else { FULL };
    machine::prepare()?;
    // Redis and the runtime that starts gateways inherit it.
    machine::pin(LOAD_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    let redis = RedisCluster::start(3, 1)?;
    let seeds = redis.seeds();
    let start = || runtime.block_on(gateway(&seeds));
    let mut rows = Vec::new();
    if only_idle {
        println!("{}", idle(&start()?, extent)?);
        return Ok(ExitCode::SUCCESS);
    }
    for rate in extent.rates {
        let row = deliver(&start()?, *rate, extent)?;
        println!("{row}");
        rows.push(row);
    }
    let idle = idle(&start()?, extent)?;
    println!("{idle}");
    let results = Results { rows, idle };
    println!("{results}");
    if !short {
        results.write()?;
    }
    for (what, met) in results.targets() {
        println!("| {}: {what} |", if met { "reached" } else { "not reached" });
    }
    // Speed is reported, never asserted: it belongs to the machine.
    let kept = results.nothing_lost();
    println!("step {}: the benchmark ran and nothing was lost", if kept { "ok" } else { "FAILED" });
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn gateway(seeds: &[String]) -> Result<Gateway> {
    let core = SERVER_CORE.to_string();
    Gateway::start(&Setup::spec(SPEC).redis(seeds).through(&["taskset", "-c", &core])).await
}

/// One room of [`MEMBERS`], `rate` messages a second, and the bare system call at the same pace.
fn deliver(gateway: &Gateway, rate: f64, extent: Extent) -> Result<Row> {
    // Before and after, because a machine's clock wanders.
    let before = baseline::send_cost(MEMBERS, FRAME_BYTES, rate.min(50.0), extent.measured / 4)?;
    let mut load = Load::connect(gateway.address("shared")?, "bench", MEMBERS)?;
    load.run(0.0, BYTES, Duration::from_secs(1))?;
    let idle = process_cpu(gateway.pid())?;
    load.run(0.0, BYTES, extent.warm_up)?;
    let idle = (process_cpu(gateway.pid())? - idle).div_f64(extent.warm_up.as_secs_f64());
    load.run(rate, BYTES, extent.warm_up)?;
    load.seen.latency.reset();
    let (delivered, cpu, own, began) = (load.seen.delivered, process_cpu(gateway.pid())?, thread_cpu(), Instant::now());
    load.run(rate, BYTES, extent.measured)?;
    let wall = began.elapsed();
    let cpu = process_cpu(gateway.pid())?.saturating_sub(cpu);
    let generator = (thread_cpu() - own).div_f64(wall.as_secs_f64()).as_secs_f64();
    let delivered = load.seen.delivered - delivered;
    let latency = load.seen.latency.clone();
    let lost = load.settle()?;
    ensure!(load.seen.refused == 0, "{} posts were refused: {:?}", load.seen.refused, load.seen.first_refusal);
    drop(load);
    let after = baseline::send_cost(MEMBERS, FRAME_BYTES, rate.min(50.0), extent.measured / 4)?;
    Ok(Row {
        rate,
        delivered,
        wall,
        cpu,
        idle: idle.mul_f64(wall.as_secs_f64()),
        generator,
        lost,
        latency,
        send: before.min(after),
    })
}

/// Memory and CPU of connections that are joined to a room and say nothing.
fn idle(gateway: &Gateway, extent: Extent) -> Result<Idle> {
    let address = gateway.address("shared")?;
    let mut load = Load::connect(address, "idle", 100)?;
    load.run(0.0, BYTES, extent.idle / 4)?;
    let (base, number) = (resident(gateway.pid())?, extent.idle_connections - 100);
    load.grow(address, number)?;
    load.run(0.0, BYTES, extent.idle / 2)?;
    let (cpu, began) = (process_cpu(gateway.pid())?, Instant::now());
    load.run(0.0, BYTES, extent.idle / 2)?;
    let used = process_cpu(gateway.pid())?.saturating_sub(cpu);
    let bytes = resident(gateway.pid())?.saturating_sub(base) as f64 / number as f64;
    let cpu = used.div_f64(began.elapsed().as_secs_f64() * extent.idle_connections as f64);
    Ok(Idle { connections: extent.idle_connections, bytes, cpu })
}
