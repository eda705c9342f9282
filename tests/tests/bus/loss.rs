//! Data that Redis has lost in part: a key that was evicted or deleted, the last second of a file that was cut. It is
//! restored or told as a gap; no partition refuses posts for it, and no seq is given twice in one epoch.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::{AppendError, HeldRoom, RESTORE_SKIP, Record},
    deadlines::BARRIER,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    bus::connect,
    redis::{RedisNode, Reply},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use super::{Gateway, post, room, say};

/// The permanent keys of a partition, and what begins the history of any room.
const KEYS: [&str; 6] = ["meta", "log", "heads", "keys0", "keys1", "room:0:"];

/// Two rooms of one partition.
fn neighbours(n: usize) -> (RoomName, RoomName) {
    let first = room(&format!("lost-{n}"));
    let mut others = (n + 1..).map(|n: usize| room(&format!("lost-{n}")));
    let other = others.find(|other| Partition::of(other) == Partition::of(&first));
    (first, other.expect("names do not end"))
}

/// Deletes keys of the partition that holds `room`.
fn delete(redis: &RedisNode, room: &RoomName, kinds: &[&str]) -> Result<()> {
    let Reply::List(all) = redis.call(&["KEYS", "*"])? else { return Ok(()) };
    let history = all.iter().map(Reply::text).find(|key| key.ends_with(&format!(":room:0:{}", room.as_str())));
    let Some(of) = history.and_then(|key| key.split_once("room:0:")).map(|(of, _)| of.to_owned()) else {
        return Ok(());
    };
    for key in all.iter().map(Reply::text) {
        let gone = |kind: &&str| {
            key.strip_prefix(&of).is_some_and(|name| name == *kind || kind.ends_with(':') && name.starts_with(*kind))
        };
        if kinds.iter().any(gone) {
            redis.call(&["DEL", key])?;
        }
    }
    Ok(())
}

/// Reads on until `key` is shown; true if the reader received a gap before that.
async fn told_of_a_loss(
    bus: &Gateway,
    at: &mut parlor_gateway::bus::Offset,
    partition: Partition,
    key: &str,
) -> Result<bool> {
    let mut told = false;
    let read = async {
        loop {
            let Ok(batch) = bus.tail(partition, *at, 100).await else { continue };
            *at = batch.next;
            for record in batch.records {
                match record {
                    Record::Entry(routed) if *routed.entry.key == *key => return,
                    Record::Entry(_) => {}
                    Record::Boundary { lost, .. } => told |= lost,
                    Record::Trimmed => told = true,
                }
            }
        }
    };
    timeout(Duration::from_secs(10), read).await.with_context(|| format!("{key} is never shown"))?;
    Ok(told)
}

/// Partitions that lose keys side by side, and how often each does.
const SIDE_BY_SIDE: usize = 8;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn any_key_of_a_partition_may_be_lost_alone_or_with_others_and_its_rooms_go_on() -> Result<()> {
    let redis = Arc::new(RedisNode::start()?);
    let bus = connect(vec![redis.address()], "a").await?;
    let mut partitions = BTreeSet::new();
    let mut losing = JoinSet::new();
    for (first, other) in (0..).map(neighbours).filter(|(first, _)| partitions.insert(Partition::of(first))) {
        let round = losing.len() * ROUNDS;
        losing.spawn(lose_keys(Gateway::clone(&bus), Arc::clone(&redis), first, other, round));
        if losing.len() == SIDE_BY_SIDE {
            break;
        }
    }
    while let Some(lost) = losing.join_next().await {
        lost??;
    }
    Ok(())
}

