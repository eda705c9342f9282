//! The same room on other people's servers: each at the highest rate that it carries, and all at the same one.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{BYTES, Bench, SPEC, megabytes, new_room, percent};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target, short},
    sample::{Sample, latencies, typical},
    server::{Peer, Server},
};

/// A rate is carried when p99 is within this many milliseconds, and everything arrives.
const P99: f64 = 100.0;
/// Of what is offered; the rest may still be on its way when the time is over.
const ARRIVED: f64 = 0.95;
/// Steps up, and then between the last that was carried and the first that was not.
const STEP: f64 = 1.5;
const STEPS: usize = 16;
/// How often a rate that was not carried again is lowered.
const CONFIRMATIONS: usize = 4;
/// Messages per second at which all are compared.
const COMMON: f64 = 50.0;

/// Parlor, or another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rival(Option<Peer>);

/// What it did.
struct Record {
    rival: Rival,
    knee: f64,
    at_knee: Vec<Sample>,
    at_common: Vec<Sample>,
    faults: Faults,
    memory: u64,
}

impl Rival {
    fn name(self) -> &'static str {
        self.0.map_or("Parlor", Peer::name)
    }

    fn start(self, bench: &Bench) -> Result<Server> {
        self.0.map_or_else(|| bench.parlor(SPEC), Peer::start).with_context(|| format!("start {}", self.name()))
    }

    /// Where the search begins: a rate that it should carry.
    fn first_rate(self) -> f64 {
        match self.0 {
            None => 1000.0,
            Some(Peer::UWebSockets) => 500.0,
            Some(Peer::SocketIo | Peer::Ws | Peer::Nchan | Peer::Centrifuge) => 50.0,
        }
    }
}

/// A server with its members.
struct Stage {
    load: Load,
    server: Server,
}

impl Stage {
    fn set(bench: &Bench, rival: Rival) -> Result<Self> {
        let server = rival.start(bench)?;
        let mut load = Load::one_room(&server.endpoint, &new_room(), bench.scale.pick(1000, 100), BYTES)?;
        // Some let members in before they are subscribed.
        load.run(0.0, Duration::from_secs(1))?;
        Ok(Self { load, server })
    }

