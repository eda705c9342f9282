//! Everyone is cut off at once, misses some messages, and comes back to resume where they were.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{BYTES, Bench, SPEC, megabytes, new_room};
use crate::{
    generator::{Faults, Load, SENDERS},
    results::{Section, Target},
    sample::median,
    server::Server,
};

/// Messages per second, before the cut and while everyone is away; each is some 19,000 writes, a fraction of a core.
const RATE: f64 = 2.0;
/// Seconds away.
const AWAY: u64 = 5;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let (scale, parlor) = (bench.scale, bench.parlor(SPEC)?);
    let clients = scale.pick(19_000, 1000);
    let (mut alone, mut resumed, mut costs, mut faults) = (Vec::new(), Vec::new(), Vec::new(), Faults::default());
    for round in 1..=scale.rounds() {
        alone.push(handshakes(&parlor, clients)?);
        println!("{round}/{} resume: handshakes alone took {:.2} s", scale.rounds(), alone[round - 1]);
        let mut load = Load::new(BYTES)?.resumable();
        let room = load.room(&new_room());
        load.connect(&parlor.endpoint, SENDERS + clients, |_| vec![room])?;
        load.speak(SENDERS);
        load.run(RATE, scale.time(3))?;
        load.cut(SENDERS..SENDERS + clients);
        load.run(RATE, scale.time(AWAY))?;
        let (began, cpu) = (Instant::now(), parlor.cpu()?);
        load.dial(SENDERS..SENDERS + clients)?;
        faults = faults.and(load.settle()?);
        resumed.push(began.elapsed().as_secs_f64());
        costs.push((parlor.cpu()? - cpu).as_secs_f64() * 1e6 / clients as f64);
        println!("{round}/{} resume: back after {:.2} s", scale.rounds(), resumed[round - 1]);
        drop(load);
        std::thread::sleep(scale.time(2));
    }
    let (alone, resumed) = (median(alone), median(resumed));
    Ok(Section {
        title: "Back after a cut",
        about: format!(
            "{clients} members of one room are cut off at once, miss {RATE} messages per second for {AWAY} s, dial again and join \
             with their position; done when every one of them has all that was posted. Beside it as many handshakes \
             without a join."
        ),
        header: &["clients", "handshakes alone", "back with everything", "gateway CPU each", "memory"],
        rows: vec![vec![
            clients.to_string(),
            format!("{alone:.2} s"),
            format!("{resumed:.2} s"),
            format!("{:.0} us", median(costs)),
            megabytes(parlor.resident()?),
        ]],
        targets: vec![Target::most("10. back after a cut, in handshakes alone", 1.5, resumed / alone, " x")],
        faults,
    })
}

/// Seconds that the handshakes take; then they are gone.
fn handshakes(parlor: &Server, clients: usize) -> Result<f64> {
    let (mut load, began) = (Load::new(BYTES)?, Instant::now());
    load.connect(&parlor.endpoint, clients, |_| Vec::new())?;
    let took = began.elapsed().as_secs_f64();
    drop(load);
    std::thread::sleep(Duration::from_secs(1));
    Ok(took)
}
