//! What gateways that have no member in a room add to the cost of its messages and joins: the same load on one gateway
//! while more and more others have members in rooms of their own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use parlor_gateway::{
    bus::Bus,
    redis::RedisSettings,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::{HISTORY, open, settings},
    redis::RedisCluster,
};
use tokio::runtime::Runtime;

use super::{BYTES, Bench, SPEC};
use crate::{
    generator::{Faults, Load},
    results::{Section, Target, short},
    sample::Sample,
    server::Server,
};

/// Keys of the ChatRoom that measured gateways serve.
const PREFIX: &str = "default/test";

/// What one size of the fleet costs.
struct Part {
    gateways: usize,
    /// Commands a second that all servers of Redis carry out while nobody joins or posts.
    idle: f64,
    joins: f64,
    /// Microseconds of all servers of Redis.
    message: f64,
    faults: Faults,
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let sizes = bench.scale.pick(&[2, 20, 100][..], &[2, 4][..]);
    let parts = sizes.iter().map(|gateways| part(bench, *gateways)).collect::<Result<Vec<_>>>()?;
    let (few, many) = parts.first().zip(parts.last()).context("a fleet without sizes")?;
    let targets = vec![
        Target::most(
            format!("17. Redis CPU per message with {} gateways against {}", many.gateways, few.gateways),
            1.2,
            many.message / few.message.max(1e-9),
            " x",
        ),
        Target::least(
            format!("17. joins per second with {} gateways against {}", many.gateways, few.gateways),
            1.0 / 1.2,
            many.joins / few.joins.max(1e-9),
            " x",
        ),
    ];
    let row = |part: &Part| {
        let Part { gateways, idle, joins, message, faults: _ } = part;
        vec![gateways.to_string(), short(*idle), short(*joins), short(*message)]
    };
    Ok(Section {
        title: "Gateways that have no member in a room",
        about: format!(
            "One gateway has all members of the rooms in which people join and post, {BYTES} bytes a message. The others are \
             the bus of a gateway each, in one process on the generator's core, with one member in a room of every partition."
        ),
        header: &["gateways", "idle Redis commands/s", "joins/s into new rooms", "us of Redis CPU a message"],
        rows: parts.iter().map(row).collect(),
        targets,
        faults: parts.into_iter().fold(Faults::default(), |all, part| all.and(part.faults)),
    })
}

fn part(bench: &Bench, gateways: usize) -> Result<Part> {
    let (scale, redis) = (bench.scale, RedisCluster::start(3, 1)?);
    let others = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    start(&others, &redis, gateways - 1)?;
    let server = Server::parlor(&bench.runtime, &redis, SPEC)?;
    let (time, connections, rate) = (scale.time(5), scale.pick(2000, 200), scale.pick(200.0, 50.0));
    std::thread::sleep(Duration::from_secs(1));
    let before = commands(&redis)?;
    std::thread::sleep(time);
    let idle = (commands(&redis)? - before) / time.as_secs_f64();

    let mut load = Load::new(BYTES)?;
    let rooms: Vec<_> = (0..connections).map(|n| load.room(&format!("fleet-{n}"))).collect();
    let began = Instant::now();
    load.connect(&server.endpoint, connections, |index| vec![rooms[index]])?;
    let joins = connections as f64 / began.elapsed().as_secs_f64();
    load.speak(1);
    load.run(rate, scale.time(3))?;
    load.settle()?;
    let quiet = Sample::take(&mut load, &server, 0.0, time)?;
    let busy = Sample::take(&mut load, &server, rate, time)?;
    let share = |sample: &Sample| sample.redis.as_secs_f64() / sample.wall.as_secs_f64();
    let message = (share(&busy) - share(&quiet)) * 1e6 / busy.per_second().max(1e-9);
    let faults = load.settle()?;
    println!("fleet of {gateways}: {idle:.0} idle commands/s, {joins:.0} joins/s, {message:.0} us a message");
    others.shutdown_background();
    Ok(Part { gateways, idle, joins, message, faults })
}

/// Commands that all servers have carried out.
fn commands(redis: &RedisCluster) -> Result<f64> {
    let of = |info: &str| {
        let line =
            info.lines().find_map(|line| line.trim().strip_prefix("total_commands_processed:")?.parse::<f64>().ok());
        line.context("a server that does not say what it did")
    };
    redis.nodes.iter().map(|node| of(node.call(&["INFO", "stats"])?.text())).sum()
}

/// Starts the bus of so many gateways, which count a member in a room of every partition and follow all of them.
fn start(runtime: &Runtime, redis: &RedisCluster, gateways: usize) -> Result<()> {
    let mut rooms = BTreeMap::new();
    let mut names = (0..).map(|n: u32| RoomName::new(&format!("others-{n}")).expect("a valid name"));
    while rooms.len() < Partition::all().count() {
        let room = names.next().context("names do not end")?;
        rooms.entry(Partition::of(&room)).or_insert(room);
    }
    for n in 0..gateways {
        let settings = RedisSettings { prefix: PREFIX.into(), ..settings(redis.seeds()) };
        let bus = Arc::new(runtime.block_on(open(settings, HISTORY, &format!("other-{n}")))?);
        for (partition, room) in &rooms {
            runtime.block_on(bus.count(*partition, &[(room.clone(), 1)]))?;
            let (bus, partition) = (Arc::clone(&bus), *partition);
            runtime.spawn(async move {
                let mut at = bus.end(partition).await.unwrap_or_default();
                loop {
                    match bus.tail(partition, at, 100).await {
                        Ok(batch) => at = batch.next,
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            });
        }
    }
    Ok(())
}