    fn sample(&mut self, rate: f64, duration: Duration) -> Result<(Sample, Faults)> {
        self.load.run(rate, Duration::from_millis(500))?;
        let sample = Sample::take(&mut self.load, &self.server, rate, duration)?;
        Ok((sample, self.load.settle_within(Duration::from_secs(3))?))
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let rivals = [Rival(None)].into_iter().chain(Peer::ALL.map(|peer| Rival(Some(peer))));
    let mut records = Vec::new();
    for rival in rivals {
        let knee = knee(bench, rival)?;
        println!("{}/{} knee of {}: {} messages/s", records.len() + 1, Peer::ALL.len() + 1, rival.name(), short(knee));
        let (at_knee, at_common) = (Vec::new(), Vec::new());
        records.push(Record { rival, knee, at_knee, at_common, faults: Faults::default(), memory: 0 });
    }
    for round in 1..=scale.rounds() {
        for record in &mut records {
            let mut stage = Stage::set(bench, record.rival)?;
            let (common, faults) = stage.sample(COMMON, scale.time(4))?;
            let (knee, faults_at_knee) = stage.sample(record.knee, scale.time(4))?;
            record.faults = record.faults.and(faults).and(faults_at_knee);
            record.at_common.push(common);
            record.at_knee.push(knee);
            record.memory = stage.server.resident()?;
        }
        println!("{round}/{} rivals", scale.rounds());
    }
    Ok(section(bench, &records))
}

/// The highest rate that is carried.
fn knee(bench: &Bench, rival: Rival) -> Result<f64> {
    let (mut stage, mut rate) = (None, rival.first_rate());
    let (mut good, mut bad) = (0.0_f64, f64::INFINITY);
    let between = bench.scale.pick(3, 0);
    let mut halvings = 0;
    for _ in 0..STEPS {
        if carried(bench, rival, &mut stage, rate)? {
            good = rate;
        } else {
            bad = rate;
            // It may take long to recover.
            stage = None;
        }
        rate = match (good > 0.0, bad.is_finite()) {
            (true, true) if halvings == between => break,
            (true, true) => {
                halvings += 1;
                (good * bad).sqrt()
            }
            (true, false) => good * STEP,
            (false, _) => bad / STEP,
        };
    }
    // A second run on a server of its own: one lucky sample is no knee.
    let mut knee = if good > 0.0 { good } else { rate };
    for _ in 0..bench.scale.pick(CONFIRMATIONS, 0) {
        if carried(bench, rival, &mut None, knee)? {
            break;
        }
        knee /= STEP.sqrt();
    }
    Ok(knee)
}

fn carried(bench: &Bench, rival: Rival, stage: &mut Option<Stage>, rate: f64) -> Result<bool> {
    if stage.is_none() {
        *stage = Some(Stage::set(bench, rival)?);
    }
    let stage = stage.as_mut().context("a stage was just set")?;
    let members = bench.scale.pick(1000.0, 100.0);
    // One that stops reading what is posted has had enough, too.
    let Ok((sample, faults)) = stage.sample(rate, bench.scale.time(2)) else { return Ok(false) };
    let arrived = sample.per_second() >= ARRIVED * rate * members;
    Ok(arrived && sample.latency(0.99) <= P99 && faults.none() && faults.refused == 0)
}

fn section(bench: &Bench, records: &[Record]) -> Section {
    let members = bench.scale.pick(1000, 100);
    let row = |record: &Record, samples: &[Sample], rate: f64| {
        let Faults { lost, surplus, disordered, damaged, .. } = record.faults;
        vec![
            record.rival.name().to_owned(),
            short(rate),
            short(typical(samples, Sample::per_second)),
            percent(typical(samples, Sample::load)),
            percent(typical(samples, |s| s.redis.as_secs_f64() / s.wall.as_secs_f64())),
            short(typical(samples, Sample::per_all_cpu)),
            short(typical(samples, Sample::per_cpu)),
            latencies(samples),
            percent(typical(samples, |s| s.generator)),
            (lost + surplus + disordered + damaged).to_string(),
            megabytes(record.memory),
        ]
    };
    let at_knee = records.iter().map(|record| row(record, &record.at_knee, record.knee));
    let at_common = records.iter().map(|record| row(record, &record.at_common, COMMON));
    Section {
        title: "Other servers",
        about: format!(
            "The same room of {members} members and {BYTES} bytes a message on each, one server core, its Redis on the \
             other: first at the highest rate that it carries with p99 <= {P99} ms and nothing lost, found by a stepped \
             search and confirmed by a second run, then at {COMMON} messages/s. Parlor's Redis is a cluster of 3 x (1 + 1) with history on, the others' \
             one server; uWebSockets has no bus and no history. Their versions are in tests/bench/peers."
        ),
        header: &[
            "server",
            "messages/s",
            "deliveries/s",
            "server CPU",
            "Redis CPU",
            "deliveries per CPU second, both",
            "of the server alone",
            "p50 / p99 / max ms",
            "generator's core",
            "wrong",
            "memory",
        ],
        rows: at_knee.chain(at_common).collect(),
        targets: targets(records),
        faults: records.first().map(|parlor| parlor.faults).unwrap_or_default(),
    }
}

fn targets(records: &[Record]) -> Vec<Target> {
    let Some((parlor, others)) = records.split_first() else { return Vec::new() };
    let ratio = |of: &dyn Fn(&Record) -> f64, other: &Record| of(parlor) / of(other).max(1e-9);
    let at_knee = |record: &Record| typical(&record.at_knee, Sample::per_all_cpu);
    let at_common = |record: &Record| typical(&record.at_common, Sample::per_all_cpu);
    let mut targets = Vec::new();
    for other in others {
        let name = other.rival.name();
        if other.rival == Rival(Some(Peer::UWebSockets)) {
            let a_core = |record: &Record| typical(&record.at_knee, Sample::per_cpu);
            let what = format!("4. deliveries per second and core, against {name}, each at its most");
            targets.push(Target::least(what, 1.0, ratio(&a_core, other), " x"));
        } else {
            let what = format!("3. deliveries per CPU second, against {name}, each at its most");
            targets.push(Target::least(what, 20.0, ratio(&at_knee, other), " x"));
            let what = format!("3. deliveries per CPU second, against {name}, at {COMMON} messages/s");
            targets.push(Target::least(what, 1.6, ratio(&at_common, other), " x"));
        }
    }
    targets
}
