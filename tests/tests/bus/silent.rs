//! Servers that say nothing instead of failing, and servers that refuse: what used them continues elsewhere, at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::{AppendError, Record},
    redis::slot,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::connect,
    link::{Link, State},
    redis::{RedisCluster, RedisNode},
};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use super::{Gateway, failover::hit_room, post};

/// How long what used a silent server may take to continue elsewhere, with room for a machine that does other things.
const SOON: Duration = Duration::from_secs(4);

/// One room in each partition of the first shard.
fn rooms_of_the_first_shard() -> Vec<RoomName> {
    let mut rooms = std::collections::BTreeMap::new();
    for n in 0.. {
        let room = hit_room(n);
        rooms.entry(Partition::of(&room)).or_insert(room);
        if rooms.len() == 21 {
            break;
        }
    }
    rooms.into_values().collect()
}

/// Follows a room's partition until a post with this key is shown.
async fn shown(bus: Gateway, room: RoomName, key: &str) -> Result<()> {
    let partition = Partition::of(&room);
    let mut at = bus.end(partition).await?;
    loop {
        // The hub gives a read as much time, and tries again.
        let Ok(Ok(batch)) = timeout(Duration::from_secs(5), bus.tail(partition, at, 100)).await else { continue };
        at = batch.next;
        let is_it = |record: &Record| matches!(record, Record::Entry(routed) if *routed.entry.key == *key);
        if batch.records.iter().any(is_it) {
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_silent_towards_one_gateway_delays_none_of_its_rooms_for_long() -> Result<()> {
    let cluster = RedisCluster::start(3, 1)?;
    let link = Link::open(6, cluster.ports()).await?;
    let (deaf, other) = (connect(link.seeds(), "deaf").await?, connect(cluster.seeds(), "other").await?);
    let rooms = rooms_of_the_first_shard();
    let replica = block_in_place(|| cluster.replica(cluster.primary(slot(Partition::of(&rooms[0])).number())?))?;
    let mut following: JoinSet<_> =
        rooms.iter().map(|room| shown(Gateway::clone(&deaf), room.clone(), "after")).collect();
    for room in &rooms {
        other.append(Partition::of(room), &[post(room, "a", "before", "x")]).await?;
    }
    sleep(Duration::from_millis(500)).await;
    link.set_for(cluster.nodes[replica].port(), State::Frozen);
    sleep(Duration::from_millis(100)).await;
    let cut = Instant::now();
    for room in &rooms {
        other.append(Partition::of(room), &[post(room, "a", "after", "x")]).await?;
    }
    let all = async {
        while let Some(one) = following.join_next().await {
            one??;
        }
        Ok::<_, anyhow::Error>(())
    };
    timeout(3 * SOON, all).await.context("some room was shown nothing for long")??;
    ensure!(cut.elapsed() < SOON, "it took {:?}", cut.elapsed());
    ensure!(deaf.head(&rooms[3]).await?.seq == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_replica_delays_posts_of_its_shard_by_some_seconds_and_refuses_none() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let bus = connect(cluster.seeds(), "a").await?;
    let room = hit_room(0);
    let partition = Partition::of(&room);
    bus.append(partition, &[post(&room, "a", "before", "x")]).await?;
    let replica = block_in_place(|| cluster.replica(cluster.primary(slot(partition).number())?))?;
    cluster.nodes[replica].pause()?;
    let frozen = Instant::now();
    // One call of the bus outlasts it: nothing is refused.
    let answers = bus.append(partition, &[post(&room, "a", "after", "x")]).await?;
    ensure!(answers[0].as_ref().is_ok_and(|appended| !appended.duplicate), "{answers:?}");
    ensure!(frozen.elapsed() < Duration::from_secs(8), "it took {:?}", frozen.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_no_longer_hears_its_primary_or_is_not_heard_delays_posts_by_some_seconds_and_refuses_none()
-> Result<()> {
    let cluster = RedisCluster::breakable(3, 1, false).await?;
    let link = Link::announced(4, cluster.announced()).await?;
    let bus = connect(link.seeds(), "a").await?;
    // A shard each, so that both are cut at once.
    let (hears_nothing, not_heard) = (hit_room(0), shard_of(&cluster, 16383)?);
    let mut posts = JoinSet::new();
    for (room, state) in [(hears_nothing, State::Mute), (not_heard, State::Deaf)] {
        let partition = Partition::of(&room);
        bus.append(partition, &[post(&room, "a", "before", "x")]).await?;
        let primary = block_in_place(|| cluster.primary(slot(partition).number()))?;
        cluster.set_between(primary, state)?;
        let bus = Gateway::clone(&bus);
        posts.spawn(async move {
            let (cut, group) = (Instant::now(), [post(&room, "a", "after", "x")]);
            // The hub tries for ten seconds.
            while let Err(AppendError::Unavailable(_)) = bus.append(partition, &group).await {}
            (state, cut.elapsed())
        });
    }
    while let Some(posted) = posts.join_next().await {
        let (state, took) = posted?;
        ensure!(took < Duration::from_secs(10), "{state:?}: it took {took:?}");
    }
    Ok(())
}

/// A room of the shard that owns this slot.
fn shard_of(cluster: &RedisCluster, of: u16) -> Result<RoomName> {
    let primary = block_in_place(|| cluster.primary(of))?;
    let there =
        |room: &RoomName| block_in_place(|| cluster.primary(slot(Partition::of(room)).number())).ok() == Some(primary);
    let mut rooms = (0..).filter_map(|n: u32| RoomName::new(&format!("shard-{n}")).ok());
    rooms.find(there).context("names do not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_refuses_at_once_and_says_why_until_it_takes_posts_again() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = hit_room(0);
    let partition = Partition::of(&room);
    bus.append(partition, &[post(&room, "a", "before", "x")]).await?;
    redis.call(&["CONFIG", "SET", "maxmemory", "1"])?;
    let (asked, refused) = (Instant::now(), bus.append(partition, &[post(&room, "a", "full", "x")]).await);
    ensure!(matches!(&refused, Err(AppendError::Denied(reason)) if reason.starts_with("OOM")), "{refused:?}");
    ensure!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    ensure!(bus.refusal().is_some_and(|refusal| refusal.reason.starts_with("OOM")));
    let shards = bus.shards();
    let told = shards.first().and_then(|shard| shard.refusal.as_ref()).context("the shard seems to take posts")?;
    ensure!(shards.len() == 1 && shards[0].primary == redis.address() && told.reason.starts_with("OOM"), "{shards:?}");
    redis.call(&["CONFIG", "SET", "maxmemory", "0"])?;
    // Also while nobody posts.
    let over = async {
        while bus.refusal().is_some() || bus.shards()[0].refusal.is_some() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, over).await.context("the refusal does not end")?;
    let answers = bus.append(partition, &[post(&room, "a", "full", "x")]).await?;
    ensure!(answers[0].as_ref().is_ok_and(|appended| appended.seq == 2), "{answers:?}");
    ensure!(bus.refusal().is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_way_to_redis_is_silent_says_how_far_it_reads_behind_until_it_has_caught_up() -> Result<()> {
    let redis = RedisNode::start()?;
    let link = Link::open(5, vec![redis.port()]).await?;
    let (deaf, other) = (connect(link.seeds(), "deaf").await?, connect(vec![redis.address()], "other").await?);
    let room = hit_room(0);
    let partition = Partition::of(&room);
    deaf.watch(partition, true).await;
    let following = tokio::spawn(shown(Gateway::clone(&deaf), room.clone(), "during"));
    other.append(partition, &[post(&room, "a", "before", "x")]).await?;
    sleep(Duration::from_millis(1500)).await;
    ensure!(deaf.shards()[0].behind < Duration::from_millis(500), "{:?}", deaf.shards());
    link.set(State::Frozen);
    other.append(partition, &[post(&room, "a", "during", "x")]).await?;
    sleep(Duration::from_secs(5)).await;
    let shards = deaf.shards();
    ensure!(shards[0].behind > Duration::from_secs(1) && shards[0].behind < Duration::from_secs(6), "{shards:?}");
    ensure!(shards[0].refusal.is_some(), "its primary says nothing: {shards:?}");
    link.set(State::Open);
    timeout(3 * SOON, following).await.context("it was shown nothing")???;
    let reading = tokio::spawn(shown(Gateway::clone(&deaf), room.clone(), "after"));
    let caught_up = async {
        while deaf.shards().iter().any(|shard| shard.behind > Duration::ZERO || shard.refusal.is_some()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, caught_up).await.with_context(|| format!("{:?}", deaf.shards()))?;
    reading.abort();
    Ok(())
}
