//! Promises that posts and readers under the auditor do not try: each is kept by the gateway, and each has a mistake that
//! breaks it and nothing else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures::future::{BoxFuture, FutureExt, join_all};
use parlor_crds::contract::REDIS_PASSWORD;
use parlor_gateway::{redis::slot, rooms::Partition};
use parlor_tests::{
    client::native::Native,
    gateway::{Gateway, Setup},
    link::State,
    mutants::mutate,
    redis::{RedisNode, Reply},
};
use serde_json::{Value, json};
use tokio::{task::block_in_place, time::sleep};

use super::{ALONE, world::World};

const ROOM: &str = "promise";

/// A gateway on one Redis, and its setup, with a mistake or none.
async fn gateway(redis: &RedisNode, mistake: &str, secrets: &[(&str, &str)]) -> Result<(Setup, Gateway)> {
    let setup = Setup::spec("protocols: {native: {}}\nreplicas: 2\nredis: {managed: {}}").redis(&[redis.address()]);
    let setup = secrets.iter().fold(setup, |setup, (path, value)| setup.secret(path, value));
    let setup = block_in_place(|| mutate(setup, mistake))?;
    let gateway = Gateway::start(&setup).await?;
    Ok((setup, gateway))
}

async fn person(gateway: &Gateway, name: &str) -> Result<Native> {
    let mut person = Native::connect(&gateway.url("/chat")).await?;
    person.join(ROOM, name).await?;
    Ok(person)
}

async fn post(person: &mut Native, keys: impl IntoIterator<Item = u32>) -> Result<()> {
    for key in keys {
        person.post(ROOM, &format!("key {key}"), "text").await?;
    }
    Ok(())
}

/// How many messages the room's history has.
async fn kept(person: &mut Native) -> Result<usize> {
    let page = person.ask_for(json!({"op": "history", "room": ROOM, "limit": 100}), "history").await?;
    Ok(page["items"].as_array().context("a page without items")?.len())
}

/// A room that people sit in at one gateway is lost, and somebody who comes to the other posts into it at once.
async fn who_holds_a_lost_room_goes_first(mistake: &'static str) -> Result<bool> {
    let redis = RedisNode::start()?;
    let (setup, holder) = gateway(&redis, mistake, &[]).await?;
    let other = Gateway::start(&setup).await?;
    let mut ada = person(&holder, "ada").await?;
    post(&mut ada, 1..=20).await?;
    ada.messages(20).await?;
    holder.freeze()?;
    redis.call(&["FLUSHALL"])?;
    let mut bob = person(&other, "bob").await?;
    let thaw = async {
        sleep(Duration::from_millis(800)).await;
        holder.thaw()
    };
    let (posted, thawed) = tokio::join!(bob.post(ROOM, "key", "after"), thaw);
    posted?;
    thawed?;
    // His gateway has read the room when it shows him what he said, perhaps with what came back.
    let own = |item: &Value| item["body"]["text"] == "after";
    while !bob.push("messages").await?["items"].as_array().is_some_and(|items| items.iter().any(own)) {}
    Ok(kept(&mut bob).await? == 21)
}

/// Redis evicts the head of a room and its history, and people continue to post.
async fn readers_are_told_of_keys_that_are_gone(mistake: &'static str) -> Result<bool> {
    let redis = RedisNode::start()?;
    let (_, gateway) = gateway(&redis, mistake, &[]).await?;
    let (mut ada, mut bob) = (person(&gateway, "ada").await?, person(&gateway, "bob").await?);
    post(&mut ada, 1..=5).await?;
    bob.messages(5).await?;
    for keys in [format!("*:room:0:{ROOM}"), "*:heads".to_owned()] {
        let Reply::List(keys) = redis.call(&["KEYS", &keys])? else { continue };
        keys.iter().try_for_each(|key| redis.call(&["DEL", key.text()]).map(drop))?;
    }
    post(&mut ada, 6..=8).await?;
    let heard = tokio::time::timeout(Duration::from_secs(5), bob.messages(3)).await;
    Ok(heard.is_ok_and(|messages| messages.is_ok()))
}

