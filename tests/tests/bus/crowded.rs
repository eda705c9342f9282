//! Partitions with too many rooms: which are forgotten, and which stay.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use parlor_gateway::{
    bus::{FEW, Record},
    deadlines::EARLY,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::{HISTORY, connect},
    redis::{RedisNode, Reply, eventually},
};

use super::{
    data::{heads_of, keys},
    room, say,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_rooms_are_forgotten_when_there_are_too_many() -> Result<()> {
    let redis = RedisNode::start()?;
    let a = connect(vec![redis.address()], "a").await?;
    let room = room("lively");
    let partition = Partition::of(&room);
    let before = say(&a, &room, "u1", "1").await?;
    let at = a.end(partition).await?;
    let heads = heads_of(&redis, &room)?;
    for first in (0..17_000).step_by(500) {
        let names: Vec<_> = (first..first + 500).map(|n| format!("idle-{n}")).collect();
        let mut words = vec!["HSET", &heads];
        words.extend(names.iter().flat_map(|name| [name.as_str(), "7 0 0 1"]));
        redis.call(&words)?;
    }
    let b = connect(vec![redis.address()], "b").await?;
    eventually("that idle rooms are gone", || redis.call(&["HLEN", &heads]).is_ok_and(|n| n == Reply::Number(2)))?;
    let batch = b.tail(partition, at, 10).await?;
    ensure!(matches!(batch.records[..], [Record::Boundary { lost: false, .. }]), "{batch:?}");
    let after = say(&b, &room, "u1", "2").await?;
    ensure!(after.seq == 2 && after.epoch > before.epoch, "{after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_of_few_messages_are_forgotten_early_where_there_are_too_many() -> Result<()> {
    let redis = RedisNode::start()?;
    let a = connect(vec![redis.address()], "a").await?;
    let (lately, sat_in) = (room("lately"), same_partition("sat-in", "lately"));
    let (busy, inbox) = (same_partition("busy", "lately"), private_beside("lately"));
    for room in [&lately, &sat_in] {
        say(&a, room, "u1", "1").await?;
    }
    a.count(Partition::of(&sat_in), &[(sat_in.clone(), 1)]).await?;
    // So that nothing but its member keeps it.
    for history in keys(&redis, "*:room:0:sat-in-*")? {
        redis.call(&["DEL", &history])?;
    }
    let heads = heads_of(&redis, &lately)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    // Said so long ago as rooms of few messages are kept, and a little more; their history is shown for a long time yet.
    let expiry = now - EARLY.as_millis() as u64 - 2000 + HISTORY.age.as_millis() as u64;
    let line = |seq: u64| format!("{seq} 0 0 {expiry}");
    let (few, many) = (line(FEW), line(FEW + 1));
    for first in (0..17_000).step_by(500) {
        let names: Vec<_> = (first..first + 500).map(|n| format!("idle-{n}")).collect();
        let mut words = vec!["HSET", &heads];
        words.extend(names.iter().flat_map(|name| [name.as_str(), few.as_str()]));
        redis.call(&words)?;
    }
    redis.call(&["HSET", &heads, sat_in.as_str(), &few, busy.as_str(), &many, inbox.as_str(), &few])?;
    let _b = connect(vec![redis.address()], "b").await?;
    let left = || redis.call(&["HLEN", &heads]).map(|left| if let Reply::Number(left) = left { left } else { 0 });
    // As many go as are too many, and the rest of their batch.
    eventually("that some rooms are gone", || left().is_ok_and(|left| (15_000..=16_384).contains(&left)))?;
    for room in [&lately, &sat_in, &busy, &inbox] {
        ensure!(redis.call(&["HEXISTS", &heads, room.as_str()])? == Reply::Number(1), "{room} is gone");
    }
    Ok(())
}

/// A room in the partition of another one.
fn same_partition(name: &str, other: &str) -> RoomName {
    let mut rooms = (0..).map(|n| room(&format!("{name}-{n}")));
    rooms.find(|beside| Partition::of(beside) == Partition::of(&room(other))).expect("names do not end")
}

/// A room that no client can name, in the partition of another one.
fn private_beside(other: &str) -> RoomName {
    let mut rooms = (0..).map(|n| RoomName::private("people", n));
    rooms.find(|beside| Partition::of(beside) == Partition::of(&room(other))).expect("names do not end")
}
