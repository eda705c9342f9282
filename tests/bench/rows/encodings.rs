//! Four protocols in one room, against each by itself.

use std::{rc::Rc, time::Duration};

use anyhow::Result;

use super::{BYTES, Bench, idle, megabytes, new_room, percent};
use crate::{
    generator::{Dialect, Endpoint, Faults, Load, SENDERS},
    results::{Section, Target},
    sample::{Sample, latencies, median, typical},
    server::Server,
};

const SPOKEN: [(&str, Dialect); 4] = [
    ("native", Dialect::Native),
    ("onlyone", Dialect::OnlyOne),
    ("relay", Dialect::Relay),
    ("multiperson", Dialect::MultiPerson),
];
const RATE: f64 = 50.0;

/// Who is in the room, and what was seen.
struct Mix {
    name: &'static str,
    dialects: Vec<Dialect>,
    samples: Vec<Sample>,
    /// Microseconds a delivery, by round.
    costs: Vec<f64>,
    memory: u64,
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let members = scale.pick(1000, 100);
    let new = |name, dialects| Mix { name, dialects, samples: Vec::new(), costs: Vec::new(), memory: 0 };
    let mut mixes: Vec<Mix> = SPOKEN.map(|(name, dialect)| new(name, vec![dialect])).into();
    mixes.push(new("all four", SPOKEN.map(|(_, dialect)| dialect).into()));
    let mut faults = Faults::default();
    for round in 1..=scale.rounds() {
        for mix in &mut mixes {
            faults = faults.and(one(bench, mix, members)?);
        }
        println!("{round}/{} encodings", scale.rounds());
    }
    let cost = |mix: &Mix| median(mix.costs.iter().copied());
    let alone = SPOKEN.len() as f64;
    let mean = mixes[..SPOKEN.len()].iter().map(cost).sum::<f64>() / alone;
    let together = cost(&mixes[SPOKEN.len()]);
    let row = |mix: &Mix| {
        vec![
            mix.name.to_owned(),
            percent(typical(&mix.samples, Sample::load)),
            format!("{:.2} us", cost(mix)),
            latencies(&mix.samples),
            percent(typical(&mix.samples, |s| s.generator)),
            megabytes(mix.memory),
        ]
    };
    Ok(Section {
        title: "Four protocols in one room",
        about: format!(
            "One room of {members} members, {RATE} messages/s of {BYTES} bytes; all four means a quarter of the members each, \
             native ones posting."
        ),
        header: &["members speak", "gateway CPU", "CPU a delivery", "p50 / p99 / max ms", "generator's core", "memory"],
        rows: mixes.iter().map(row).collect(),
        targets: vec![Target::most("11. four protocols in one room, in their mean alone", 1.3, together / mean, " x")],
        faults,
    })
}

fn one(bench: &Bench, mix: &mut Mix, members: usize) -> Result<Faults> {
    let (scale, name) = (bench.scale, new_room());
    let parlor = bench.parlor(&format!(
        "
protocols: {{native: {{}}, onlyone: {{rooms: [{name}]}}, relay: {{}}, multiperson: {{room: {name}, welcome: false}}}}
replicas: 2
limits: {{connectionsPerGateway: 20000, messagesPerSecond: 1000000}}
"
    ))?;
    let mut load = Load::new(BYTES)?;
    let room = load.room(&name);
    for dialect in &mix.dialects {
        let endpoint: Rc<Endpoint> = parlor.speaking(*dialect)?;
        load.connect(&endpoint, members / mix.dialects.len(), |_| vec![room])?;
    }
    load.speak(SENDERS);
    measured(&mut load, &parlor, mix, scale.time(3))
}

fn measured(load: &mut Load, parlor: &Server, mix: &mut Mix, duration: Duration) -> Result<Faults> {
    load.heartbeat()?;
    load.run(0.0, Duration::from_millis(500))?;
    let idle = idle(load, parlor, Duration::from_secs(1))?;
    // Nobody has to say it again before this is over.
    load.heartbeat()?;
    load.run(RATE, Duration::from_millis(500))?;
    let sample = Sample::take(load, parlor, RATE, duration)?;
    mix.costs.push(sample.cost(idle));
    mix.samples.push(sample);
    mix.memory = parlor.resident()?;
    load.settle()
}
