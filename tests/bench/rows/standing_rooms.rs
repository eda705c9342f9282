//! A million rooms in which something was said once, and nobody is: what they cost to make and to keep.

use std::time::Instant;

use anyhow::{Context, Result};
use parlor_tests::redis::{RedisCluster, RedisNode, Reply};

use super::{BYTES, Bench, SPEC, megabytes, publishing::publish};
use crate::{
    results::{Section, Target, short},
    server::Server,
};

/// Bytes that a primary uses for more than the streams that readers follow and the keys of the last ten minutes, which are
/// bounded whatever the number of rooms.
fn kept(primary: &RedisNode) -> Result<u64> {
    let info = primary.call(&["INFO", "memory"])?;
    let used = info.text().lines().find_map(|line| line.trim().strip_prefix("used_memory:")?.parse::<u64>().ok());
    let mut kept = used.context("a server that does not say what it uses")?;
    for pattern in ["*:log", "*:keys?"] {
        let Reply::List(keys) = primary.call(&["KEYS", pattern])? else { continue };
        for key in &keys {
            let Reply::Number(bytes) = primary.call(&["MEMORY", "USAGE", key.text(), "SAMPLES", "0"])? else {
                continue;
            };
            kept = kept.saturating_sub(bytes.unsigned_abs());
        }
    }
    Ok(kept)
}

fn kept_by(redis: &RedisCluster) -> Result<u64> {
    redis.nodes.iter().filter(|node| node.says("replication", "role:master")).map(kept).sum()
}

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let rooms: usize = bench.scale.pick(1_000_000, 20_000);
    // Servers of its own: they would weigh on the rows that follow.
    let redis = RedisCluster::start(3, 1)?;
    let (server, api) = Server::parlor_with_api(&bench.runtime, &redis, SPEC)?;
    let (memory, resident, before) = (server.redis_resident()?, server.resident()?, kept_by(&redis)?);
    let began = Instant::now();
    let (cpu, redis_cpu) = (server.cpu()?, server.redis_cpu()?);
    publish(api, rooms, rooms, "standing")?;
    let wall = began.elapsed();
    let each = |seconds: f64| format!("{:.1} us", seconds * 1e6 / rooms as f64);
    let added = server.redis_resident()?.saturating_sub(memory);
    let bytes = kept_by(&redis)?.saturating_sub(before) as f64 / rooms as f64;
    Ok(Section {
        title: "A million rooms",
        about: format!(
            "{rooms} rooms, each with one message of {BYTES} bytes, made by one request to POST /v1/messages; nobody is in them. \
             Memory of Redis is of both copies with what is bounded whatever the number of rooms; bytes are of a primary, \
             without that."
        ),
        header: &[
            "rooms",
            "rooms/s",
            "gateway CPU each",
            "Redis CPU each",
            "gateway memory, added",
            "Redis memory, added",
            "bytes per room",
        ],
        rows: vec![vec![
            rooms.to_string(),
            short(rooms as f64 / wall.as_secs_f64()),
            each((server.cpu()? - cpu).as_secs_f64()),
            each((server.redis_cpu()? - redis_cpu).as_secs_f64()),
            megabytes(server.resident()?.saturating_sub(resident)),
            megabytes(added),
            short(bytes),
        ]],
        targets: vec![Target::most("16. bytes of Redis for a room of one message", 500.0, bytes, "")],
        ..Section::default()
    })
}
