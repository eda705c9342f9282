//! People, and what is kept for them.

use std::{sync::Arc, time::SystemTime};

use anyhow::{Result, bail, ensure};
use parlor_gateway::{
    directory::{
        self,
        people::{HOST, Query, Reply, StoredAt, To, message_id},
    },
    rooms::{Epoch, Position},
};
use tokio::time::Instant;

use crate::{Behaviour, Gateway, behaviours, origin};

/// When messages were posted that were long ago, in milliseconds since ids begin.
const SINCE: u64 = 1_000_000;

/// What holds over every bus.
pub(crate) const BEHAVIOURS: [Behaviour; 10] = behaviours![
    a_name_has_one_number_everywhere_and_everyone_is_in_the_first_block,
    a_message_is_kept_for_everyone_it_goes_to_until_they_confirm_it,
    what_is_kept_is_told_oldest_first_but_what_comes_by_itself,
    what_was_confirmed_before_it_was_kept_is_not_kept,
    who_reads_a_block_from_after_a_message_on_is_late_for_it_until_they_leave,
    nobody_speaks_for_someone_who_is_here_on_another_connection,
    only_the_connection_that_has_the_account_reads_its_blocks,
    only_those_who_are_not_here_are_kept_what_mentions_them,
    a_message_to_a_number_that_nobody_has_used_is_kept_for_who_comes_with_it,
    a_message_is_kept_once_for_each_of_many_readers_however_often_it_is_sent,
];

pub(crate) async fn ask(gateway: &Gateway, query: Query) -> Result<Reply> {
    match gateway.ask(directory::Query::People(query)).await? {
        directory::Reply::People(reply) => Ok(reply),
        other => bail!("an answer of another family: {other:?}"),
    }
}

pub(crate) async fn login(gateway: &Gateway, name: &str) -> Result<u64> {
    match ask(gateway, Query::Login { name: name.into() }).await? {
        Reply::User { id, name: found, taken: _ } if *found == *name => Ok(id),
        other => bail!("no person but {other:?}"),
    }
}

pub(crate) async fn queue(gateway: &Gateway, user: u64, take: bool) -> Result<Vec<Arc<str>>> {
    match ask(gateway, Query::Queue { user, take, read: Vec::new() }).await? {
        Reply::Queued(kept) => Ok(kept),
        other => bail!("no queue but {other:?}"),
    }
}

/// A recent message to a block, `seq` in epoch 5 of its room.
pub(crate) fn posted(from: u64, block: u64, seq: u64) -> (u64, Query) {
    let time = message_id::START + SINCE + seq;
    let (id, position) = (message_id::in_block(block, time, seq), Position { epoch: Epoch(5), seq });
    let place = StoredAt { position, time };
    (id, Query::KeepPosted { from, temp: None, id, block, place, frame: format!("b{seq}").into() })
}

/// Says a message to a block; returns those who are late for it.
async fn keep(gateway: &Gateway, query: Query) -> Result<Vec<u64>> {
    match ask(gateway, query).await? {
        Reply::Kept { late } => Ok(late),
        other => bail!("not kept but {other:?}"),
    }
}

fn told(gateway: &Gateway, query: Query) {
    gateway.tell(directory::Query::People(query), Instant::now());
}

async fn a_name_has_one_number_everywhere_and_everyone_is_in_the_first_block(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, bob) = (login(&a, "ada").await?, login(&b, "bob").await?);
    ensure!(ada != bob && login(&b, "ada").await? == ada);
    ensure!(ada > HOST, "the host is no person");
    let newcomer = 1_795_172_464_819;
    let init = |user, name, holder| Query::Init { user, name, holder };
    let known = |id, name: &str| Reply::User { id, name: name.into(), taken: false };
    ensure!(ask(&a, init(ada, None, origin(1, 1))).await? == known(ada, "ada"));
    ensure!(ask(&a, init(newcomer, Some("eve".into()), origin(1, 2))).await? == known(newcomer, "eve"));
    ensure!(
        ask(&b, init(newcomer, Some("mallory".into()), origin(1, 2))).await? == known(newcomer, "eve"),
        "the first"
    );
    ensure!(ask(&a, init(newcomer + 1, None, origin(1, 2))).await? == known(newcomer + 1, ""), "nobody named them");
    ensure!(login(&b, "eve").await? == newcomer);
    for user in [ada, bob, newcomer] {
        let holder = if user == newcomer { origin(1, 2) } else { origin(1, 1) };
        ensure!(ask(&b, Query::Blocks { user, holder }).await? == Reply::Blocks(vec![1]));
    }
    Ok(())
}

