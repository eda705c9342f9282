//! Accounts in pairs: matches, graces, and gateways that vanish.

use std::{collections::HashMap, time::Duration};

use anyhow::{Result, bail, ensure};
use parlor_gateway::{
    directory::{
        self,
        pairs::{Exit, Query, Reply},
    },
    redis::slot,
    rooms::{Epoch, Origin, Partition, Position, RoomName},
};
use parlor_tests::redis::{self, RedisCluster, RedisNode};
use tokio::time::{Instant, sleep};

use crate::{Behaviour, Gateway, behaviours, open, origin};

/// A grace that no test waits out, and one that is over at once.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const NONE: Duration = Duration::ZERO;

/// What holds over every bus.
pub(crate) const BEHAVIOURS: [Behaviour; 12] = behaviours![
    two_people_on_two_gateways_find_each_other_and_nobody_finds_themselves,
    an_account_is_matched_only_between_entering_and_release,
    partners_are_drawn_evenly,
    ids_are_unique_and_messages_increase,
    only_the_holder_acts_for_an_account,
    a_reconnect_within_the_grace_keeps_sessions_and_takes_the_account_over,
    the_last_sign_of_life_is_remembered,
    up_to_where_an_inbox_was_read_is_remembered_for_one_return,
    a_sign_of_life_counts_from_when_it_came_however_late_it_is_reported,
    when_the_grace_ends_so_do_sessions_and_every_partner_is_notified_until_one_gateway_did_it,
    an_account_that_never_entered_goes_with_its_grace,
    a_session_that_was_ended_is_over_without_a_notice,
];

pub(crate) async fn ask(gateway: &Gateway, query: Query) -> Result<Reply> {
    match gateway.ask(directory::Query::Pairs(query)).await? {
        directory::Reply::Pairs(reply) => Ok(reply),
        other => bail!("an answer of another family: {other:?}"),
    }
}

fn tell(gateway: &Gateway, query: Query) {
    gateway.tell(directory::Query::Pairs(query), Instant::now());
}

/// An account that nobody is matched with yet.
pub(crate) async fn create(gateway: &Gateway, holder: Origin, grace: Duration) -> Result<u64> {
    let (nick, token) = ("ada".into(), "token".into());
    match ask(gateway, Query::Create { nick, token, holder, grace }).await? {
        Reply::Created { account } => Ok(account),
        other => bail!("no account but {other:?}"),
    }
}

/// An account that may be matched.
pub(crate) async fn account(gateway: &Gateway, holder: Origin, grace: Duration) -> Result<u64> {
    let account = create(gateway, holder, grace).await?;
    ensure!(ask(gateway, Query::Enter { account, holder }).await? == Reply::Done);
    Ok(account)
}

async fn matched(gateway: &Gateway, account: u64, holder: Origin) -> Result<(u64, u64)> {
    match ask(gateway, Query::Match { account, holder }).await? {
        Reply::Matched { session, partner, .. } => Ok((session, partner)),
        other => bail!("no match but {other:?}"),
    }
}

async fn partner(gateway: &Gateway, account: u64, holder: Origin, session: u64) -> Result<Reply> {
    ask(gateway, Query::Partner { account, holder, session, message: false }).await
}

pub(crate) async fn tick(gateway: &Gateway) -> Result<Vec<Exit>> {
    Ok(gateway.tick().await?)
}

/// Everyone leaves, so that the next behaviour finds an empty pool.
pub(crate) async fn leave(gateway: &Gateway, held: &[(u64, Origin)]) -> Result<()> {
    for (account, holder) in held {
        ask(gateway, Query::Release { account: *account, holder: *holder }).await?;
    }
    Ok(())
}

async fn two_people_on_two_gateways_find_each_other_and_nobody_finds_themselves(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, bob) = (origin(1, 1), origin(2, 1));
    let one = account(&a, ada, LONG).await?;
    ensure!(ask(&a, Query::Match { account: one, holder: ada }).await? == Reply::NotFound, "matched with oneself");
    let two = account(&b, bob, LONG).await?;
    let (session, found) = matched(&a, one, ada).await?;
    ensure!(found == two);
    let live = |partner| Reply::Partner { partner, message: 0, live: true };
    ensure!(partner(&a, one, ada, session).await? == live(two));
    ensure!(partner(&b, two, bob, session).await? == live(one));
    ensure!(matched(&b, two, bob).await?.1 == one, "who talks already may be matched again");
    leave(&a, &[(one, ada), (two, bob)]).await
}

