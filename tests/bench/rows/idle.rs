//! Connections that are joined to a room and say nothing.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, SPEC, megabytes, new_room};
use crate::{
    generator::Load,
    results::{Section, Target},
    sample::{Sample, median},
};

/// Connected before memory is first read: what a gateway takes for itself is in it.
const BASE: usize = 100;
/// The time of a full run is watched in so many parts.
const PARTS: u32 = 5;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let (scale, parlor) = (bench.scale, bench.parlor(SPEC)?);
    // What fits into the 20,000 descriptors that a process may often have.
    let members = scale.pick(19_000, 2000);
    let mut load = Load::new(BYTES)?;
    let room = load.room(&new_room());
    load.connect(&parlor.endpoint, BASE, |_| vec![room])?;
    load.run(0.0, scale.time(10))?;
    let base = parlor.resident()?;
    load.connect(&parlor.endpoint, members - BASE, |_| vec![room])?;
    let mut loads = Vec::new();
    for part in 1..=PARTS {
        let duration = scale.pick(Duration::from_secs(60), Duration::from_secs(5)) / PARTS;
        loads.push(Sample::take(&mut load, &parlor, 0.0, duration)?.load());
        println!("{part}/{PARTS} idle");
    }
    let bytes = parlor.resident()?.saturating_sub(base) as f64 / (members - BASE) as f64;
    let micros = median(loads) * 1e6 / members as f64;
    Ok(Section {
        title: "Idle connections",
        about: format!(
            "{members} members of one room who say nothing, after {} s; memory beyond that at {BASE}.",
            scale.pick(60, 5)
        ),
        header: &["members", "memory per connection", "CPU per connection and second", "memory in all"],
        rows: vec![vec![
            members.to_string(),
            format!("{bytes:.0} bytes"),
            format!("{micros:.2} us"),
            megabytes(parlor.resident()?),
        ]],
        targets: vec![
            Target::most("5. an idle connection: memory", 1024.0, bytes, " bytes"),
            Target::most("5. an idle connection: CPU a second", 1.0, micros, " us"),
        ],
        faults: load.settle()?,
    })
}
