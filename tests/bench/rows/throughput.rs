//! One room as full of messages as it gets: deliveries per second, and what one costs.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, FRAME_BYTES, SPEC, megabytes, new_room, percent, send_cost};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target, short},
    sample::{Sample, latencies, typical},
    server::Server,
};

/// Messages per second to each member.
const RATE: f64 = 3000.0;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let members = scale.pick(1000, 200);
    let (parlor, mut bare) = (bench.parlor(SPEC)?, Server::bare()?);
    let mut load = Load::one_room(&parlor.endpoint, &new_room(), members, BYTES)?;
    let mut floor = Load::one_room(&bare.endpoint, "", members, FRAME_BYTES)?;
    let (mut samples, mut sends, mut faults) = (Vec::new(), Vec::new(), Faults::default());
    for round in 1..=scale.rounds() {
        sends.push(send_cost(&mut floor, &mut bare, 50.0, scale.time(3))?);
        load.run(RATE, Duration::from_secs(1))?;
        let sample = Sample::take(&mut load, &parlor, RATE, scale.time(30))?;
        faults = load.settle()?;
        println!("{round}/{} throughput: {} deliveries/s", scale.rounds(), short(sample.per_second()));
        samples.push(sample);
    }
    let (send, per_second) = (crate::sample::median(sends), typical(&samples, Sample::per_second));
    let (cost, p99) = (typical(&samples, |s| s.cost(0.0)), typical(&samples, |s| s.latency(0.99)));
    Ok(Section {
        title: "A full room",
        about: format!(
            "One room of {members} members, {BYTES} bytes a message, {RATE} messages/s for {} s, Redis Cluster of 3 x (1 + 1) \
             with history on. A bare send() of as many bytes to as many sockets took {send:.2} us.",
            scale.time(30).as_secs()
        ),
        header: &[
            "deliveries/s",
            "gateway CPU",
            "CPU a delivery",
            "bare send() a delivery",
            "Redis CPU",
            "p50 / p99 / max ms",
            "generator's core",
            "memory",
        ],
        rows: vec![vec![
            short(per_second),
            percent(typical(&samples, Sample::load)),
            format!("{cost:.3} us"),
            format!("1/{:.1}", send / cost),
            percent(typical(&samples, |s| s.redis.as_secs_f64() / s.wall.as_secs_f64())),
            latencies(&samples),
            percent(typical(&samples, |s| s.generator)),
            megabytes(parlor.resident()?),
        ]],
        targets: vec![
            Target::most("1. a full room: CPU of a delivery, in bare send()", 1.0 / 20.0, cost / send, ""),
            Target::least("1. a full room: deliveries per second", 2.5e6, per_second, ""),
            Target::most("1. a full room: p99", 25.0, p99, " ms"),
        ],
        faults,
    })
}
