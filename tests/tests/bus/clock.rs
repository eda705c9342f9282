//! A Redis whose clock jumps: no post is stored twice, no history is cut, and messages are dated rightly as soon as the
//! jump is over.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::{DEDUPE, History},
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::{open, settings},
    redis::{RedisNode, Reply},
};
use tokio::time::sleep;

use super::{Gateway, post, room, say};

/// As long as the default, so that what was said a moment ago is not even shown during the jump, unless it is recognised.
const HISTORY: History = History { messages: 1000, age: Duration::from_secs(24 * 3600) };
/// Longer than that.
const JUMP: i64 = 26 * 3600;

async fn gateway(redis: &RedisNode, name: &str) -> Result<Gateway> {
    Ok(Arc::new(open(settings(vec![redis.address()]), HISTORY, name).await?))
}

/// How many seconds a message posted now is dated off.
async fn dated_off(bus: &Gateway, room: &RoomName, key: &str) -> Result<u64> {
    let appended = say(bus, room, "u1", key).await?;
    ensure!(!appended.duplicate, "{key} is known already");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    Ok(appended.time.abs_diff(now) / 1000)
}

/// Posts enough for the room's history to be trimmed.
async fn fill(bus: &Gateway, room: &RoomName, from: u64) -> Result<()> {
    let group: Vec<_> = (from..from + 130).map(|n| post(room, "u1", &format!("fill {n}"), "x")).collect();
    bus.append(Partition::of(room), &group).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_doubles_nothing_trims_nothing_and_dates_nothing_wrongly() -> Result<()> {
    let redis = RedisNode::with_a_clock()?;
    let bus = gateway(&redis, "a").await?;
    let room = room("jump");
    for n in 1..=10 {
        ensure!(dated_off(&bus, &room, &n.to_string()).await? < 5);
    }
    sleep(Duration::from_secs(4)).await;
    redis.set_clock(JUMP)?;
    sleep(Duration::from_millis(100)).await;
    ensure!(say(&bus, &room, "u1", "5").await?.duplicate, "stored twice during the jump");
    ensure!(dated_off(&bus, &room, "during").await? < 5);
    fill(&bus, &room, 0).await?;
    ensure!(bus.history(&room, None, 500).await?.entries.len() == 141, "shown during the jump");
    sleep(Duration::from_secs(2)).await;
    redis.set_clock(0)?;
    sleep(Duration::from_millis(100)).await;
    ensure!(say(&bus, &room, "u1", "5").await?.duplicate, "stored twice after the jump");
    ensure!(dated_off(&bus, &room, "after").await? < 5);
    ensure!(bus.history(&room, None, 500).await?.entries.len() == 142, "kept after the jump");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_while_the_clock_is_wrong_doubles_nothing_and_dates_rightly_once_the_clock_is_right() -> Result<()> {
    for jump in [JUMP, -JUMP] {
        let redis = RedisNode::with_a_clock()?;
        let before = gateway(&redis, "a").await?;
        let room = room("jump");
        ensure!(dated_off(&before, &room, "before").await? < 5);
        sleep(Duration::from_secs(6)).await;
        redis.set_clock(jump)?;
        sleep(Duration::from_millis(100)).await;
        let during = gateway(&redis, "b").await?;
        ensure!(say(&during, &room, "u1", "before").await?.duplicate, "a jump of {jump} s stores twice");
        dated_off(&during, &room, "during").await?;
        redis.set_clock(0)?;
        sleep(Duration::from_millis(100)).await;
        for key in ["before", "during"] {
            ensure!(say(&during, &room, "u1", key).await?.duplicate, "{key} is stored twice after a jump of {jump} s");
        }
        ensure!(dated_off(&before, &room, "after").await? < 5);
        // The one that started in the jump lets go of it after as long as it has known it.
        sleep(Duration::from_secs(3)).await;
        let off = dated_off(&during, &room, "later").await?;
        ensure!(off < 5, "dated {off} s off after a jump of {jump} s");
        ensure!(window_ahead(&redis)? <= 1, "the keys of posts would be kept for hours");
        ensure!(before.history(&room, None, 10).await?.entries.len() == 4);
    }
    Ok(())
}

/// How many windows of keys the one that is filled now lies ahead of the time.
fn window_ahead(redis: &RedisNode) -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() / DEDUPE.as_millis();
    let Reply::List(keys) = redis.call(&["KEYS", "*:meta"])? else { anyhow::bail!("KEYS has no list") };
    let windows = keys.iter().map(|key| Ok(redis.call(&["HGET", key.text(), "window"])?.text().parse::<u64>()?));
    let newest = windows.collect::<Result<Vec<_>>>()?.into_iter().max().context("no partition")?;
    Ok(newest.saturating_sub(now as u64))
}
