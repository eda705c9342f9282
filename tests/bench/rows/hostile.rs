//! What a thousand hostile connections cost a thousand honest members.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, megabytes, new_room, percent};
use crate::{
    generator::{Faults, Load},
    hostile::{Hostile, PEERS},
    results::{Section, Target},
    sample::{Sample, latencies, typical},
};

/// Every protocol, with the limits that a ChatRoom has when it names none.
const SPEC: &str = "
protocols: {native: {}, onlyone: {}, relay: {}, match: {}, multiperson: {}}
replicas: 2
";
const MEMBERS: usize = 1000;
/// Messages per second: 20,000 deliveries.
const RATE: f64 = 20.0;
/// Until hostile peers have all begun, and until the last of them are gone.
const SETTLES: Duration = Duration::from_secs(2);

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let members = scale.pick(MEMBERS, 200);
    let (parlor, room) = (bench.parlor(SPEC)?, new_room());
    let mut load = Load::one_room(&parlor.endpoint, &room, members, BYTES)?;
    let (mut calm, mut bothered, mut faults) = (Vec::new(), Vec::new(), Faults::default());
    let (mut before, mut during) = (0, 0);
    for round in 1..=scale.rounds() {
        load.run(RATE, SETTLES)?;
        calm.push(Sample::take(&mut load, &parlor, RATE, scale.time(10))?);
        before = parlor.resident()?;
        let hostile = Hostile::start(parlor.endpoint.address, &room)?;
        load.run(RATE, SETTLES)?;
        bothered.push(Sample::take(&mut load, &parlor, RATE, scale.time(10))?);
        during = during.max(parlor.resident()?);
        drop(hostile);
        faults = load.settle()?;
        println!("{round}/{} hostile", scale.rounds());
    }
    load.run(RATE, SETTLES)?;
    let after = parlor.resident()?;
    let p99 = |samples: &[Sample]| typical(samples, |s| s.latency(0.99));
    let row = |name: &str, samples: &[Sample], memory: u64| {
        let (load, generator) = (typical(samples, Sample::load), typical(samples, |s| s.generator));
        vec![name.to_owned(), percent(load), latencies(samples), percent(generator), megabytes(memory)]
    };
    Ok(Section {
        title: "Hostile peers",
        about: format!(
            "One room of {members} members, {RATE} messages/s of {BYTES} bytes, without and with {PEERS} hostile connections: \
             heads and bodies that drip, answers and rooms that nobody reads, floods of messages, rooms, people and tokens, \
             broken frames and handshakes, in every protocol at once. They come back as fast as they are shown the door, from \
             the core of the load generator, to which they give way. {} after they were gone.",
            megabytes(after)
        ),
        header: &["", "CPU", "p50 / p99 / max ms", "generator's core", "memory"],
        rows: vec![row("alone", &calm, before), row("with hostile peers", &bothered, during)],
        targets: vec![Target::most(
            "18. hostile peers: p99 of honest members, in that without",
            2.0,
            p99(&bothered) / p99(&calm),
            "",
        )],
        faults,
    })
}
