//! What compression saves, and what it costs.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, SPEC, megabytes, new_room, percent};
use crate::{
    generator::{Faults, Load},
    results::{Section, short},
    sample::{Sample, latencies, median, typical},
    server::Server,
};

/// Messages per second.
const RATES: [f64; 2] = [50.0, 1000.0];

/// A gateway with its members, and what was seen of it at one rate.
struct Side {
    name: &'static str,
    parlor: Server,
    load: Load,
    samples: Vec<Sample>,
    /// Bytes that a delivery took on its way, by round.
    bytes: Vec<f64>,
}

impl Side {
    fn start(bench: &Bench, name: &'static str, members: usize) -> Result<Self> {
        let spec = SPEC.replace("native: {}", &format!("native: {{deflate: {}}}", name == "on"));
        let parlor = bench.parlor(&spec)?;
        // Both offer it: the gateway decides.
        let load = Load::one_room(&parlor.inflating()?, &new_room(), members, BYTES)?;
        Ok(Self { name, parlor, load, samples: Vec::new(), bytes: Vec::new() })
    }

    fn round(&mut self, rate: f64, duration: Duration) -> Result<Faults> {
        self.load.run(rate, Duration::from_millis(500))?;
        let before = self.load.seen.bytes;
        let sample = Sample::take(&mut self.load, &self.parlor, rate, duration)?;
        self.bytes.push((self.load.seen.bytes - before) as f64 / sample.delivered.max(1) as f64);
        self.samples.push(sample);
        self.load.settle()
    }

    /// The row of the rounds so far, which are forgotten then.
    fn row(&mut self, rate: f64) -> Result<Vec<String>> {
        let (samples, bytes) = (std::mem::take(&mut self.samples), std::mem::take(&mut self.bytes));
        Ok(vec![
            self.name.to_owned(),
            rate.to_string(),
            short(typical(&samples, Sample::per_second)),
            format!("{:.0}", median(bytes)),
            percent(typical(&samples, Sample::load)),
            format!("{:.2} us", typical(&samples, |s| s.cost(0.0))),
            latencies(&samples),
            percent(typical(&samples, |s| s.generator)),
            megabytes(self.parlor.resident()?),
        ])
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let members = scale.pick(1000, 100);
    let mut sides = [Side::start(bench, "off", members)?, Side::start(bench, "on", members)?];
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    for rate in RATES {
        for round in 1..=scale.rounds() {
            faults = Faults::default();
            for side in &mut sides {
                faults = faults.and(side.round(rate, scale.time(3))?);
            }
            println!("{round}/{} deflate at {rate} messages/s", scale.rounds());
        }
        for side in &mut sides {
            rows.push(side.row(rate)?);
        }
    }
    Ok(Section {
        title: "Compression",
        about: format!(
            "One room of {members} native members, messages of {BYTES} bytes of prose, with and without permessage-deflate; \
             bytes are those of WebSocket frames."
        ),
        header: &[
            "permessage-deflate",
            "messages/s",
            "deliveries/s",
            "bytes a delivery",
            "gateway CPU",
            "CPU a delivery",
            "p50 / p99 / max ms",
            "generator's core",
            "memory",
        ],
        rows,
        faults,
        ..Section::default()
    })
}
