//! Audits a ChatRoom from outside: posts numbered messages through many connections, and reports per room and member
//! what was lost, doubled or out of order. Exit code 1 if anything was.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use parlor_tests::audit::{Plan, run};

/// Posts numbered messages through many connections and checks what every member is shown.
#[derive(Debug, Parser)]
#[command(name = "parlor-audit")]
struct Args {
    /// Native endpoints, such as ws://chat.example.com/chat; members spread over them
    #[arg(required = true, value_name = "URL")]
    native: Vec<String>,
    /// OnlyOne endpoints; half of the members use them
    #[arg(long, value_name = "URL")]
    onlyone: Vec<String>,
    /// Connect here, and ask for the URLs' hosts there: an ingress whose names do not resolve
    #[arg(long, value_name = "ADDRESS:PORT")]
    via: Option<SocketAddr>,
    /// Rooms; OnlyOne serves only those that its ChatRoom names
    #[arg(long, default_value_t = 1)]
    rooms: u32,
    /// Name of the room; with several rooms, their names' beginning
    #[arg(long, default_value = "onlyOne")]
    room: String,
    /// Members of each room
    #[arg(long, default_value_t = 20)]
    members: u32,
    /// Messages per second over all members
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Seconds to post
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Bytes of text a message
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Each member deletes every so manyth message of its own; 0: none
    #[arg(long, default_value_t = 0)]
    deletes: u32,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Args { native, onlyone, via, rooms, room, members, rate, seconds, bytes, deletes } = Args::parse();
    let rooms = if rooms == 1 { vec![room] } else { (1..=rooms).map(|n| format!("{room}-{n}")).collect() };
    let duration = Duration::from_secs(seconds);
    let plan = Plan { native, onlyone, via, rooms, members, rate, duration, bytes, deletes, ..Plan::default() };
    let report = run(&plan).await?;
    print!("{report}");
    Ok(if report.verdict.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
