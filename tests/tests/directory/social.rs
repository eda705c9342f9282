//! Contacts, blocks, conversations and searches.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use parlor_gateway::directory::{
    self,
    people::{
        self as kept, HOST, HOST_NAME, To,
        social::{Block, CONTACTS, CONVERSATIONS, EVERYONE, FOUND, MEMBERSHIPS, Person, Query, Reply},
    },
};
use tokio::time::sleep;

use crate::{
    Behaviour, Gateway, behaviours, origin,
    people::{self, login, queue},
};

/// A number that no person and no block has.
const NOBODY: u64 = 8_000_000;

/// What holds over every bus.
pub(crate) const BEHAVIOURS: [Behaviour; 7] = behaviours![
    contacts_are_mutual_and_the_host_is_one_of_everyone,
    nobody_has_more_contacts_than_the_limit,
    who_makes_or_joins_a_block_is_in_it,
    nobody_is_in_more_blocks_than_the_limit,
    conversations_show_the_newest_first_to_both_sides,
    old_conversations_go_when_there_are_too_many,
    a_search_finds_parts_of_names_in_any_case,
];

pub(crate) async fn ask(gateway: &Gateway, query: Query) -> Result<Reply> {
    match gateway.ask(directory::Query::Social(query)).await? {
        directory::Reply::Social(reply) => Ok(reply),
        other => bail!("an answer of another family: {other:?}"),
    }
}

/// The numbers in an answer, in its order.
async fn ids(gateway: &Gateway, query: Query) -> Result<Vec<u64>> {
    match ask(gateway, query).await? {
        Reply::People(people) => Ok(people.iter().map(|person| person.id).collect()),
        Reply::Blocks(blocks) => Ok(blocks.iter().map(|block| block.id).collect()),
        other => bail!("no rows but {other:?}"),
    }
}

pub(crate) async fn create(gateway: &Gateway, owner: u64, name: &str) -> Result<u64> {
    match ask(gateway, Query::Create { owner, name: name.into() }).await? {
        Reply::Created(Block { id, name: found, owner: by }) if *found == *name && by == owner => Ok(id),
        other => bail!("no block but {other:?}"),
    }
}

async fn say(gateway: &Gateway, from: u64, to: To) -> Result<()> {
    let check = kept::Query::Check { from, holder: origin(9, from), temp: None, to };
    let kept::Reply::Fresh { id } = people::ask(gateway, check).await? else { bail!("not fresh") };
    let keep = match (to, id) {
        (To::Person(to), Some(id)) => kept::Query::Keep { from, temp: None, id, to, frame: "x".into() },
        (To::Block(block), None) => people::posted(from, block, 1).1,
        (to, id) => bail!("{id:?} for {to:?}"),
    };
    people::ask(gateway, keep).await?;
    Ok(())
}

async fn conversations(gateway: &Gateway, user: u64) -> Result<Vec<To>> {
    match ask(gateway, Query::Conversations { user }).await? {
        Reply::Conversations(list) => Ok(list),
        other => bail!("no conversations but {other:?}"),
    }
}

async fn contacts_are_mutual_and_the_host_is_one_of_everyone(a: Gateway, b: Gateway) -> Result<()> {
    let (one, two) = (login(&a, "c one").await?, login(&b, "c two").await?);
    let befriend = |user, contact| Query::Befriend { user, contact };
    for (user, contact) in [(one, two), (two, one), (one, two)] {
        ensure!(ask(&a, befriend(user, contact)).await? == Reply::Done);
    }
    for (user, contact) in [(one, one), (one, NOBODY), (NOBODY, one)] {
        ensure!(ask(&a, befriend(user, contact)).await? == Reply::Unknown, "{user} {contact}");
    }
    for (user, other) in [(one, two), (two, one)] {
        ensure!(ids(&b, Query::Contacts { user }).await? == [HOST, other]);
    }
    let host = Person { id: HOST, name: HOST_NAME.into() };
    ensure!(ask(&b, Query::Person { user: HOST }).await? == Reply::People(vec![host]));
    ensure!(ask(&b, Query::Person { user: NOBODY }).await? == Reply::People(vec![]));
    Ok(())
}

async fn nobody_has_more_contacts_than_the_limit(a: Gateway, _: Gateway) -> Result<()> {
    let crowd = login(&a, "crowd").await?;
    let mut last = 0;
    // The host is one.
    for n in 1..CONTACTS {
        last = login(&a, &format!("of the crowd {n}")).await?;
        ensure!(ask(&a, Query::Befriend { user: crowd, contact: last }).await? == Reply::Done, "{n}");
    }
    let late = login(&a, "late").await?;
    for (user, contact) in [(crowd, late), (late, crowd)] {
        ensure!(ask(&a, Query::Befriend { user, contact }).await? == Reply::Full);
    }
    ensure!(ask(&a, Query::Befriend { user: crowd, contact: last }).await? == Reply::Done);
    let contacts = ids(&a, Query::Contacts { user: crowd }).await?;
    ensure!(contacts.len() == CONTACTS && contacts.is_sorted(), "{contacts:?}");
    Ok(())
}