async fn an_account_is_matched_only_between_entering_and_release(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, bob) = (origin(1, 1), origin(2, 1));
    let one = account(&a, ada, LONG).await?;
    let two = create(&b, bob, LONG).await?;
    let nobody = || ask(&a, Query::Match { account: one, holder: ada });
    ensure!(nobody().await? == Reply::NotFound);
    ask(&b, Query::Enter { account: two, holder: bob }).await?;
    ask(&b, Query::Enter { account: two, holder: bob }).await?;
    ensure!(matched(&a, one, ada).await?.1 == two);
    tell(&b, Query::Release { account: two, holder: bob });
    tick(&b).await?;
    ensure!(nobody().await? == Reply::NotFound);
    leave(&a, &[(one, ada)]).await
}

async fn partners_are_drawn_evenly(a: Gateway, _: Gateway) -> Result<()> {
    let holder = origin(1, 1);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push((account(&a, holder, LONG).await?, holder));
    }
    let mut drawn = HashMap::<u64, u32>::new();
    for _ in 0..400 {
        *drawn.entry(matched(&a, held[0].0, holder).await?.1).or_default() += 1;
    }
    // 100 expected of each; a fair draw leaves 60..140 once in 30,000 runs.
    ensure!(drawn.len() == 4 && drawn.values().all(|n| (60..=140).contains(n)), "{drawn:?}");
    leave(&a, &held).await
}

async fn ids_are_unique_and_messages_increase(a: Gateway, b: Gateway) -> Result<()> {
    let holder = origin(1, 1);
    let (one, two) = (account(&a, holder, LONG).await?, account(&b, holder, LONG).await?);
    let (session, _) = matched(&a, one, holder).await?;
    ensure!(one >= 10 && two > one && session > two);
    let mut last = session;
    for turn in 0..20 {
        let (gateway, account) = if turn % 2 == 0 { (&a, one) } else { (&b, two) };
        let talk = Query::Partner { account, holder, session, message: true };
        let Reply::Partner { message, .. } = ask(gateway, talk).await? else { bail!("no partner") };
        ensure!(message > last);
        last = message;
    }
    leave(&a, &[(one, holder), (two, holder)]).await
}

async fn only_the_holder_acts_for_an_account(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, eve) = (origin(1, 1), origin(2, 1));
    let account = account(&a, ada, LONG).await?;
    for query in [
        Query::Enter { account, holder: eve },
        Query::Match { account, holder: eve },
        Query::Partner { account, holder: eve, session: 1, message: true },
        Query::Release { account, holder: eve },
    ] {
        ensure!(ask(&b, query).await? == Reply::NotHeld);
    }
    ensure!(partner(&a, account, ada, 999_999).await? == Reply::NotFound);
    leave(&a, &[(account, ada)]).await
}

async fn a_reconnect_within_the_grace_keeps_sessions_and_takes_the_account_over(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, bob, again) = (origin(1, 1), origin(1, 2), origin(2, 1));
    let (one, two) = (account(&a, ada, LONG).await?, account(&a, bob, LONG).await?);
    let (session, _) = matched(&a, one, ada).await?;
    let wrong = Query::Reconnect { account: one, token: "x".into(), holder: again, grace: LONG };
    ensure!(ask(&b, wrong).await? == Reply::NotFound);
    let back = Query::Reconnect { account: one, token: "token".into(), holder: again, grace: LONG };
    ensure!(matches!(ask(&b, back).await?, Reply::Back { nick, seen, .. } if *nick == *"ada" && seen > 0));
    ensure!(ask(&a, Query::Match { account: two, holder: bob }).await? == Reply::NotFound, "matched before it entered");
    ensure!(ask(&b, Query::Enter { account: one, holder: again }).await? == Reply::Done);
    ensure!(partner(&a, one, ada, session).await? == Reply::NotHeld);
    // A late word of the old connection changes nothing.
    tell(&a, Query::Release { account: one, holder: ada });
    tick(&a).await?;
    ensure!(partner(&b, one, again, session).await? == Reply::Partner { partner: two, message: 0, live: true });
    leave(&a, &[(one, again), (two, bob)]).await
}