fn texts(kept: &[Arc<str>]) -> Vec<&str> {
    kept.iter().map(AsRef::as_ref).collect()
}

async fn a_message_is_kept_for_everyone_it_goes_to_until_they_confirm_it(a: Gateway, b: Gateway) -> Result<()> {
    let (from, one, two) = (login(&a, "from").await?, login(&a, "one").await?, login(&a, "two").await?);
    let holder = origin(1, 3);
    let (mut last, (in_block, mut keep)) = (0, posted(from, 1, 1));
    for (number, to, text) in [("t1", To::Person(one), "p"), ("t2", To::Block(1), "b1"), ("t3", To::Person(one), "q")] {
        let number: Option<Arc<str>> = Some(number.into());
        let check = Query::Check { from, holder, temp: number.clone(), to };
        let id = match (to, ask(&a, check.clone()).await?) {
            (To::Person(to), Reply::Fresh { id: Some(id) }) => {
                ensure!(id > last && id < 1 << 53 && message_id::block(id).is_none(), "{id} after {last}");
                last = id;
                let keep = Query::Keep { from, temp: number, id, to, frame: text.into() };
                ensure!(ask(&a, keep).await? == Reply::Done);
                id
            }
            (To::Block(_), Reply::Fresh { id: None }) => {
                let Query::KeepPosted { temp, .. } = &mut keep else { bail!("another query") };
                *temp = number;
                ensure!(ask(&a, keep.clone()).await? == Reply::Kept { late: vec![] });
                in_block
            }
            (_, other) => bail!("not fresh but {other:?}"),
        };
        ensure!(ask(&b, check).await? == Reply::Duplicate { id });
    }
    let sorted = |kept: &[Arc<str>]| {
        let mut texts: Vec<_> = kept.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    };
    ensure!(sorted(&queue(&b, one, false).await?) == ["b1", "p", "q"]);
    ensure!(texts(&queue(&b, two, false).await?) == ["b1"]);
    ensure!(queue(&b, from, false).await?.is_empty());
    told(&b, Query::Confirm { user: one, id: last });
    told(&b, Query::Confirm { user: two, id: in_block });
    b.tick().await?;
    told(&a, keep);
    a.tick().await?;
    ensure!(queue(&a, two, false).await?.is_empty());
    ensure!(sorted(&queue(&a, one, true).await?) == ["b1", "p"]);
    ensure!(queue(&a, one, false).await?.is_empty());
    Ok(())
}

async fn what_is_kept_is_told_oldest_first_but_what_comes_by_itself(a: Gateway, b: Gateway) -> Result<()> {
    let (from, user) = (login(&a, "talker").await?, login(&a, "listener").await?);
    for seq in [12, 10, 11] {
        keep(&a, posted(from, 1, seq).1).await?;
    }
    // By time, though a higher seq makes for a higher id.
    let id = message_id::to_person(SINCE + 11);
    ask(&a, Query::Keep { from, temp: None, id, to: user, frame: "p".into() }).await?;
    ensure!(id < posted(from, 1, 11).0);
    ensure!(texts(&queue(&b, user, false).await?) == ["b10", "p", "b11", "b12"]);
    let after = |epoch, seq| vec![(1, Position { epoch: Epoch(epoch), seq })];
    for (read, left) in [
        (after(5, 9), vec!["p"]),
        (after(5, 11), vec!["b10", "p", "b11"]),
        (after(4, 99), vec!["p"]),
        (after(6, 1), vec!["b10", "p", "b11", "b12"]),
        (vec![(2, after(5, 9)[0].1)], vec!["b10", "p", "b11", "b12"]),
    ] {
        let Reply::Queued(kept) = ask(&b, Query::Queue { user, take: false, read: read.clone() }).await? else {
            bail!("no queue")
        };
        ensure!(texts(&kept) == left, "{read:?}: {kept:?}");
    }
    Ok(())
}