async fn lose_keys(bus: Gateway, redis: Arc<RedisNode>, first: RoomName, other: RoomName, from: usize) -> Result<()> {
    let partition = Partition::of(&first);
    let mut random = StdRng::seed_from_u64(7 + from as u64);
    let mut shown = BTreeSet::new();
    for round in from..from + ROUNDS {
        let key = |n: usize| format!("{round}-{n}");
        for room in [&first, &other] {
            let appended = say(&bus, room, "u1", &key(0)).await?;
            ensure!(shown.insert((room.clone(), appended.epoch, appended.seq)), "a seq was given twice: {appended:?}");
        }
        let mut at = bus.end(partition).await?;
        // First each alone, then some at random.
        let kinds: Vec<_> = match KEYS.get(round) {
            Some(one) => vec![*one],
            None => KEYS.choose_multiple(&mut random, 1 + round % 4).copied().collect(),
        };
        block_in_place(|| delete(&redis, &first, &kinds))?;
        if random.random_bool(0.5) {
            // Who looks first finds it out.
            let head = bus.head(&first).await?;
            let known =
                shown.iter().any(|(room, epoch, seq)| (room, *seq) == (&first, head.seq) && *epoch <= head.epoch);
            let before = shown.iter().filter(|(room, ..)| *room == first).map(|(_, epoch, _)| *epoch).max();
            ensure!(known || Some(head.epoch) > before, "{kinds:?}: an empty room in an old epoch: {head:?}");
        }
        for room in [&first, &other] {
            // Others may give back what they hold: that is waited for, once.
            let posted = timeout(BARRIER + Duration::from_secs(3), say(&bus, room, "u1", &key(1))).await;
            let appended = posted.with_context(|| format!("{kinds:?}: a post hangs"))??;
            ensure!(shown.insert((room.clone(), appended.epoch, appended.seq)), "a seq was given twice: {appended:?}");
        }
        let told = told_of_a_loss(&bus, &mut at, partition, &key(1)).await?;
        let lost = kinds.iter().any(|kind| ["meta", "heads", "keys0", "keys1"].contains(kind));
        ensure!(told || !lost, "{kinds:?}: readers were not told");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_second_that_redis_lost_is_given_back_by_who_holds_it_and_nothing_else_changes() -> Result<()> {
    let mut redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("second");
    let partition = Partition::of(&room);
    bus.watch(partition, true).await;
    let at = bus.end(partition).await?;
    let mut last = None;
    for n in 1..=20 {
        last = Some(say(&bus, &room, "u1", &n.to_string()).await?);
        if n == 10 {
            redis.call(&["SAVE"])?;
        }
    }
    let mut seen = at;
    told_of_a_loss(&bus, &mut seen, partition, "20").await?;
    let held = [HeldRoom { room: room.clone(), head: 20, entries: bus.history(&room, None, 100).await?.entries }];
    block_in_place(|| redis.kill().and_then(|()| redis.restart()))?;
    let next = [post(&room, "u1", "21", "x")];
    let refused = loop {
        match bus.append(partition, &next).await {
            Err(AppendError::Unavailable(_)) => {}
            answers => break answers,
        }
    };
    ensure!(refused == Err(AppendError::Lost), "posted over what is held: {refused:?}");
    let epoch = bus.restore(partition, &held).await?;
    let again = say(&bus, &room, "u1", "20").await?;
    ensure!((again.seq, again.duplicate) == (20, true), "{again:?}");
    let appended = bus.append(partition, &next).await?.remove(0)?;
    ensure!((appended.seq, appended.epoch) == (21, epoch), "{appended:?}");
    let page = bus.history(&room, None, 100).await?;
    ensure!(page.entries.iter().map(|entry| entry.seq).eq(1..=21), "{page:?}");
    let epochs: BTreeSet<_> = page.entries.iter().take(20).map(|entry| entry.epoch).collect();
    ensure!(epochs.into_iter().eq(last.map(|last| last.epoch)), "what was given back kept its epoch");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_total_loss_who_holds_a_room_gives_it_back_before_a_newcomer_can_post_into_it() -> Result<()> {
    let redis = RedisNode::start()?;
    let (holder, newcomer) = (connect(vec![redis.address()], "a").await?, connect(vec![redis.address()], "b").await?);
    let (room, other) = neighbours(0);
    let partition = Partition::of(&room);
    for key in 1..=50 {
        say(&holder, &room, "u1", &key.to_string()).await?;
    }
    let held = [HeldRoom { room: room.clone(), head: 50, entries: holder.history(&room, None, 100).await?.entries }];
    holder.watch(partition, true).await;
    redis.call(&["FLUSHALL"])?;
    let lost = Instant::now();
    let posted = {
        let (newcomer, room) = (Gateway::clone(&newcomer), room.clone());
        tokio::spawn(async move { say(&newcomer, &room, "u2", "51").await })
    };
    sleep(Duration::from_millis(500)).await;
    ensure!(!posted.is_finished(), "a newcomer posted first");
    holder.restore(partition, &held).await?;
    let posted = timeout(Duration::from_secs(1), posted).await.context("it waits although the room is back")???;
    ensure!(posted.seq == 51 + RESTORE_SKIP, "{posted:?}");
    let page = newcomer.history(&room, None, 100).await?;
    ensure!(page.entries.len() == 51 && page.entries[0].seq == 1, "{page:?}");
    // A room that nobody holds waits as well, and no longer than three seconds.
    ensure!(say(&newcomer, &other, "u2", "1").await?.seq == 1);
    let waited = lost.elapsed();
    ensure!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let began = Instant::now();
    say(&newcomer, &other, "u2", "2").await?;
    ensure!(began.elapsed() < Duration::from_secs(1), "once is enough");
    Ok(())
}
