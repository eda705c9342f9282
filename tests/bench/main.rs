//! How fast, with what latency, and at what cost: a real gateway on a core of its own against the bare system call and
//! against other people's servers.
//!
//! Load generator and Redis share the other core. Cost is CPU time of the server's process, so that what the other
//! core does changes latency, not cost. A full run writes RESULTS.md.

mod generator;
mod hostile;
mod machine;
mod results;
mod rows;
mod sample;
mod scale;
mod server;

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use parlor_tests::redis::RedisCluster;

use crate::{
    machine::{CoreTime, LOAD_CORE},
    results::Results,
    rows::{Bench, ROWS},
    scale::Scale,
};

/// Measures delivery, latency, CPU and memory.
#[derive(Debug, Parser)]
#[command(name = "parlor-bench")]
struct Args {
    /// Every row in a few minutes: smaller, one round; writes no RESULTS.md
    #[arg(long)]
    short: bool,
    /// Only this row, by number or name; may be given more than once; writes no RESULTS.md
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Rounds that medians are taken of
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The bare sender, which the benchmark starts by itself
    #[command(hide = true)]
    Bare,
    /// The hostile peers, which the benchmark starts by itself
    #[command(hide = true)]
    Hostile { address: std::net::SocketAddr, room: String },
}

fn main() -> Result<ExitCode> {
    let Args { short, only, rounds, role } = Args::parse();
    machine::raise_descriptors()?;
    match role {
        Some(Role::Bare) => return server::bare::serve().map(|()| ExitCode::SUCCESS),
        Some(Role::Hostile { address, room }) => return hostile::run(address, &room).map(|()| ExitCode::SUCCESS),
        None => {}
    }
    machine::two_cores()?;
    let scale = Scale::new(short, rounds.map(usize::from));
    let full = !short && only.is_empty();
    let results = run(scale, &only)?;
    println!("{results}");
    if full {
        results.write(&std::env::args().skip(1).fold("tests/run bench".to_owned(), |all, arg| all + " " + &arg))?;
    }
    // Speed is reported, never asserted: it belongs to the machine.
    let kept = results.kept();
    println!("step {}: the benchmark ran and nothing was lost", if kept { "ok" } else { "FAILED" });
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(scale: Scale, only: &[String]) -> Result<Results> {
    let chosen: Vec<_> = ROWS.iter().filter(|row| only.is_empty() || only.iter().any(|name| row.is(name))).collect();
    let known = || ROWS.map(|row| format!("{} ({})", row.name, row.numbers.join(", "))).join(", ");
    ensure!(!chosen.is_empty(), "no such row: {}; there are {}", only.join(", "), known());
    // Redis and the runtime that starts gateways inherit it.
    machine::pin(LOAD_CORE)?;
    server::install()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    let bench = Bench { runtime, redis: RedisCluster::start(3, 1)?, scale };
    let (mut sections, began, cores) = (Vec::new(), Instant::now(), CoreTime::of_all()?);
    for (nth, row) in chosen.iter().enumerate() {
        let section = (row.measure)(&bench).with_context(|| format!("measure {}", row.name))?;
        println!("{}/{} {} after {} s\n\n{section}", nth + 1, chosen.len(), row.name, began.elapsed().as_secs());
        sections.push(section);
    }
    Ok(Results { sections, stolen: CoreTime::of_all()?.stolen_since(cores) })
}