async fn only_the_connection_that_has_the_account_reads_its_blocks(a: Gateway, b: Gateway) -> Result<()> {
    let (from, user) = (login(&a, "from").await?, login(&a, "victim").await?);
    let (old, new) = (origin(1, 7), origin(2, 8));
    let taken = async |holder| match ask(&a, Query::Init { user, name: None, holder }).await? {
        Reply::User { taken, .. } => Ok(taken),
        other => bail!("no person but {other:?}"),
    };
    ensure!(!taken(old).await? && !taken(old).await?, "nobody else had it");
    ensure!(taken(new).await?);
    let check = Query::Check { from, holder: origin(1, 3), temp: None, to: To::Person(user) };
    let Reply::Fresh { id: Some(id) } = ask(&a, check).await? else { bail!("not fresh") };
    ask(&a, Query::Keep { from, temp: None, id, to: user, frame: "p".into() }).await?;
    ensure!(ask(&b, Query::Blocks { user, holder: old }).await? == Reply::Foreign);
    ensure!(ask(&b, Query::Blocks { user, holder: new }).await? == Reply::Blocks(vec![1]));
    told(&b, Query::Confirm { user, id });
    b.tick().await?;
    ensure!(queue(&a, user, false).await?.is_empty());
    Ok(())
}

async fn what_was_confirmed_before_it_was_kept_is_not_kept(a: Gateway, b: Gateway) -> Result<()> {
    let (from, quick, slow) = (login(&a, "from").await?, login(&a, "quick").await?, login(&a, "slow").await?);
    let (id, kept) = recent(&posted(from, 1, 20).1)?;
    told(&b, Query::Confirm { user: quick, id });
    b.tick().await?;
    keep(&a, kept.clone()).await?;
    ensure!(queue(&b, quick, false).await?.is_empty());
    ensure!(texts(&queue(&b, slow, false).await?) == ["b20"]);
    keep(&a, kept).await?;
    ensure!(texts(&queue(&b, quick, true).await?) == ["b20"], "one confirmation is for one message");
    // Of so long ago that it has been kept, or never will be.
    let (id, old) = posted(from, 1, 21);
    told(&b, Query::Confirm { user: quick, id });
    b.tick().await?;
    keep(&a, old).await?;
    ensure!(texts(&queue(&b, quick, false).await?) == ["b21"]);
    Ok(())
}

/// The same message, posted now.
fn recent(query: &Query) -> Result<(u64, Query)> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    let mut query = query.clone();
    let Query::KeepPosted { id, block, place, .. } = &mut query else { bail!("another query") };
    place.time = now;
    *id = message_id::in_block(*block, now, place.position.seq);
    Ok((*id, query))
}

async fn who_reads_a_block_from_after_a_message_on_is_late_for_it_until_they_leave(
    a: Gateway,
    b: Gateway,
) -> Result<()> {
    let (from, user, holder) = (login(&a, "from").await?, login(&a, "comer").await?, origin(1, 6));
    let init = || Query::Init { user, name: None, holder };
    let read = |seq| Query::Queue { user, take: false, read: vec![(1, Position { epoch: Epoch(5), seq })] };
    ask(&a, init()).await?;
    ask(&a, read(30)).await?;
    for (seq, late) in [(29, vec![user]), (30, vec![user]), (31, vec![])] {
        ensure!(keep(&b, posted(from, 1, seq).1).await? == late, "{seq}");
    }
    ensure!(keep(&b, posted(user, 1, 30).1).await?.is_empty(), "their own");
    ask(&a, init()).await?;
    ensure!(keep(&b, posted(from, 1, 30).1).await?.is_empty(), "they are yet to be given what is kept");
    ask(&a, read(29)).await?;
    ensure!(keep(&b, posted(from, 1, 30).1).await?.is_empty(), "it comes by itself now");
    ensure!(keep(&b, posted(from, 1, 29).1).await? == [user]);
    told(&a, Query::Release { user, holder });
    a.tick().await?;
    ensure!(keep(&b, posted(from, 1, 29).1).await?.is_empty(), "nobody is here");
    Ok(())
}

