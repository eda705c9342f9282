//! The same room at a walking pace, where a delivery can hardly be cheaper than its system call.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, FRAME_BYTES, SPEC, idle, megabytes, new_room, percent, send_cost};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target},
    sample::{Sample, latencies, median, typical},
    server::Server,
};

/// Messages per second; the first is the one with a target.
const RATES: [f64; 3] = [100.0, 50.0, 20.0];

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let members = scale.pick(1000, 200);
    let (parlor, mut bare) = (bench.parlor(SPEC)?, Server::bare()?);
    let mut load = Load::one_room(&parlor.endpoint, &new_room(), members, BYTES)?;
    let mut floor = Load::one_room(&bare.endpoint, "", members, FRAME_BYTES)?;
    let (mut rows, mut targets, mut faults) = (Vec::new(), Vec::new(), Faults::default());
    for rate in RATES {
        let (mut samples, mut ratios, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 1..=scale.pairs() {
            let idle = idle(&mut load, &parlor, scale.time(1))?;
            load.run(rate, Duration::from_millis(500))?;
            let sample = Sample::take(&mut load, &parlor, rate, scale.time(3))?;
            faults = load.settle()?;
            let send = send_cost(&mut floor, &mut bare, rate, scale.time(3))?;
            costs.push(sample.cost(idle));
            ratios.push(sample.cost(idle) / send);
            println!("{pair}/{} pace: {:.2} bare send() at {rate} messages/s", scale.pairs(), sample.cost(idle) / send);
            samples.push(sample);
        }
        let ratio = median(ratios);
        if rate == RATES[0] {
            targets.push(Target::most("2. 100 messages/s: CPU of a delivery, in bare send()", 1.2, ratio, ""));
        }
        rows.push(vec![
            rate.to_string(),
            percent(typical(&samples, Sample::load)),
            format!("{:.2} us", median(costs)),
            format!("{ratio:.2}"),
            latencies(&samples),
            percent(typical(&samples, |s| s.generator)),
            megabytes(parlor.resident()?),
        ]);
    }
    Ok(Section {
        title: "A room at a walking pace",
        about: format!(
            "One room of {members} members, {BYTES} bytes a message, against a loop that sends as many bytes to as many \
             sockets and does nothing else, at the same pace. What the gateway's CPU does without messages is taken off. \
             Medians of {} pairs.",
            scale.pairs()
        ),
        header: &[
            "messages/s",
            "gateway CPU",
            "CPU a delivery",
            "in bare send()",
            "p50 / p99 / max ms",
            "generator's core",
            "memory",
        ],
        rows,
        targets,
        faults,
    })
}
