//! Tables that strangers can fill: what was not heard of for longest goes, and newcomers come in.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use parlor_gateway::directory::{
    pairs::{self, ACCOUNTS},
    people::{
        ONLY_MADE, PEOPLE, Query, Reply,
        social::{self, BLOCKS},
    },
};
use parlor_tests::redis::{self, RedisNode};

use crate::{
    Gateway, MemoryDirectory, open, origin,
    pairs::{LONG, NONE, account, ask as ask_pairs, create, leave, tick},
    people::{ask, login, queue},
    social::{ask as ask_social, create as create_block},
};

/// A person who was here and has something kept for them.
async fn regular(gateway: &Gateway) -> Result<u64> {
    let (user, holder) = (login(gateway, "regular").await?, origin(1, 1));
    ask(gateway, Query::Init { user, name: None, holder }).await?;
    ask(gateway, Query::Release { user, holder }).await?;
    ask(gateway, Query::Keep { from: user, temp: None, id: 7, to: user, frame: "kept".into() }).await?;
    Ok(user)
}

/// Newcomers come in; who only gave a name goes for them, and who was here stays.
async fn newcomers_come_in(gateway: &Gateway, regular: u64, first: u64) -> Result<()> {
    for name in ["newcomer", "another"] {
        let user = login(gateway, name).await?;
        ensure!(ask(gateway, Query::Init { user, name: None, holder: origin(1, user) }).await? != Reply::Full);
    }
    ensure!(login(gateway, "first").await? != first, "who came first and was never heard of again is forgotten");
    ensure!(login(gateway, "regular").await? == regular);
    ensure!(queue(gateway, regular, false).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_full_table_of_people_in_memory_forgets_who_was_never_heard_of_again() -> Result<()> {
    let gateway: Gateway = Arc::new(MemoryDirectory::default());
    let regular = regular(&gateway).await?;
    let first = login(&gateway, "first").await?;
    for n in 0..PEOPLE {
        login(&gateway, &format!("flood {n}")).await.with_context(|| format!("person {n}"))?;
    }
    newcomers_come_in(&gateway, regular, first).await
}

/// Rows that one call makes: no server is busy with it for long.
const AT_ONCE: usize = 20_000;

/// Runs a script on the directory's table, in calls for rows from ARGV[2] to ARGV[3] of `rows`.
fn script(redis: &RedisNode, table: &str, text: &str, rows: usize) -> Result<()> {
    let keys = redis.call(&["KEYS", "*directory:*"])?;
    let redis::Reply::List(keys) = &keys else { bail!("KEYS is {keys:?}") };
    let known = keys.first().context("the directory has tables")?.text();
    let (prefix, _) = known.rsplit_once(':').context("tables have prefixes")?;
    for from in (1..=rows).step_by(AT_ONCE) {
        let to = rows.min(from + AT_ONCE - 1);
        redis.call(&["EVAL", text, "1", &format!("{prefix}:{table}"), prefix, &from.to_string(), &to.to_string()])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_table_of_people_in_redis_forgets_who_was_never_heard_of_again() -> Result<()> {
    let redis = RedisNode::start()?;
    let gateway = open(vec![redis.address()]).await?;
    let regular = regular(&gateway).await?;
    let first = login(&gateway, "first").await?;
    // As an earlier version stored them, which did not note when anybody was heard of.
    let fill =
        "for n = ARGV[2], ARGV[3] do redis.call('HSET', KEYS[1], (10^9+n)..':name', '', (10^9+n)..':holder', '') end";
    script(&redis, "users", fill, PEOPLE)?;
    login(&gateway, "instead of an earlier one").await?;
    ensure!(login(&gateway, "first").await? == first, "it is noted when it was made");
    let note = format!(
        "local now = redis.call('TIME')[1] * 1000 - {ONLY_MADE} + 60000
        for n = ARGV[2], ARGV[3] do redis.call('ZADD', KEYS[1], now + n, string.format('%.0f', 10^9+n)) end"
    );
    script(&redis, "used", &note, PEOPLE)?;
    script(&redis, "used", &format!("redis.call('ZADD', KEYS[1], 1, '{first}')"), 1)?;
    newcomers_come_in(&gateway, regular, first).await
}

/// With a table full of accounts out of use: the oldest of them goes for a new one.
async fn an_account_is_made(gateway: &Gateway, oldest: u64, newest: u64) -> Result<()> {
    let holder = origin(1, 2);
    let made = account(gateway, holder, LONG).await?;
    let back = |account| {
        let token = "token".into();
        ask_pairs(gateway, pairs::Query::Reconnect { account, token, holder, grace: LONG })
    };
    ensure!(back(oldest).await? == pairs::Reply::NotFound);
    ensure!(matches!(back(newest).await?, pairs::Reply::Back { .. }));
    leave(gateway, &[(made, holder)]).await
}

#[tokio::test]
async fn a_full_table_of_accounts_in_memory_forgets_the_one_longest_out_of_use() -> Result<()> {
    let gateway: Gateway = Arc::new(MemoryDirectory::default());
    let holder = origin(1, 1);
    let mut made = Vec::new();
    for _ in 0..ACCOUNTS {
        made.push(create(&gateway, holder, NONE).await?);
    }
    let full = pairs::Query::Create { nick: "".into(), token: "".into(), holder, grace: LONG };
    ensure!(ask_pairs(&gateway, full).await? == pairs::Reply::NotFound, "all are in use");
    tick(&gateway).await?;
    an_account_is_made(&gateway, made[0], made[ACCOUNTS - 1]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_table_of_accounts_in_redis_forgets_the_one_longest_out_of_use() -> Result<()> {
    let redis = RedisNode::start()?;
    let gateway = open(vec![redis.address()]).await?;
    let (oldest, newest) = (create(&gateway, origin(1, 1), NONE).await?, create(&gateway, origin(1, 1), NONE).await?);
    tick(&gateway).await?;
    let fill = "for n = ARGV[2], ARGV[3] do redis.call('HSET', KEYS[1], 'x'..n, '') end";
    // Each account has five fields, and two are there.
    script(&redis, "accounts", fill, (ACCOUNTS - 2) * 5)?;
    an_account_is_made(&gateway, oldest, newest).await
}

#[tokio::test]
async fn a_full_table_of_blocks_in_memory_forgets_the_one_that_nobody_joined_or_spoke_in() -> Result<()> {
    blocks(Arc::new(MemoryDirectory::default())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_table_of_blocks_in_redis_forgets_the_one_that_nobody_joined_or_spoke_in() -> Result<()> {
    let redis = RedisNode::start()?;
    blocks(open(vec![redis.address()]).await?).await
}

async fn blocks(gateway: Gateway) -> Result<()> {
    let (owner, guest) = (login(&gateway, "owner").await?, login(&gateway, "guest").await?);
    let (lively, silent) =
        (create_block(&gateway, owner, "lively").await?, create_block(&gateway, owner, "silent").await?);
    ensure!(ask_social(&gateway, social::Query::Join { user: guest, block: lively }).await? == social::Reply::Done);
    let mut maker = 0;
    for n in 0..BLOCKS - 2 {
        if n % 60 == 0 {
            maker = login(&gateway, &format!("maker {n}")).await?;
        }
        create_block(&gateway, maker, &format!("flood {n}")).await.with_context(|| format!("block {n}"))?;
    }
    let row = |block| ask_social(&gateway, social::Query::Block { block });
    ensure!(row(silent).await? == social::Reply::Blocks(vec![]), "nobody missed it");
    ensure!(row(lively).await? != social::Reply::Blocks(vec![]));
    let read = ask(&gateway, Query::Blocks { user: owner, holder: origin(1, 1) }).await?;
    ensure!(read == Reply::Blocks(vec![social::EVERYONE, lively]), "{read:?}");
    Ok(())
}
