//! What is in Redis: leases that end, data that is refused, scripts that are forgotten.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use parlor_gateway::{
    bus::{Bus, History, Record},
    redis::{Password, RedisSettings, StartError, Tls},
    rooms::{Partition, RoomName, Signal},
};
use parlor_tests::{
    bus::{HISTORY, connect, open, settings},
    link::{Link, State},
    redis::{RedisNode, Reply, free_port},
};
use tokio::time::{sleep, timeout};

use super::{post, room, say};

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
    // Each key alone may be lost too: the sum is right again after the next renewals.
    for key in [":members", ":counts:a", ":counts:b", ":leases", ":gateways"] {
        for key in keys(&redis, &format!("*{key}"))? {
            redis.call(&["DEL", &key])?;
        }
        sleep(Duration::from_millis(3300)).await;
        ensure!(a.members(&room).await? == 5, "{} after {key} was lost", a.members(&room).await?);
    }
    a.watch(Partition::of(&room), true).await;
    drop(b);
    let told = async { while !a.signals().await.contains(&(room.clone(), Signal::Count)) {} };
    timeout(Duration::from_secs(9), told).await.context("nobody learned that the lease has ended")?;
    ensure!(a.members(&room).await? == 2);
    a.close(Duration::from_secs(2)).await;
    ensure!(connect(vec![redis.address()], "c").await?.members(&room).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sum_of_members_is_one_request_however_many_gateways_are_listed() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("many");
    bus.count(Partition::of(&room), &[(room.clone(), 2)]).await?;
    let list = keys(&redis, "*:gateways")?.pop().context("no gateway is listed")?;
    for n in 0..50 {
        redis.call(&["ZADD", &list, "9999999999999", &format!("other-{n}")])?;
    }
    let evals = || -> Result<u64> {
        let info = redis.call(&["INFO", "commandstats"])?;
        let line = info.text().lines().find_map(|line| line.strip_prefix("cmdstat_eval:calls=")).unwrap_or_default();
        Ok(line.split(',').next().unwrap_or_default().parse()?)
    };
    let before = evals()?;
    for _ in 0..10 {
        ensure!(bus.members(&room).await? == 2);
    }
    // Those gateways are of an older release, whose counts are read one by one. Renewals of the lease come in between.
    let asked = evals()? - before;
    ensure!((10..=12).contains(&asked), "{asked} requests for ten sums");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_number_of_partitions_is_refused() -> Result<()> {
    let redis = RedisNode::start()?;
    drop(connect(vec![redis.address()], "a").await?);
    let keys = keys(&redis, "ns/chat*:meta")?;
    ensure!(keys.len() == 64);
    redis.call(&["HSET", &keys[9], "partitions", "32"])?;
    let refused = open(settings(vec![redis.address()]), HISTORY, "b").await;
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
async fn a_group_whose_answer_was_lost_is_no_duplicate_of_itself() -> Result<()> {
    let redis = RedisNode::start()?;
    let link = Link::open(6, vec![redis.port()]).await?;
    let (a, b) = (connect(link.seeds(), "a").await?, connect(vec![redis.address()], "b").await?);
    let room = room("ambiguous");
    ensure!(say(&a, &room, "u1", "1").await?.seq == 1);
    link.set(State::Mute);
    let group = [post(&room, "u1", "1", "1"), post(&room, "u1", "2", "2"), post(&room, "u1", "2", "2")];
    let append = {
        let (a, group, partition) = (Arc::clone(&a), group.clone(), Partition::of(&room));
        tokio::spawn(async move { a.append(partition, &group).await })
    };
    while b.head(&room).await?.seq < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    link.set(State::Cut);
    sleep(Duration::from_millis(100)).await;
    link.set(State::Open);
    let answers = append.await??.into_iter().collect::<Result<Vec<_>, _>>()?;
    let seqs: Vec<_> = answers.iter().map(|answer| (answer.seq, answer.duplicate)).collect();
    ensure!(seqs == [(1, true), (2, false), (2, true)], "{seqs:?}");
    for bus in [&a, &b] {
        ensure!(say(bus, &room, "u1", "2").await?.duplicate, "what the client repeats is a duplicate");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_asked_for_and_given() -> Result<()> {
    let redis = RedisNode::start()?;
    redis.call(&["CONFIG", "SET", "requirepass", "secret"])?;
    let given = RedisSettings { password: Some(Password::Given("secret".into())), ..settings(vec![redis.address()]) };
    drop(open(given, HISTORY, "a").await?);
    let refused = open(settings(vec![redis.address()]), HISTORY, "a").await;
    ensure!(matches!(refused, Err(StartError::Unavailable(_))), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_rotated_is_taken_from_its_file_by_the_next_connection() -> Result<()> {
    let redis = RedisNode::start()?;
    let file = redis.dir().join("password");
    std::fs::write(&file, "first\n")?;
    redis.call(&["CONFIG", "SET", "requirepass", "first"])?;
    let password = Some(Password::File(file.clone()));
    let bus = open(RedisSettings { password, ..settings(vec![redis.address()]) }, HISTORY, "a").await?;
    let (room, mut admin) = (room("rotated"), redis.connect()?);
    std::fs::write(&file, "second\n")?;
    for words in
        [&["AUTH", "first"][..], &["CONFIG", "SET", "requirepass", "second"], &["CLIENT", "KILL", "TYPE", "normal"]]
    {
        admin.send(words)?;
        admin.reply()?;
    }
    let answers = bus.append(Partition::of(&room), &[post(&room, "u1", "k", "x")]).await?;
    ensure!(matches!(answers[..], [Ok(_)]), "{answers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_keys_is_refused_with_the_reason() -> Result<()> {
    let redis = RedisNode::start()?;
    for policy in ["allkeys-lru", "volatile-ttl"] {
        redis.call(&["CONFIG", "SET", "maxmemory-policy", policy])?;
        let refused = open(settings(vec![redis.address()]), HISTORY, "a").await;
        let says = |reason: &str| reason.contains(policy) && reason.contains("noeviction");
        ensure!(matches!(&refused, Err(StartError::Settings(reason)) if says(&reason.to_string())), "{refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_lacks_rights_is_refused_and_each_is_named() -> Result<()> {
    let redis = RedisNode::start()?;
    let user = |rights: &[&str]| {
        redis.call(&[&["ACL", "SETUSER", "chat", "reset", "on", ">secret"], rights].concat()).map(|_| ())
    };
    let settings = RedisSettings {
        username: Some("chat".into()),
        password: Some(Password::Given("secret".into())),
        ..settings(vec![redis.address()])
    };
    for (rights, named) in [
        (&["~*", "&*", "+@all", "-xtrim", "-cluster|nodes", "-info"][..], &["XTRIM", "CLUSTER NODES", "INFO"][..]),
        (&["~other*", "&ns/chat*", "+@all"], &["HGET, HINCRBY", "XADD", "for the keys ns/chat*"]),
        (&["~*", "&other*", "+@all"], &["PUBLISH, SUBSCRIBE", "for the channels ns/chat*"]),
        (&["%R~*", "&*", "+@all"], &["XADD", "for the keys"]),
    ] {
        user(rights)?;
        let refused = open(settings.clone(), HISTORY, "a").await.err().context("started all the same")?;
        let told = refused.to_string();
        ensure!(matches!(refused, StartError::Settings(_)) && named.iter().all(|name| told.contains(name)), "{told}");
        ensure!(told.contains("the user chat"), "{told}");
    }
    // What operations.md asks for.
    user(&["~ns/chat*", "&ns/chat*", "+@all", "-@admin", "-@dangerous", "+info", "+cluster|nodes"])?;
    let (bus, room) = (open(settings, HISTORY, "a").await?, room("rights"));
    let answers = bus.append(Partition::of(&room), &[post(&room, "u1", "k", "x")]).await?;
    ensure!(matches!(answers[..], [Ok(_)]), "{answers:?}");
    Ok(())
}

pub(super) fn keys(redis: &RedisNode, pattern: &str) -> Result<Vec<String>> {
    let Reply::List(keys) = redis.call(&["KEYS", pattern])? else { bail!("KEYS has no list") };
    Ok(keys.iter().map(|key| key.text().to_owned()).collect())
}

/// The key of the hash that names the room's head.
pub(super) fn heads_of(redis: &RedisNode, room: &RoomName) -> Result<String> {
    let names = |key: &String| redis.call(&["HEXISTS", key, room.as_str()]).is_ok_and(|is| is == Reply::Number(1));
    keys(redis, "*:heads")?.into_iter().find(names).context("no heads of the room")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_one_message_takes_less_than_a_kilobyte_of_redis() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let (room, text) = (room("small"), "x".repeat(100));
    bus.append(Partition::of(&room), &[post(&room, "u1", "1", &text)]).await?.remove(0)?;
    let history = keys(&redis, "*:room:0:small")?.pop().context("no history")?;
    let Reply::Number(bytes) = redis.call(&["MEMORY", "USAGE", &history])? else { bail!("no number") };
    ensure!(bytes < 1024, "{bytes} bytes");
    ensure!(matches!(redis.call(&["PTTL", &history])?, Reply::Number(1..)), "it is kept for ever");
    bus.append(Partition::of(&room), &[post(&room, "u1", "2", &text)]).await?.remove(0)?;
    ensure!(bus.history(&room, None, 10).await?.entries.iter().map(|entry| entry.seq).eq([1, 2]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_continues_in_further_keys_and_the_oldest_are_dropped() -> Result<()> {
    let redis = RedisNode::start()?;
    let history = History { messages: 20, age: Duration::from_secs(3600) };
    let bus = open(settings(vec![redis.address()]), history, "a").await?;
    let (room, big) = (room("long"), "x".repeat(1 << 20));
    for n in 0..55 {
        let group = [post(&room, "u1", &n.to_string(), &big)];
        ensure!(bus.append(Partition::of(&room), &group).await?.remove(0)?.seq == n + 1);
    }
    let segments = keys(&redis, "*:room:*")?;
    ensure!(segments.len() == 3 && !segments.iter().any(|key| key.contains(":room:0:")), "{segments:?}");
    let (mut before, mut seqs) = (None, Vec::new());
    loop {
        let page = bus.history(&room, before, 7).await?;
        before = page.entries.first().map(|entry| entry.seq);
        seqs.extend(page.entries.iter().rev().map(|entry| entry.seq));
        if !page.more {
            break;
        }
    }
    ensure!(seqs.windows(2).all(|pair| pair[1] + 1 == pair[0]), "{seqs:?}");
    ensure!(seqs.first() == Some(&55) && seqs.len() >= 20, "{seqs:?}");
    Ok(())
}

/// Writes what no gateway writes where the room's next entry belongs, as the append script would.
fn damage(redis: &RedisNode, room: &RoomName) -> Result<()> {
    let heads = heads_of(redis, room)?;
    let of = heads.strip_suffix("heads").context("heads by another name")?;
    let (meta, log) = (format!("{of}meta"), format!("{of}log"));
    let get = |key: &str, field: &str| redis.call(&["HGET", key, field]).map(|value| value.text().to_owned());
    let (generation, time, line) = (get(&meta, "generation")?, get(&meta, "time")?, get(&heads, room.as_str())?);
    let offset = get(&meta, "offset")?.parse::<u64>()? + 1;
    let (seq, rest) = line.split_once(' ').context("a head without a segment")?;
    let seq = seq.parse::<u64>()? + 1;
    let history = keys(redis, &format!("*:room:0:{}", room.as_str()))?;
    let history = history.first().context("no history of the room")?;
    let mark = format!("{seq} {time} 0");
    redis.call(&["XADD", &log, &format!("{generation}-{offset}"), "r", room.as_str(), "m", &mark, "e", "\u{1}?"])?;
    redis.call(&["XADD", history, &format!("{seq}-{generation}"), "t", &time, "e", "\u{1}?"])?;
    redis.call(&["HSET", &heads, room.as_str(), &format!("{seq} {rest}")])?;
    redis.call(&["HSET", &meta, "offset", &offset.to_string()])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_is_a_gap_and_holds_nobody_up() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("damaged");
    let start = bus.end(Partition::of(&room)).await?;
    ensure!(say(&bus, &room, "u1", "1").await?.seq == 1);
    damage(&redis, &room)?;
    ensure!(say(&bus, &room, "u1", "3").await?.seq == 3);
    let read = bus.tail(Partition::of(&room), start, 10).await?.records;
    let seqs: Vec<_> = read
        .iter()
        .map(|record| match record {
            Record::Entry(routed) => Some(routed.entry.seq),
            Record::Trimmed => None,
            Record::Boundary { .. } => Some(0),
        })
        .collect();
    ensure!(seqs == [Some(1), None, Some(3)], "{read:?}");
    let page = bus.history(&room, None, 10).await?;
    let kept: Vec<_> = page.entries.iter().map(|entry| entry.seq).collect();
    ensure!(kept == [1, 3] && page.head.seq == 3 && !page.more, "{page:?}");
    Ok(())
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
fn certificate(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=parlor", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    let output = openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output();
    let output = output.context("cannot make a certificate: install openssl")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok((certificate, key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_given_roots_alone() -> Result<()> {
    let redis = RedisNode::start()?;
    let (certificate, key) = certificate(redis.dir())?;
    let port = free_port()?.to_string();
    let (file, key_file) = (certificate.to_str().context("path")?, key.to_str().context("path")?);
    redis.call(&[
        "CONFIG",
        "SET",
        "tls-cert-file",
        file,
        "tls-key-file",
        key_file,
        "tls-ca-cert-file",
        file,
        "tls-auth-clients",
        "no",
        "tls-port",
        &port,
    ])?;
    let settings = settings(vec![format!("127.0.0.1:{port}")]);
    let trusting = RedisSettings { tls: Some(Tls { roots: Some(certificate), name: None }), ..settings.clone() };
    let bus = open(trusting, HISTORY, "a").await?;
    let room = room("secret");
    let answers = bus.append(Partition::of(&room), &[post(&room, "u1", "k", "x")]).await?;
    ensure!(matches!(answers[..], [Ok(_)]), "{answers:?}");
    let refused = open(RedisSettings { tls: Some(Tls::default()), ..settings }, HISTORY, "b").await;
    ensure!(matches!(refused, Err(StartError::Unavailable(_))), "{refused:?}");
    Ok(())
}
