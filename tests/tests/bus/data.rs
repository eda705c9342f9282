//! What is in Redis: leases that end, data that is refused, scripts that are forgotten.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use parlor_gateway::bus::{
    Partition,
    redis::{Redis, Settings, StartError},
};
use parlor_tests::redis::{RedisNode, Reply};
use tokio::time::sleep;

use super::{connect, room, say, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_of_a_dead_gateway_go_with_its_lease() -> Result<()> {
    let redis = RedisNode::start()?;
    let (a, b) = (connect(vec![redis.address()], "a").await?, connect(vec![redis.address()], "b").await?);
    let room = room("lease");
    for (bus, count) in [(&a, 2), (&b, 3)] {
        bus.count(Partition::of(&room), &[(room.clone(), count)]).await?;
    }
    // A failover or an expiry may take the counts away; the gateway that lives writes them again.
    redis.call(&["FLUSHALL"])?;
    sleep(Duration::from_secs(2)).await;
    ensure!(a.members(&room).await? == 5);
    drop(b);
    sleep(Duration::from_secs(6)).await;
    ensure!(a.members(&room).await? == 2);
    a.close(Duration::from_secs(2)).await;
    ensure!(connect(vec![redis.address()], "c").await?.members(&room).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_number_of_partitions_is_refused() -> Result<()> {
    let redis = RedisNode::start()?;
    drop(connect(vec![redis.address()], "a").await?);
    let keys = redis.call(&["KEYS", "ns/chat*:meta"])?;
    let Reply::List(keys) = keys else { bail!("{keys:?}") };
    ensure!(keys.len() == 64);
    redis.call(&["HSET", keys[9].text(), "partitions", "32"])?;
    let refused = Redis::connect(settings(vec![redis.address()], "b")).await;
    let error = refused.err().context("started all the same")?.to_string();
    ensure!(error.contains("32 partitions"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_forgot_are_loaded_again() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("noscript");
    ensure!(say(&bus, &room, "u1", "1").await?.seq == 1);
    redis.call(&["SCRIPT", "FLUSH"])?;
    ensure!(say(&bus, &room, "u1", "2").await?.seq == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_asked_for_and_given() -> Result<()> {
    let redis = RedisNode::start()?;
    redis.call(&["CONFIG", "SET", "requirepass", "secret"])?;
    let given = Settings { password: Some("secret".into()), ..settings(vec![redis.address()], "a") };
    drop(Redis::connect(given).await?);
    let refused = Redis::connect(settings(vec![redis.address()], "a")).await;
    ensure!(matches!(refused, Err(StartError::Away(_))), "{refused:?}");
    Ok(())
}