/// Redis starts again with what it held a while ago.
async fn what_was_said_since_a_snapshot_comes_back(mistake: &'static str) -> Result<bool> {
    let mut redis = RedisNode::start()?;
    let (_, gateway) = gateway(&redis, mistake, &[]).await?;
    let mut ada = person(&gateway, "ada").await?;
    post(&mut ada, 1..=10).await?;
    redis.call(&["SAVE"])?;
    post(&mut ada, 11..=20).await?;
    ada.messages(20).await?;
    block_in_place(|| redis.restart())?;
    // Refused while Redis is unavailable.
    while ada.post(ROOM, "key 21", "after").await.is_err() {}
    // A page of history holds only what its gateway has read itself.
    for _ in 0..30 {
        if kept(&mut ada).await? == 21 {
            return Ok(true);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(false)
}

/// The password changes, and all connections end.
async fn a_new_password_is_read(mistake: &'static str) -> Result<bool> {
    let redis = RedisNode::start()?;
    redis.call(&["CONFIG", "SET", "requirepass", "first"])?;
    let (_, gateway) = gateway(&redis, mistake, &[(REDIS_PASSWORD, "first")]).await?;
    let mut ada = person(&gateway, "ada").await?;
    post(&mut ada, 1..=1).await?;
    let mut admin = redis.connect()?;
    gateway.remount(REDIS_PASSWORD, "second")?;
    for words in
        [&["AUTH", "first"][..], &["CONFIG", "SET", "requirepass", "second"], &["CLIENT", "KILL", "TYPE", "normal"]]
    {
        admin.send(words)?;
        admin.reply()?;
    }
    Ok(ada.post(ROOM, "key 2", "after").await.is_ok())
}

/// The clock of Redis jumps ahead by a day.
async fn messages_are_dated_rightly_while_a_clock_is_wrong(mistake: &'static str) -> Result<bool> {
    let redis = RedisNode::with_a_clock()?;
    let (_, gateway) = gateway(&redis, mistake, &[]).await?;
    let mut ada = person(&gateway, "ada").await?;
    sleep(Duration::from_secs(3)).await;
    redis.set_clock(24 * 3600)?;
    post(&mut ada, 1..=1).await?;
    // A page of history holds only what its gateway has read itself.
    ada.messages(1).await?;
    let page = ada.ask_for(json!({"op": "history", "room": ROOM, "limit": 1}), "history").await?;
    let dated = page["items"][0]["time"].as_u64().context("a message without a time")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    Ok(dated.abs_diff(now) < 60_000)
}

/// A replica says every second how far it is, and receives nothing.
async fn a_replica_that_hears_nothing_is_not_waited_for(mistake: &'static str) -> Result<bool> {
    let world = World::start(1, false, Some(mistake)).await?;
    let room = &world.rooms[0];
    let mut ada = Native::connect(&world.seats[0].gateway()?.url("/chat")).await?;
    ada.join(room.as_str(), "ada").await?;
    let primary = block_in_place(|| world.redis.primary(slot(Partition::of(room)).number()))?;
    world.redis.set_between(primary, State::Mute)?;
    let began = Instant::now();
    let posted = ada.post(room.as_str(), "key", "text").await;
    Ok(posted.is_ok() && began.elapsed() < Duration::from_secs(10))
}

type Promise = fn(&'static str) -> BoxFuture<'static, Result<bool>>;

/// Each promise, and the mistake that breaks it.
const PROMISES: [(&str, Promise); 6] = [
    ("wait for nobody after a loss", |mistake| who_holds_a_lost_room_goes_first(mistake).boxed()),
    ("do not look for missing keys", |mistake| readers_are_told_of_keys_that_are_gone(mistake).boxed()),
    ("restore only rooms that are not known", |mistake| what_was_said_since_a_snapshot_comes_back(mistake).boxed()),
    ("read the password once", |mistake| a_new_password_is_read(mistake).boxed()),
    ("believe every clock", |mistake| messages_are_dated_rightly_while_a_clock_is_wrong(mistake).boxed()),
    ("wait for a replica that hears nothing", |mistake| {
        a_replica_that_hears_nothing_is_not_waited_for(mistake).boxed()
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_promise_is_kept_and_a_gateway_that_breaks_it_is_caught() -> Result<()> {
    let _alone = ALONE.lock().await;
    let both = PROMISES.iter().map(async |(mistake, promise)| {
        let (kept, broken) = tokio::join!(promise(""), promise(mistake));
        let kept = kept.with_context(|| format!("{mistake}: without it"))?;
        anyhow::Ok((*mistake, kept, broken.with_context(|| format!("{mistake}: with it"))?))
    });
    let tried = join_all(both).await.into_iter().collect::<Result<Vec<_>>>()?;
    for (mistake, kept, broken) in &tried {
        println!("| {mistake:?}: kept without it: {kept}, with it: {broken}");
    }
    for (mistake, kept, broken) in tried {
        ensure!(kept, "{mistake:?}: the promise is broken without it");
        ensure!(!broken, "{mistake:?} went unnoticed");
    }
    Ok(())
}
