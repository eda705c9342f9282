//! What a message costs by the size of its room: a fixed part, and one for every member.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, FRAME_BYTES, SPEC, idle, megabytes, new_room, percent, send_cost};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target},
    sample::{Sample, latencies, median, typical},
    server::Server,
};

/// Members of the smallest room.
const FEW: usize = 10;

/// Members, and messages per second. First a small room so busy that messages share what wakes the gateway up: what is
/// left beside its writes is the fixed part. Then so few messages that each is written by itself; a room is compared with
/// the smallest one before it, whose pace is like its own, as it costs more to wake up the longer one has slept.
const FULL: [(usize, f64); 7] =
    [(FEW, 20_000.0), (FEW, BRISK), (100, BRISK), (FEW, 20.0), (1000, 20.0), (5000, 10.0), (19_000, 4.0)];
const SHORT: [(usize, f64); 7] =
    [(FEW, 5000.0), (FEW, BRISK), (50, BRISK), (100, BRISK), (FEW, 20.0), (200, 20.0), (500, 10.0)];

/// Messages per second of the rooms of ten and of a hundred, and how often those are measured again in a round: most of what a
/// message costs there has nothing to do with members, and how much that is swings more than what is looked for.
const BRISK: f64 = 200.0;
const AGAIN: usize = 2;

/// Members up to which what comes with their joins is over in a second.
const SMALL: usize = 100;

/// What was seen of one size.
#[derive(Default)]
struct Size {
    members: usize,
    rate: f64,
    samples: Vec<Sample>,
    /// Microseconds of gateway CPU a message, and of bare send() a member, by round.
    costs: Vec<f64>,
    sends: Vec<f64>,
    /// Writes a message, answers to senders among them, by round.
    writes: Vec<f64>,
    memory: u64,
}

impl Size {
    fn cost(&self) -> f64 {
        median(self.costs.iter().copied())
    }

    fn send(&self) -> f64 {
        median(self.sends.iter().copied())
    }

    fn writes(&self) -> f64 {
        median(self.writes.iter().copied())
    }

    /// Of a message to all members.
    fn floor(&self) -> f64 {
        self.send() * self.members as f64
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let mut sizes = scale.pick(FULL, SHORT).map(|(members, rate)| Size { members, rate, ..Size::default() });
    let parlor = bench.parlor(SPEC)?;
    let mut faults = Faults::default();
    for round in 1..=scale.rounds() {
        for size in &mut sizes {
            faults = faults.and(one(bench, &parlor, size)?);
        }
        for _ in 0..AGAIN {
            for size in sizes.iter_mut().filter(|size| size.rate == BRISK) {
                faults = faults.and(one(bench, &parlor, size)?);
            }
        }
        println!("{round}/{} members", scale.rounds());
    }
    let [busy, others @ ..] = &sizes;
    let fixed = busy.cost() - busy.writes() * busy.send();
    let (mut smallest, mut rows, mut worst) = (busy, vec![row(busy, None)], 0.0_f64);
    for size in others {
        if size.members == FEW {
            smallest = size;
            rows.push(row(size, None));
            continue;
        }
        let ratio = slope(smallest, size, Size::cost) / slope(smallest, size, Size::floor).max(1e-9);
        worst = worst.max(ratio);
        rows.push(row(size, Some(ratio)));
    }
    Ok(Section {
        title: "From 10 members to 19,000",
        about: format!(
            "One room, {BYTES} bytes a message; a bare send() to as many sockets beside it. The fixed part of a message is \
             what it costs in the first, busy room beyond its writes, each at the price of a bare send(); the others are \
             at a pace at which each is written by itself, most of what it costs in a small one being to wake up. A \
             member's cost is the rise from the room of {FEW} above, in that of bare send()."
        ),
        header: &[
            "members",
            "messages/s",
            "gateway CPU",
            "CPU a message",
            "writes a message",
            "bare send()",
            "a member, in bare send()",
            "p50 / p99 / max ms",
            "generator's core",
            "memory",
        ],
        rows,
        targets: vec![
            Target::most("8. fixed CPU of a message beside its writes", 20.0, fixed, " us"),
            Target::most("8. CPU of a member more, in bare send(), at worst", 1.2, worst, ""),
        ],
        faults,
    })
}

/// The rise from one size to another, a member.
fn slope(from: &Size, to: &Size, of: fn(&Size) -> f64) -> f64 {
    (of(to) - of(from)) / (to.members - from.members) as f64
}

fn row(size: &Size, member: Option<f64>) -> Vec<String> {
    vec![
        size.members.to_string(),
        size.rate.to_string(),
        percent(typical(&size.samples, Sample::load)),
        format!("{:.0} us", size.cost()),
        format!("{:.1}", size.writes()),
        format!("{:.2} us", size.send()),
        member.map_or("-".to_owned(), |member| format!("{member:.2}")),
        latencies(&size.samples),
        percent(typical(&size.samples, |s| s.generator)),
        megabytes(size.memory),
    ]
}

fn one(bench: &Bench, parlor: &Server, size: &mut Size) -> Result<Faults> {
    let (scale, rate) = (bench.scale, size.rate);
    // One after the other: the descriptors do for one of them only.
    let mut load = Load::one_room(&parlor.endpoint, &new_room(), size.members, BYTES)?;
    // What comes with many joins goes by.
    load.run(rate, scale.time(if size.members > SMALL { 2 } else { 1 }))?;
    let idle = idle(&mut load, parlor, scale.time(1))?;
    let writes = parlor.writes(&bench.runtime)?;
    let sample = Sample::take(&mut load, parlor, rate, scale.time(3))?;
    let messages = (sample.delivered / size.members as u64).max(1);
    size.writes.push((parlor.writes(&bench.runtime)? - writes) as f64 / messages as f64);
    size.costs.push(sample.cost(idle) * size.members as f64);
    size.samples.push(sample);
    size.memory = parlor.resident()?;
    let faults = load.settle()?;
    drop(load);
    let mut bare = Server::bare()?;
    let mut floor = Load::one_room(&bare.endpoint, "", size.members, FRAME_BYTES)?;
    floor.run(rate, Duration::from_millis(500))?;
    size.sends.push(send_cost(&mut floor, &mut bare, rate, scale.time(3))?);
    Ok(faults)
}
