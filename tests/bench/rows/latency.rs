//! How long a message takes in a small, lively room, against what it cannot do without: a loop that writes it to
//! everyone, and one trip through Redis.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use parlor_tests::redis::{RedisCluster, RedisNode, Reply};

use super::{BYTES, Bench, FRAME_BYTES, SPEC, megabytes, new_room, percent};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target},
    sample::{Sample, latencies, median, typical},
    server::Server,
};

const MEMBERS: usize = 100;
/// 50,000 deliveries per second.
const RATE: f64 = 500.0;
/// Entries that make the trip through Redis in a round.
const TRIPS: usize = 300;

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let scale = bench.scale;
    let (parlor, bare) = (bench.parlor(SPEC)?, Server::bare()?);
    let mut load = Load::one_room(&parlor.endpoint, &new_room(), MEMBERS, BYTES)?;
    let mut floor = Load::one_room(&bare.endpoint, "", MEMBERS, FRAME_BYTES)?;
    let (mut ours, mut theirs, mut trips, mut faults) = (Vec::new(), Vec::new(), Vec::new(), Faults::default());
    for round in 1..=scale.rounds() {
        load.run(RATE, Duration::from_millis(500))?;
        ours.push(Sample::take(&mut load, &parlor, RATE, scale.time(5))?);
        faults = load.settle()?;
        floor.run(RATE, Duration::from_millis(500))?;
        theirs.push(Sample::take(&mut floor, &bare, RATE, scale.time(5))?);
        floor.settle()?;
        trips.push(trip(&bench.redis)?);
        println!("{round}/{} latency", scale.rounds());
    }
    let p99 = |samples: &[Sample]| typical(samples, |s| s.latency(0.99));
    let trip = |quantile| median(trips.iter().map(|trip| trip.value_at_quantile(quantile) as f64 / 1000.0));
    let floor = p99(&theirs) + trip(0.5);
    let row = |name: &str, server: &Server, samples: &[Sample]| -> Result<Vec<String>> {
        let cost = typical(samples, |s| s.cost(0.0));
        let (load, generator) = (typical(samples, Sample::load), typical(samples, |s| s.generator));
        let memory = megabytes(server.resident()?);
        Ok(vec![name.into(), percent(load), format!("{cost:.2} us"), latencies(samples), percent(generator), memory])
    };
    let most = trips.iter().map(|trip| trip.max() as f64 / 1000.0).fold(0.0, f64::max);
    let trip_row = format!("{:.2} / {:.2} / {most:.2}", trip(0.5), trip(0.99));
    let none = || "-".to_owned();
    Ok(Section {
        title: "A lively room",
        about: format!(
            "One room of {MEMBERS} members, {RATE} messages/s of {BYTES} bytes. Beside it a loop that reads a message and \
             sends it to as many sockets, and the trip of an entry of that size through the same Redis: XADD on a primary \
             until a blocked XREAD on its replica has it."
        ),
        header: &["", "CPU", "CPU a delivery", "p50 / p99 / max ms", "generator's core", "memory"],
        rows: vec![
            row("Parlor", &parlor, &ours)?,
            row("read and send", &bare, &theirs)?,
            vec!["append to tail".to_owned(), none(), none(), trip_row, none(), none()],
        ],
        targets: vec![
            Target::most("6. a lively room: p50", 0.8, typical(&ours, |s| s.latency(0.5)), " ms"),
            Target::most("6. a lively room: p99, in that of read and send and one trip", 2.0, p99(&ours) / floor, ""),
        ],
        faults,
    })
}

/// Microseconds from an append at a primary until its replica has shown the entry to a blocked reader.
fn trip(redis: &RedisCluster) -> Result<Histogram<u64>> {
    let owner = |key: &&String| redis.nodes.iter().find(|node| holds(node, key));
    let keys: Vec<String> = (0..100).map(|nth| format!("trip{nth}")).collect();
    let key = keys.iter().find(|key| owner(key).is_some()).context("no primary takes a key")?;
    let primary = owner(&key).context("no primary takes the key")?;
    let at = redis.nodes.iter().position(|node| node.port() == primary.port()).context("find the primary")?;
    let replica = &redis.nodes[redis.replica(at)?];
    let (mut writer, mut reader) = (primary.connect()?, replica.connect()?);
    reader.send(&["READONLY"])?;
    reader.reply()?;
    let mut histogram = Histogram::new_with_bounds(1, 10_000_000, 3).context("make a histogram")?;
    let (value, mut last) = ("x".repeat(FRAME_BYTES), "$".to_owned());
    for _ in 0..TRIPS {
        reader.send(&["XREAD", "BLOCK", "1000", "STREAMS", key, &last])?;
        // Time to block; a pause also keeps this from being a test of throughput.
        std::thread::sleep(Duration::from_millis(2));
        let began = Instant::now();
        writer.send(&["XADD", key, "*", "m", &value])?;
        let shown = reader.reply()?;
        histogram.saturating_record(began.elapsed().as_micros() as u64);
        let Reply::Text(id) = writer.reply()? else { anyhow::bail!("XADD gave no id") };
        anyhow::ensure!(shown != Reply::Nil, "the replica showed nothing");
        last = id;
    }
    writer.send(&["DEL", key])?;
    writer.reply()?;
    Ok(histogram)
}

/// True of the primary of the key's slot: others redirect.
fn holds(node: &RedisNode, key: &str) -> bool {
    node.says("replication", "role:master") && node.call(&["EXISTS", key]).is_ok()
}