async fn nobody_speaks_for_someone_who_is_here_on_another_connection(a: Gateway, b: Gateway) -> Result<()> {
    let (user, here, there) = (login(&a, "held").await?, origin(1, 4), origin(2, 4));
    let init = |holder| Query::Init { user, name: None, holder };
    let check = |holder| Query::Check { from: user, holder, temp: None, to: To::Block(1) };
    ensure!(matches!(ask(&b, check(there)).await?, Reply::Fresh { .. }), "nobody is here");
    ask(&a, init(here)).await?;
    ensure!(ask(&b, check(there)).await? == Reply::Foreign);
    ask(&b, init(there)).await?;
    ensure!(matches!(ask(&a, check(here)).await?, Reply::Fresh { .. }), "two tabs of one person both speak");
    ensure!(ask(&a, check(origin(3, 4))).await? == Reply::Foreign, "one that never had the account");
    told(&a, Query::Release { user, holder: here });
    a.tick().await?;
    ensure!(ask(&a, check(here)).await? == Reply::Foreign, "a late word of the old one");
    told(&b, Query::Release { user, holder: there });
    b.tick().await?;
    ensure!(matches!(ask(&a, check(here)).await?, Reply::Fresh { .. }));
    Ok(())
}

async fn a_message_to_a_number_that_nobody_has_used_is_kept_for_who_comes_with_it(
    a: Gateway,
    b: Gateway,
) -> Result<()> {
    let (from, to) = (login(&a, "early bird").await?, 77_001);
    let check = Query::Check { from, holder: origin(1, 9), temp: None, to: To::Person(to) };
    let Reply::Fresh { id: Some(id) } = ask(&a, check).await? else { bail!("not fresh") };
    ensure!(ask(&a, Query::Keep { from, temp: None, id, to, frame: "p".into() }).await? == Reply::Done);
    ensure!(matches!(ask(&b, Query::Init { user: to, name: None, holder: origin(2, 9) }).await?, Reply::User { .. }));
    ensure!(texts(&queue(&b, to, false).await?) == ["p"]);
    Ok(())
}

async fn only_those_who_are_not_here_are_kept_what_mentions_them(a: Gateway, b: Gateway) -> Result<()> {
    let (here, away) = (login(&a, "here").await?, login(&a, "away").await?);
    ask(&a, Query::Init { user: here, name: None, holder: origin(1, 5) }).await?;
    let names = vec!["here".into(), "away".into(), "nobody".into()];
    told(&b, Query::Mention { names, frame: "x".into() });
    b.tick().await?;
    ensure!(queue(&a, here, false).await?.is_empty());
    ensure!(queue(&a, away, true).await?.len() == 1);
    Ok(())
}

async fn a_message_is_kept_once_for_each_of_many_readers_however_often_it_is_sent(
    a: Gateway,
    b: Gateway,
) -> Result<()> {
    // More than one call keeps it for, and then some.
    const MANY: u64 = 450;
    let (from, first) = (login(&a, "crier").await?, 5_000_000_000);
    let init = |user| Query::Init { user, name: None, holder: origin(1, user) };
    for user in first..first + MANY {
        ask(&a, init(user)).await?;
    }
    let (_, mut query) = posted(from, 1, 500);
    if let Query::KeepPosted { temp, .. } = &mut query {
        *temp = Some("cry".into());
    }
    // Both at once: the sender came back at another gateway before the first had done.
    let (one, other) = tokio::join!(ask(&a, query.clone()), ask(&b, query.clone()));
    ensure!(matches!((one?, other?), (Reply::Kept { .. }, Reply::Kept { .. })));
    for user in first..first + MANY {
        let kept = queue(&b, user, true).await?;
        ensure!(texts(&kept) == ["b500"], "{user} is kept {kept:?}");
    }
    // It is known, so it is not kept again for those who have taken it.
    ensure!(keep(&b, query).await?.is_empty());
    for user in [first, first + MANY - 1] {
        ensure!(queue(&a, user, false).await?.is_empty());
    }
    Ok(())
}