async fn up_to_where_an_inbox_was_read_is_remembered_for_one_return(a: Gateway, b: Gateway) -> Result<()> {
    let read = Position { epoch: Epoch(3), seq: 17 };
    let (ada, again) = (origin(1, 1), origin(1, 2));
    let one = account(&a, ada, LONG).await?;
    let back = async |gateway: &Gateway, holder| {
        let back = Query::Reconnect { account: one, token: "token".into(), holder, grace: LONG };
        match ask(gateway, back).await? {
            Reply::Back { read, .. } => Ok(read),
            other => bail!("not back but {other:?}"),
        }
    };
    ensure!(back(&a, ada).await?.is_none(), "nobody told");
    // Without a tick: who returns to the same gateway finds what is on its way.
    tell(&a, Query::Read { account: one, holder: ada, read });
    tell(&a, Query::Release { account: one, holder: ada });
    ensure!(back(&a, again).await? == Some(read));
    ensure!(back(&b, ada).await?.is_none(), "it is over with the return");
    tell(&a, Query::Read { account: one, holder: again, read });
    tick(&a).await?;
    ensure!(back(&b, ada).await?.is_none(), "a late word of the one before");
    tell(&b, Query::Read { account: one, holder: ada, read });
    tell(&b, Query::Release { account: one, holder: ada });
    tick(&b).await?;
    ensure!(back(&a, again).await? == Some(read));
    leave(&a, &[(one, again)]).await
}

async fn the_last_sign_of_life_is_remembered(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, again) = (origin(1, 1), origin(2, 1));
    let one = account(&a, ada, LONG).await?;
    let seen = |holder| async move {
        let back = Query::Reconnect { account: one, token: "token".into(), holder, grace: LONG };
        match ask(&b, back).await? {
            Reply::Back { seen, .. } => Ok((seen, b.clone())),
            other => bail!("not back but {other:?}"),
        }
    };
    sleep(Duration::from_millis(60)).await;
    tell(&a, Query::Seen { account: one, holder: ada });
    sleep(Duration::from_millis(200)).await;
    tick(&a).await?;
    let (first, b) = seen(again).await?;
    let back = Query::Reconnect { account: one, token: "token".into(), holder: ada, grace: LONG };
    let Reply::Back { seen: second, .. } = ask(&b, back).await? else { bail!("not back") };
    // The second reconnect finds the first one as the sign of life: 200 ms after the noted one.
    ensure!((190..2000).contains(&(second - first)), "{first} {second}");
    leave(&a, &[(one, ada)]).await
}

async fn a_sign_of_life_counts_from_when_it_came_however_late_it_is_reported(a: Gateway, _: Gateway) -> Result<()> {
    let ada = origin(1, 1);
    let one = account(&a, ada, LONG).await?;
    let seen =
        async || match ask(&a, Query::Reconnect { account: one, token: "token".into(), holder: ada, grace: LONG })
            .await?
        {
            Reply::Back { seen, .. } => Ok(seen),
            other => bail!("not back but {other:?}"),
        };
    let came = Instant::now();
    sleep(Duration::from_millis(100)).await;
    a.tell(directory::Query::Pairs(Query::Seen { account: one, holder: ada }), came);
    tick(&a).await?;
    let first = seen().await?;
    // The first reconnect was a sign of life itself.
    let second = seen().await?;
    ensure!(second - first >= 100, "dated {} ms before what came 100 ms later", second - first);
    leave(&a, &[(one, ada)]).await
}

async fn when_the_grace_ends_so_do_sessions_and_every_partner_is_notified_until_one_gateway_did_it(
    a: Gateway,
    b: Gateway,
) -> Result<()> {
    let (ada, bob) = (origin(1, 1), origin(2, 1));
    let (one, two) = (account(&a, ada, NONE).await?, account(&b, bob, LONG).await?);
    let (first, _) = matched(&a, one, ada).await?;
    let (second, _) = matched(&b, two, bob).await?;
    tell(&a, Query::Release { account: one, holder: ada });
    tick(&a).await?;
    let mut exits = tick(&b).await?;
    exits.sort_by_key(|exit| exit.session);
    let exit = |session| Exit { session, account: one, partner: two };
    ensure!(exits == [exit(first), exit(second)], "{exits:?}");
    ensure!(tick(&a).await?.len() == 2, "told by the gateway that is left");
    b.announced(&exits).await?;
    ensure!(tick(&a).await?.is_empty());
    ensure!(partner(&b, two, bob, first).await? == Reply::Partner { partner: one, message: 0, live: false });
    let back = Query::Reconnect { account: one, token: "token".into(), holder: ada, grace: LONG };
    ensure!(matches!(ask(&a, back).await?, Reply::Back { .. }), "the account itself may return");
    ensure!(ask(&a, Query::Enter { account: one, holder: ada }).await? == Reply::Done);
    ensure!(partner(&a, one, ada, first).await? == Reply::Partner { partner: two, message: 0, live: false });
    leave(&a, &[(one, ada), (two, bob)]).await
}

