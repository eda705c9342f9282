//! People, and what is kept for them.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use parlor_gateway::bus::directory::{
    self,
    people::{HOST, Query, Reply, To},
};
use tokio::time::Instant;

use crate::{Behaviour, Gateway, behaviours, origin};

/// What holds over every bus.
pub(crate) const BEHAVIOURS: [Behaviour; 4] = behaviours![
    a_name_has_one_number_everywhere_and_everyone_is_in_the_first_block,
    a_message_is_kept_for_everyone_it_goes_to_until_they_confirm_it,
    nobody_speaks_for_someone_who_is_here_on_another_connection,
    only_those_who_are_not_here_are_kept_what_mentions_them,
];

pub(crate) async fn ask(gateway: &Gateway, query: Query) -> Result<Reply> {
    match gateway.directory().ask(directory::Query::People(query)).await? {
        directory::Reply::People(reply) => Ok(reply),
        other => bail!("an answer of another family: {other:?}"),
    }
}

pub(crate) async fn login(gateway: &Gateway, name: &str) -> Result<u64> {
    match ask(gateway, Query::Login { name: name.into() }).await? {
        Reply::User { id, name: found } if *found == *name => Ok(id),
        other => bail!("no person but {other:?}"),
    }
}

pub(crate) async fn queue(gateway: &Gateway, user: u64, take: bool) -> Result<Vec<Arc<str>>> {
    match ask(gateway, Query::Queue { user, take }).await? {
        Reply::Queued(kept) => Ok(kept),
        other => bail!("no queue but {other:?}"),
    }
}

fn told(gateway: &Gateway, query: Query) {
    gateway.directory().tell(directory::Query::People(query), Instant::now());
}

async fn a_name_has_one_number_everywhere_and_everyone_is_in_the_first_block(a: Gateway, b: Gateway) -> Result<()> {
    let (ada, bob) = (login(&a, "ada").await?, login(&b, "bob").await?);
    ensure!(ada != bob && login(&b, "ada").await? == ada);
    ensure!(ada > HOST, "the host is no person");
    let newcomer = 1_795_172_464_819;
    let init = |user, name, holder| Query::Init { user, name, holder };
    let known = |id, name: &str| Reply::User { id, name: name.into() };
    ensure!(ask(&a, init(ada, None, origin(1, 1))).await? == known(ada, "ada"));
    ensure!(ask(&a, init(newcomer, Some("eve".into()), origin(1, 2))).await? == known(newcomer, "eve"));
    ensure!(
        ask(&b, init(newcomer, Some("mallory".into()), origin(1, 2))).await? == known(newcomer, "eve"),
        "the first"
    );
    ensure!(ask(&a, init(newcomer + 1, None, origin(1, 2))).await? == known(newcomer + 1, ""), "nobody named them");
    ensure!(login(&b, "eve").await? == newcomer);
    for user in [ada, bob, newcomer] {
        ensure!(ask(&b, Query::Blocks { user }).await? == Reply::Blocks(vec![1]));
    }
    Ok(())
}

async fn a_message_is_kept_for_everyone_it_goes_to_until_they_confirm_it(a: Gateway, b: Gateway) -> Result<()> {
    let (from, one, two) = (login(&a, "from").await?, login(&a, "one").await?, login(&a, "two").await?);
    let holder = origin(1, 3);
    let mut last = 0;
    for (temp, to, text) in [("t1", To::Person(one), "p"), ("t2", To::Block(1), "b"), ("t3", To::Person(one), "q")] {
        let (temp, frame) = (Some(temp.into()), text.into());
        let check = Query::Check { from, holder, temp: Option::clone(&temp) };
        let Reply::Fresh { id } = ask(&a, check.clone()).await? else { bail!("not fresh") };
        ensure!(id > last && id.to_string().len() == 16, "{id}");
        last = id;
        ask(&a, Query::Keep { from, temp, id, to, frame }).await?;
        ensure!(ask(&b, check).await? == Reply::Duplicate { id });
    }
    let texts = |kept: Vec<Arc<str>>| kept.iter().map(|text| text.as_ref().to_owned()).collect::<Vec<_>>();
    ensure!(texts(queue(&b, one, false).await?) == ["p", "b", "q"]);
    ensure!(texts(queue(&b, two, false).await?) == ["b"]);
    ensure!(queue(&b, from, false).await?.is_empty());
    told(&b, Query::Confirm { user: one, id: last });
    b.directory().tick().await?;
    ensure!(texts(queue(&a, one, true).await?) == ["p", "b"]);
    ensure!(queue(&a, one, false).await?.is_empty());
    Ok(())
}

async fn nobody_speaks_for_someone_who_is_here_on_another_connection(a: Gateway, b: Gateway) -> Result<()> {
    let (user, here, there) = (login(&a, "held").await?, origin(1, 4), origin(2, 4));
    let init = |holder| Query::Init { user, name: None, holder };
    let check = |holder| Query::Check { from: user, holder, temp: None };
    ensure!(matches!(ask(&b, check(there)).await?, Reply::Fresh { .. }), "nobody is here");
    ask(&a, init(here)).await?;
    ensure!(ask(&b, check(there)).await? == Reply::Foreign);
    ask(&b, init(there)).await?;
    ensure!(ask(&a, check(here)).await? == Reply::Foreign, "taken over");
    told(&a, Query::Release { user, holder: here });
    a.directory().tick().await?;
    ensure!(ask(&a, check(here)).await? == Reply::Foreign, "a late word of the old one");
    told(&b, Query::Release { user, holder: there });
    b.directory().tick().await?;
    ensure!(matches!(ask(&a, check(here)).await?, Reply::Fresh { .. }));
    Ok(())
}

async fn only_those_who_are_not_here_are_kept_what_mentions_them(a: Gateway, b: Gateway) -> Result<()> {
    let (here, away) = (login(&a, "here").await?, login(&a, "away").await?);
    ask(&a, Query::Init { user: here, name: None, holder: origin(1, 5) }).await?;
    let names = vec!["here".into(), "away".into(), "nobody".into()];
    told(&b, Query::Mention { names, frame: "x".into() });
    b.directory().tick().await?;
    ensure!(queue(&a, here, false).await?.is_empty());
    ensure!(queue(&a, away, true).await?.len() == 1);
    Ok(())
}
