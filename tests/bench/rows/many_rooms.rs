//! The same messages spread over very many rooms, against few.

use std::time::Duration;

use anyhow::Result;

use super::{BYTES, Bench, FRAME_BYTES, SPEC, megabytes, new_room, percent, send_cost};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target, short},
    sample::{Sample, latencies, typical},
    server::Server,
};

/// Members of each room.
const SUBSCRIPTIONS: usize = 10;
/// Messages per second over all rooms.
const RATE: f64 = 5000.0;

/// What was seen of one number of rooms.
struct Part {
    rooms: usize,
    samples: Vec<Sample>,
    /// Gateway, and all Redis servers beyond what they had before.
    memory: u64,
    redis: u64,
    faults: Faults,
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let connections: usize = scale.pick(19_000, 1000);
    let rate = scale.pick(RATE, RATE / 10.0);
    let send = {
        let mut bare = Server::bare()?;
        let mut floor = Load::one_room(&bare.endpoint, "", connections, FRAME_BYTES)?;
        // As many sends a second, each round over all sockets.
        send_cost(&mut floor, &mut bare, rate * SUBSCRIPTIONS as f64 / connections as f64, scale.time(5))?
    };
    println!("1/3 many rooms: a bare send() takes {send:.2} us");
    // As few as there can be with every connection in one room: the same sockets, the same writes.
    let few = part(bench, connections / SUBSCRIPTIONS, connections, rate)?;
    println!("2/3 many rooms: {} rooms", few.rooms);
    let many = part(bench, scale.pick(100_000, 2000), connections, rate)?;
    println!("3/3 many rooms: {} rooms", many.rooms);
    // Share of a core beyond the system calls.
    let beyond = |part: &Part| typical(&part.samples, |s| s.load() - s.per_second() * send / 1e6).max(1e-9);
    let row = |part: &Part| {
        vec![
            part.rooms.to_string(),
            short(typical(&part.samples, Sample::per_second)),
            percent(typical(&part.samples, Sample::load)),
            percent(beyond(part)),
            percent(typical(&part.samples, |s| s.redis.as_secs_f64() / s.wall.as_secs_f64())),
            latencies(&part.samples),
            percent(typical(&part.samples, |s| s.generator)),
            megabytes(part.memory),
            megabytes(part.redis),
        ]
    };
    Ok(Section {
        title: "Many rooms",
        about: format!(
            "{rate} messages/s of {BYTES} bytes in all, {SUBSCRIPTIONS} members a room, on {connections} connections. A bare \
             send() to as many sockets at as many a second took {send:.2} us."
        ),
        header: &[
            "rooms",
            "deliveries/s",
            "gateway CPU",
            "beyond bare send()",
            "Redis CPU",
            "p50 / p99 / max ms",
            "generator's core",
            "gateway memory",
            "Redis memory, added",
        ],
        rows: vec![row(&few), row(&many)],
        targets: vec![Target::most(
            format!("7. {} rooms against {}: gateway CPU beyond bare send()", many.rooms, few.rooms),
            1.5,
            beyond(&many) / beyond(&few),
            " x",
        )],
        faults: few.faults.and(many.faults),
    })
}

fn part(bench: &Bench, rooms: usize, connections: usize, rate: f64) -> Result<Part> {
    let (scale, parlor, prefix) = (bench.scale, bench.parlor(SPEC)?, new_room());
    let before = parlor.redis_resident()?;
    let mut load = Load::new(BYTES)?;
    let mut joins = vec![Vec::new(); connections];
    for nth in 0..rooms {
        let room = load.room(&format!("{prefix}-{nth}"));
        for member in 0..SUBSCRIPTIONS {
            joins[(nth * SUBSCRIPTIONS + member) % connections].push(room);
        }
    }
    load.connect(&parlor.endpoint, connections, |index| joins[index].clone())?;
    load.speak(1);
    // Presence settles, and every room has been spoken in.
    load.run(rate, scale.pick(Duration::from_secs(rooms as u64 / rate as u64 + 3), Duration::from_secs(1)))?;
    load.settle()?;
    let mut samples = Vec::new();
    for _ in 0..scale.rounds() {
        samples.push(Sample::take(&mut load, &parlor, rate, scale.time(4))?);
    }
    let faults = load.settle()?;
    let (memory, redis) = (parlor.resident()?, parlor.redis_resident()?.saturating_sub(before));
    Ok(Part { rooms, samples, memory, redis, faults })
}