async fn an_account_that_never_entered_goes_with_its_grace(a: Gateway, _: Gateway) -> Result<()> {
    let ada = origin(1, 1);
    let one = create(&a, ada, NONE).await?;
    sleep(Duration::from_millis(5)).await;
    ensure!(tick(&a).await?.is_empty());
    ensure!(ask(&a, Query::Enter { account: one, holder: ada }).await? == Reply::NotHeld);
    Ok(())
}

async fn a_session_that_was_ended_is_over_without_a_notice(a: Gateway, _: Gateway) -> Result<()> {
    let holder = origin(1, 1);
    let (one, two) = (account(&a, holder, NONE).await?, account(&a, holder, LONG).await?);
    let (session, _) = matched(&a, one, holder).await?;
    tell(&a, Query::End { account: one, holder, session });
    tick(&a).await?;
    ensure!(partner(&a, two, holder, session).await? == Reply::Partner { partner: one, message: 0, live: false });
    leave(&a, &[(one, holder)]).await?;
    sleep(Duration::from_millis(5)).await;
    ensure!(tick(&a).await?.is_empty());
    leave(&a, &[(two, holder)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_a_gateway_that_vanished_enter_their_grace_when_its_lease_ends() -> Result<()> {
    let redis = RedisNode::start()?;
    let (a, b) = (open(vec![redis.address()]).await?, open(vec![redis.address()]).await?);
    let (ada, bob) = (origin(1, 1), origin(2, 1));
    let (one, two) = (account(&a, ada, NONE).await?, account(&b, bob, LONG).await?);
    let (session, _) = matched(&b, two, bob).await?;
    tick(&a).await?;
    drop(a);
    let started = Instant::now();
    let exits = loop {
        let exits = tick(&b).await?;
        if !exits.is_empty() {
            break exits;
        }
        ensure!(started.elapsed() < Duration::from_secs(12), "nobody was notified");
        sleep(Duration::from_millis(250)).await;
    };
    ensure!(exits == [Exit { session, account: one, partner: two }]);
    ensure!(started.elapsed() > Duration::from_millis(4500), "before the lease ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_is_dated_when_it_came_however_long_the_note_of_it_takes() -> Result<()> {
    let redis = RedisNode::start()?;
    let a = open(vec![redis.address()]).await?;
    let ada = origin(1, 1);
    let one = account(&a, ada, LONG).await?;
    for held_up in ["ALL", "WRITE"] {
        tell(&a, Query::Seen { account: one, holder: ada });
        let after = time(&redis)?;
        redis.call(&["CLIENT", "PAUSE", "300", held_up])?;
        tick(&a).await?;
        let back = Query::Reconnect { account: one, token: "token".into(), holder: ada, grace: LONG };
        let Reply::Back { seen, .. } = ask(&a, back).await? else { bail!("not back") };
        ensure!(seen <= after, "{held_up}: what was said in the {} ms since would be left out", seen - after);
    }
    Ok(())
}

/// The server's time in milliseconds, rounded up.
fn time(redis: &RedisNode) -> Result<u64> {
    let reply = redis.call(&["TIME"])?;
    let part = |part: &redis::Reply| part.text().parse::<u64>();
    let redis::Reply::List(parts) = &reply else { bail!("TIME is {reply:?}") };
    Ok(part(&parts[0])? * 1000 + part(&parts[1])?.div_ceil(1000))
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_sessions_survive_the_primary() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let a = open(cluster.seeds()).await?;
    let holder = origin(1, 1);
    let (one, two) = (account(&a, holder, LONG).await?, account(&a, holder, LONG).await?);
    let (session, _) = matched(&a, one, holder).await?;
    let primary = cluster.primary(slot(Partition::of(&RoomName::private("directory", 0))).number())?;
    cluster.nodes[primary].kill()?;
    let started = Instant::now();
    let live = loop {
        match partner(&a, one, holder, session).await {
            Ok(reply) => break reply,
            Err(error) => ensure!(started.elapsed() < Duration::from_secs(20), "not back: {error}"),
        }
    };
    ensure!(live == Reply::Partner { partner: two, message: 0, live: true }, "{live:?}");
    Ok(())
}
