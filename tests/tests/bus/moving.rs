//! The bus while a slot in use moves to another shard, as the operator or a person moves it: key by key, then the slot.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use parlor_gateway::{
    bus::{Batch, Offset, Record},
    redis::slot,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::connect,
    redis::{Connection, RedisCluster, RedisNode, Reply},
};
use serde_json::{Value, json};
use tokio::{task::block_in_place, time::sleep};

use super::{
    Gateway,
    failover::{Seen, Witness, hit_room, verdicts},
    say,
};

/// Two shards, the buses of two gateways, and a room whose slot can move from the first shard to the second.
struct Scene {
    cluster: RedisCluster,
    a: Gateway,
    b: Gateway,
    room: RoomName,
    partition: Partition,
}

impl Scene {
    async fn set() -> Result<Self> {
        let cluster = RedisCluster::start(2, 1)?;
        let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
        let room = hit_room(0);
        let partition = Partition::of(&room);
        Ok(Self { cluster, a, b, room, partition })
    }
}

/// How long a message may take that nothing holds up; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(20);

/// Reads on until something new comes.
async fn next(bus: &Gateway, partition: Partition, at: Offset) -> Result<Batch> {
    let start = Instant::now();
    while start.elapsed() < LONG {
        match bus.tail(partition, at, 10).await {
            Ok(batch) if !batch.records.is_empty() => return Ok(batch),
            Ok(_) => {}
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    bail!("nothing is read in {LONG:?}")
}

/// Reads on up to and with the entry of this key.
async fn read_up_to(bus: &Gateway, partition: Partition, mut at: Offset, key: &str) -> Result<Offset> {
    loop {
        let batch = next(bus, partition, at).await?;
        at = batch.next;
        let is_it = |record: &Record| matches!(record, Record::Entry(routed) if &*routed.entry.key == key);
        if batch.records.iter().any(is_it) {
            return Ok(at);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_its_rooms_along() -> Result<()> {
    let Scene { cluster, a, b, room, partition } = Scene::set().await?;
    for bus in [&a, &b] {
        bus.watch(partition, true).await;
    }
    let witness = Witness::start(&a, &b, room.clone()).await?;
    sleep(Duration::from_millis(500)).await;
    let (slot, target) = (slot(partition).number(), cluster.primary(16383)?);
    block_in_place(|| cluster.move_keys(slot, target))?;
    // As when an operator died half-way: the keys are there, the slot is not.
    sleep(Duration::from_secs(2)).await;
    let during = say(&a, &room, "u1", "during").await?;
    for bus in [&a, &b] {
        let page = bus.history(&room, None, 10).await?;
        ensure!(page.head.seq >= during.seq, "{:?} was read, {during:?} was acknowledged", page.head);
        let at = bus.end(partition).await?;
        let batch = bus.tail(partition, at, 10).await?;
        ensure!(!batch.records.is_empty(), "nothing is read while the slot moves");
    }
    block_in_place(|| cluster.move_slot(slot, target))?;
    sleep(Duration::from_secs(2)).await;
    let seen: Seen = verdicts(vec![witness], &a).await?;
    ensure!((seen.generations, seen.refused) == (1, 0), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_has_yet_to_move_is_read_where_it_is_and_written_when_it_has_come() -> Result<()> {
    let Scene { cluster, a, b, room, partition } = Scene::set().await?;
    for bus in [&a, &b] {
        bus.watch(partition, true).await;
    }
    say(&a, &room, "u1", "before").await?;
    let at = b.end(partition).await?;
    let (slot, target) = (slot(partition).number(), cluster.primary(16383)?);
    block_in_place(|| cluster.move_some_keys(slot, target, |key| !key.contains(":room:")))?;
    // A room that nobody has spoken in has nothing to move: with it the partition continues at the target.
    let other = (0..).map(|n| RoomName::new(&format!("other{n}"))).find_map(|name| {
        let name = name.ok()?;
        (Partition::of(&name) == partition).then_some(name)
    });
    let other = other.context("a room of the partition")?;
    say(&a, &other, "u1", "there").await?;
    read_up_to(&b, partition, at, "there").await?;
    for bus in [&a, &b] {
        for (room, key) in [(&room, "before"), (&other, "there")] {
            let page = bus.history(room, None, 10).await?;
            let keys: Vec<_> = page.entries.iter().map(|entry| &*entry.key).collect();
            ensure!(keys == [key] && page.head.seq == 1, "{room}: {page:?}");
        }
    }
    let writer = tokio::spawn({
        let (a, room) = (a.clone(), room.clone());
        async move { say(&a, &room, "u1", "after").await }
    });
    sleep(Duration::from_millis(500)).await;
    ensure!(!writer.is_finished(), "a second history was begun");
    block_in_place(|| cluster.move_keys(slot, target))?;
    writer.await??;
    for bus in [&a, &b] {
        let page = bus.history(&room, None, 10).await?;
        let keys: Vec<_> = page.entries.iter().map(|entry| &*entry.key).collect();
        ensure!(keys == ["before", "after"] && page.head.seq == 2, "{page:?}");
    }
    Ok(())
}

/// Waits until a replica has said that it holds what its primary holds now.
fn copied(primary: &RedisNode) -> Result<()> {
    let mut connection = primary.connect()?;
    connection.send(&["PING"])?;
    connection.send(&["WAIT", "1", "3000"])?;
    connection.reply()?;
    let replicas = connection.reply()?;
    ensure!(replicas == Reply::Number(1), "{replicas:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_server_holds_that_a_slot_moves_to_is_not_shown() -> Result<()> {
    let Scene { mut cluster, a, b, room, partition } = Scene::set().await?;
    say(&a, &room, "u1", "before").await?;
    let (slot, target) = (slot(partition).number(), cluster.primary(16383)?);
    let at = b.end(partition).await?;
    block_in_place(|| cluster.move_keys(slot, target))?;
    say(&a, &room, "u1", "moved").await?;
    // Now the reader waits where the slot moves to.
    let at = read_up_to(&b, partition, at, "moved").await?;
    let replica = cluster.replica(target)?;
    let reader = tokio::spawn({
        let b = b.clone();
        async move { read_up_to(&b, partition, at, "one copy").await }
    });
    sleep(Duration::from_millis(100)).await;
    // What was there when the read began counts as copied from now on.
    block_in_place(|| copied(&cluster.nodes[target]))?;
    cluster.nodes[replica].pause()?;
    let writer = tokio::spawn({
        let (a, room) = (a.clone(), room.clone());
        async move { say(&a, &room, "u1", "one copy").await }
    });
    // Shorter than a replica may be silent before it counts as failed, and one copy is enough.
    sleep(Duration::from_millis(700)).await;
    let early = (reader.is_finished(), writer.is_finished());
    cluster.nodes[replica].resume()?;
    ensure!(early == (false, false), "(shown, acknowledged) while one server held it: {early:?}");
    writer.await??;
    reader.await??;
    Ok(())
}

/// A partition's channel, on a server of the cluster.
fn listen(cluster: &RedisCluster, channel: &str) -> Result<Connection> {
    let mut connection = cluster.nodes[0].connect()?;
    connection.send(&["SUBSCRIBE", channel])?;
    connection.reply()?;
    Ok(connection)
}

/// The next message that tells of a generation.
fn opening(connection: &mut Connection) -> Result<Value> {
    loop {
        let Reply::List(parts) = connection.reply()? else { bail!("no message") };
        let message: Value = serde_json::from_str(parts.last().map_or("", Reply::text))?;
        if message.get("generation").is_some() {
            return Ok(message);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_tell_one_another_where_a_generation_was_opened_and_a_false_word_does_no_harm() -> Result<()> {
    let Scene { cluster, a, b, room, partition } = Scene::set().await?;
    b.watch(partition, true).await;
    let first = say(&a, &room, "u1", "1").await?;
    let keys = cluster.nodes[cluster.primary(slot(partition).number())?].call(&[
        "CLUSTER",
        "GETKEYSINSLOT",
        &slot(partition).number().to_string(),
        "10",
    ])?;
    let Reply::List(keys) = keys else { bail!("{keys:?}") };
    let log = keys.iter().map(Reply::text).find(|key| key.ends_with(":log")).unwrap_or_default();
    let channel = log.replace(":log", ":signals");
    let mut heard = block_in_place(|| listen(&cluster, &channel))?;
    let at = b.end(partition).await?;
    let target = cluster.primary(16383)?;
    block_in_place(|| cluster.move_keys(slot(partition).number(), target))?;
    let second = say(&a, &room, "u1", "2").await?;
    let told = block_in_place(|| opening(&mut heard))?;
    let expected = json!({"partition": partition.index(), "generation": second.epoch.0, "server": cluster.nodes[target].address()});
    ensure!(told == expected && second.epoch > first.epoch, "{told} instead of {expected}");
    let mut at = read_up_to(&b, partition, at, "2").await?;
    for (generation, server) in [(u64::MAX, "127.0.0.1:1"), (0, ""), (second.epoch.0 + 1, "127.0.0.1:1")] {
        let word = json!({"partition": partition.index(), "generation": generation, "server": server}).to_string();
        block_in_place(|| cluster.nodes[0].call(&["PUBLISH", &channel, &word]))?;
        let key = format!("after {generation}");
        let posted = say(&a, &room, "u1", &key).await?;
        ensure!(posted.epoch == second.epoch, "{posted:?} after {second:?}");
        at = read_up_to(&b, partition, at, &key).await?;
    }
    ensure!(at.epoch == second.epoch.0, "{at:?}");
    Ok(())
}
