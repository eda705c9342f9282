//! Three gateways and a Redis Cluster of six under the auditor, while a seeded schedule breaks one thing after another:
//! no acknowledged message is lost, doubled or out of order. Then what it takes to lose something, and whether the
//! auditor would have noticed: the gateway is broken on purpose.
//!
//! `CHAOS_SECONDS` sets how long (600), `CHAOS_SEED` repeats a schedule.

mod fault;
mod gateways;
mod losses;
mod lost;
mod mutants;
mod promises;
mod servers;
mod timeline;
mod under_fire;
mod world;

use tokio::sync::Mutex;

/// One scenario at a time: each needs the machine for itself, or its latencies say nothing.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How long faults are injected, in seconds.
fn seconds() -> u64 {
    let given = std::env::var("CHAOS_SECONDS").ok();
    given.map_or(600, |seconds| seconds.parse().expect("CHAOS_SECONDS is a number of seconds"))
}

/// Decides every random choice of a schedule.
fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok();
    given.map_or_else(rand::random, |seed| seed.parse().expect("CHAOS_SEED is a number"))
}
