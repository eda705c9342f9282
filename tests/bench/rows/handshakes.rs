//! What a connection costs before it says anything.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, SPEC, megabytes};
use crate::{
    generator::Load,
    results::{Section, Target, short},
    sample::median,
};

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let (scale, parlor) = (bench.scale, bench.parlor(SPEC)?);
    let number = scale.pick(10_000, 1000);
    let (mut rates, mut walls) = (Vec::new(), Vec::new());
    for round in 1..=scale.rounds() {
        let mut load = Load::new(BYTES)?;
        let (cpu, began) = (parlor.cpu()?, std::time::Instant::now());
        load.connect(&parlor.endpoint, number, |_| Vec::new())?;
        walls.push(number as f64 / began.elapsed().as_secs_f64());
        rates.push(number as f64 / (parlor.cpu()? - cpu).as_secs_f64().max(1e-9));
        println!("{round}/{} handshakes", scale.rounds());
        drop(load);
        // The gateway sees them go.
        std::thread::sleep(Duration::from_millis(500));
    }
    let rate = median(rates);
    Ok(Section {
        title: "Handshakes",
        about: format!("{number} connections to /chat, from TCP's first packet to the 101, at most 100 at a time."),
        header: &["a second", "per second of gateway CPU", "CPU each", "memory"],
        rows: vec![vec![
            short(median(walls)),
            short(rate),
            format!("{:.0} us", 1e6 / rate),
            megabytes(parlor.resident()?),
        ]],
        targets: vec![Target::least("9. handshakes per second of gateway CPU", 10_000.0, rate, "")],
        ..Section::default()
    })
}