async fn who_makes_or_joins_a_block_is_in_it(a: Gateway, b: Gateway) -> Result<()> {
    let (owner, guest) = (login(&a, "owner").await?, login(&a, "guest").await?);
    let tea = create(&a, owner, "tea").await?;
    ensure!(tea > EVERYONE);
    let join = |user, block| Query::Join { user, block };
    for _ in 0..2 {
        ensure!(ask(&b, join(guest, tea)).await? == Reply::Done);
    }
    for (user, block) in [(guest, NOBODY), (NOBODY, tea)] {
        ensure!(ask(&b, join(user, block)).await? == Reply::Unknown);
    }
    for user in [owner, guest] {
        let blocks = kept::Query::Blocks { user, holder: origin(9, user) };
        ensure!(people::ask(&a, blocks).await? == kept::Reply::Blocks(vec![EVERYONE, tea]));
        ensure!(ids(&b, Query::Blocks { user }).await? == [EVERYONE, tea]);
    }
    let row = Block { id: tea, name: "tea".into(), owner };
    ensure!(ask(&b, Query::Block { block: tea }).await? == Reply::Blocks(vec![row]));
    ensure!(ask(&b, Query::Block { block: NOBODY }).await? == Reply::Blocks(vec![]));
    say(&a, owner, To::Block(tea)).await?;
    ensure!(queue(&b, guest, true).await?.len() == 1, "kept for who joined");
    Ok(())
}

async fn nobody_is_in_more_blocks_than_the_limit(a: Gateway, b: Gateway) -> Result<()> {
    let (owner, other) = (login(&a, "founder").await?, login(&a, "another").await?);
    let spare = create(&a, other, "spare").await?;
    for n in 1..MEMBERSHIPS {
        create(&a, owner, &format!("block {n}")).await?;
    }
    ensure!(ask(&b, Query::Create { owner, name: "one more".into() }).await? == Reply::Full);
    ensure!(ask(&b, Query::Join { user: owner, block: spare }).await? == Reply::Full);
    let blocks = ids(&b, Query::Blocks { user: owner }).await?;
    ensure!(blocks.len() == MEMBERSHIPS && blocks.is_sorted(), "{blocks:?}");
    Ok(())
}

async fn conversations_show_the_newest_first_to_both_sides(a: Gateway, b: Gateway) -> Result<()> {
    let (one, two, three) = (login(&a, "t one").await?, login(&a, "t two").await?, login(&a, "t three").await?);
    ensure!(conversations(&b, one).await? == [To::Block(EVERYONE), To::Person(HOST)], "what a newcomer has");
    sleep(Duration::from_millis(2)).await;
    say(&a, one, To::Person(two)).await?;
    say(&b, three, To::Person(one)).await?;
    let first = [To::Block(EVERYONE), To::Person(HOST)];
    ensure!(conversations(&b, one).await? == [&[To::Person(three), To::Person(two)], &first[..]].concat());
    ensure!(conversations(&b, two).await? == [&[To::Person(one)], &first[..]].concat());
    say(&a, two, To::Block(EVERYONE)).await?;
    for user in [one, two] {
        ensure!(conversations(&b, user).await?[0] == To::Block(EVERYONE));
    }
    say(&a, one, To::Person(two)).await?;
    let talks = [To::Person(two), To::Block(EVERYONE), To::Person(three), To::Person(HOST)];
    ensure!(conversations(&b, one).await? == talks);
    let unused = NOBODY + 1;
    say(&a, one, To::Person(unused)).await?;
    ensure!(conversations(&b, one).await?[0] == To::Person(unused), "who comes with that number finds it");
    ensure!(conversations(&b, NOBODY).await?.is_empty());
    Ok(())
}

async fn old_conversations_go_when_there_are_too_many(a: Gateway, _: Gateway) -> Result<()> {
    let chatty = login(&a, "chatty").await?;
    let mut others = Vec::new();
    for n in 0..CONVERSATIONS + 2 {
        let other = To::Person(login(&a, &format!("chatted {n}")).await?);
        say(&a, chatty, other).await?;
        others.push(other);
    }
    others.reverse();
    others.truncate(CONVERSATIONS);
    let found = conversations(&a, chatty).await?;
    ensure!(found == others, "{found:?}");
    Ok(())
}

async fn a_search_finds_parts_of_names_in_any_case(a: Gateway, b: Gateway) -> Result<()> {
    let (one, two) = (login(&a, "Needle in HAY").await?, login(&a, "xx needle*? %_").await?);
    let block = create(&a, one, "a haystack千").await?;
    let people = |text: &str| Query::FindPeople { text: text.into() };
    let blocks = |text: &str| Query::FindBlocks { text: text.into() };
    ensure!(ids(&b, people("NEEDLE")).await? == [one, two]);
    for text in ["needle*?", "%_"] {
        ensure!(ids(&b, people(text)).await? == [two], "text and no pattern: {text}");
    }
    ensure!(ids(&b, blocks("haySTACK千")).await? == [block]);
    ensure!(ids(&b, people("nobody has it")).await?.is_empty() && ids(&b, blocks("needle")).await?.is_empty());
    // More than are looked at in one call.
    for n in 0..800 {
        login(&a, &format!("many {n}")).await?;
    }
    let many = ids(&b, people("many")).await?;
    ensure!(many.len() == FOUND && many.is_sorted(), "{many:?}");
    for text in ["many 0", "many 799"] {
        ensure!(ids(&b, people(text)).await?.len() == 1, "{text}");
    }
    Ok(())
}
