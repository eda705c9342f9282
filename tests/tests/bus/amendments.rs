//! Edits, deletions and reactions: what every bus makes of them, that Redis decides as the memory does, and that what
//! messages have become outlives failovers, lost data and older gateways, while what was deleted does not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::{AppendError, Appended, HeldRoom, Page, RESTORE_SKIP, memory::MemoryBus},
    rooms::{
        Amendment, Change, Entry, Partition, Post, Role, RoomName,
        amendments::{MOST_EMOJI, Refused},
        present::Person,
    },
};
use parlor_tests::{
    bus::{HISTORY, connect},
    redis::{RedisCluster, RedisNode, Reply},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::value::RawValue;

use super::{Gateway, post, room, say};

pub(crate) fn amendment(room: &RoomName, author: &str, key: &str, seq: u64, change: Change) -> Post {
    let text = if change == Change::Edit { key } else { "" };
    let mut post = post(room, author, key, text);
    if change != Change::Edit {
        post.content.body = RawValue::from_string("{}".to_owned()).expect("a constant that is JSON");
    }
    post.content.verbatim = None;
    Post { amends: Some(Amendment { seq, change, by: Role::Member }), ..post }
}

pub(crate) fn react(emoji: &str) -> Change {
    Change::React { emoji: emoji.into(), remove: false }
}

fn take_back(emoji: &str) -> Change {
    Change::React { emoji: emoji.into(), remove: true }
}

async fn append(bus: &Gateway, post: &Post) -> Result<Result<Appended, AppendError>> {
    Ok(bus.append(Partition::of(&post.room), std::slice::from_ref(post)).await?.remove(0))
}

async fn amend(bus: &Gateway, post: &Post) -> Result<Appended> {
    append(bus, post).await?.with_context(|| format!("{:?}", post.amends))
}

fn refused(refused: Refused) -> Result<Appended, AppendError> {
    Err(AppendError::Amendment(refused))
}

/// What a page shows: seq, text or nothing, when it was edited, and who reacted how.
type Shown = (u64, Option<String>, Option<u64>, BTreeMap<String, Vec<Person>>);

fn shown(entry: &Arc<Entry>) -> Shown {
    let present = entry.present.as_deref().cloned().unwrap_or_default();
    let people = |people: Vec<(Person, u64)>| {
        let mut people: Vec<_> = people.into_iter().map(|(person, _)| person).collect();
        people.sort_by_key(|person| person.0);
        people
    };
    let reactions = present.reactions.into_iter();
    let reactions = reactions.map(|reaction| (reaction.emoji.to_string(), people(reaction.people))).collect();
    let text = (!present.gone).then(|| entry.content.body.get().to_owned());
    (entry.seq, text, present.edited.map(|_| 1), reactions)
}

fn all(page: &Page) -> Vec<Shown> {
    page.entries.iter().map(shown).collect()
}

fn texts(page: &Page) -> Vec<Option<String>> {
    all(page).into_iter().map(|(_, text, ..)| text).collect()
}

fn some(text: &str) -> Option<String> {
    Some(format!("{{\"text\":\"{text}\"}}"))
}

pub(crate) async fn amendments_are_entries_and_change_what_the_history_shows(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("amended");
    for key in ["one", "two", "three"] {
        say(a, &room, "u1", key).await?;
    }
    let edit = amendment(&room, "u1", "new", 1, Change::Edit);
    let edited = amend(b, &edit).await?;
    ensure!((edited.seq, edited.duplicate) == (4, false), "{edited:?}");
    ensure!(amend(a, &edit).await? == Appended { duplicate: true, ..edited }, "a key is written once");
    ensure!(amend(a, &amendment(&room, "u1", "gone", 2, Change::Delete)).await?.seq == 5);
    let reacted = amend(a, &amendment(&room, "u2", "r1", 3, react("👍"))).await?;
    ensure!(amend(b, &amendment(&room, "u3", "r2", 3, react("👍"))).await?.seq == 7);
    let again = amend(b, &amendment(&room, "u2", "r3", 3, react("👍"))).await?;
    ensure!((again.seq, again.duplicate) == (reacted.seq, true), "a person reacts once: {again:?}");
    for bus in [a, b] {
        let page = bus.history(&room, None, 50).await?;
        let empty = Some("{}".to_owned());
        let expected = [some("new"), None, some("three"), some("new"), empty.clone(), empty.clone(), empty];
        ensure!(texts(&page) == expected, "{:?}", texts(&page));
        ensure!(page.entries[0].content.verbatim.is_none(), "the sender's payload says the old text");
        ensure!(page.entries[0].from == page.entries[2].from && &*page.entries[0].key == "one");
        ensure!(all(&page)[0].2.is_some() && all(&page)[2].3["👍"].len() == 2);
        ensure!(page.head.seq == 7 && !page.more);
        let page = bus.history(&room, Some(4), 2).await?;
        ensure!((texts(&page), page.more) == (vec![None, some("three")], true), "{page:?}");
        let page = bus.history(&room, None, 4).await?;
        ensure!(texts(&page)[0] == some("new"), "an edit is shown where its message is not: {page:?}");
    }
    amend(a, &amendment(&room, "u2", "r4", 3, take_back("👍"))).await?;
    let page = b.history(&room, Some(4), 1).await?;
    ensure!(all(&page)[0].3["👍"] == [Person::of("u3")]);
    Ok(())
}

pub(crate) async fn amendments_of_what_is_not_there_or_of_another_are_refused(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("refused");
    say(a, &room, "u1", "one").await?;
    let edit = |author, seq| amendment(&room, author, &format!("{author}-{seq}"), seq, Change::Edit);
    ensure!(append(b, &edit("u2", 1)).await? == refused(Refused::Forbidden));
    for nothing in [2, 900] {
        ensure!(append(b, &edit("u1", nothing)).await? == refused(Refused::NotFound));
    }
    let mut moderated = edit("u2", 1);
    moderated.amends.as_mut().context("an amendment")?.by = Role::Moderator;
    ensure!(amend(b, &moderated).await?.seq == 2, "a moderator may, under the key of what was refused");
    ensure!(append(a, &edit("u1", 2)).await? == refused(Refused::NotFound), "an amendment is no message");
    amend(a, &amendment(&room, "u1", "gone", 1, Change::Delete)).await?;
    for change in [Change::Edit, Change::Delete, react("👍")] {
        let late = amendment(&room, "u1", "late", 1, change);
        ensure!(append(b, &late).await? == refused(Refused::NotFound), "{late:?}");
    }
    let nowhere = amendment(&super::room("nobody was here"), "u1", "k", 1, Change::Delete);
    ensure!(append(a, &nowhere).await? == refused(Refused::NotFound));
    // What is refused does not hold up the rest of its group.
    let group = [edit("u2", 1), post(&room, "u1", "next", "x"), edit("u1", 7)];
    let answers = a.append(Partition::of(&room), &group).await?;
    ensure!(answers[1].as_ref().is_ok_and(|appended| appended.seq == 4) && answers[2] == refused(Refused::NotFound));
    Ok(())
}

pub(crate) async fn a_message_bears_so_many_emoji(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("emoji");
    say(a, &room, "u1", "one").await?;
    let emoji: Vec<_> = (0..=MOST_EMOJI as u32).filter_map(|n| char::from_u32(0x1f600 + n)).collect();
    let (last, most) = emoji.split_last().context("emoji")?;
    let reaction =
        |author, emoji: &char| amendment(&room, author, &format!("{author}{emoji}"), 1, react(&emoji.to_string()));
    let group: Vec<_> = most.iter().map(|emoji| reaction("u2", emoji)).collect();
    ensure!(b.append(Partition::of(&room), &group).await?.iter().all(Result::is_ok));
    ensure!(append(a, &reaction("u3", last)).await? == refused(Refused::Full));
    ensure!(append(a, &reaction("u3", &most[0])).await?.is_ok(), "one that is there already");
    amend(a, &amendment(&room, "u2", "back", 1, take_back(&most[1].to_string()))).await?;
    ensure!(append(b, &reaction("u3", last)).await?.is_ok(), "there is room again");
    Ok(())
}

/// One random post into a room of `head` entries.
fn any_post(random: &mut StdRng, room: &RoomName, head: u64, n: usize) -> Post {
    let author = *["u1", "u2", "u3"].choose(random).unwrap_or(&"u1");
    let emoji = *["👍", "❤", "🎉"].choose(random).unwrap_or(&"👍");
    let key = format!("k{}", if random.random_ratio(1, 12) { n / 2 } else { n });
    let change = match random.random_range(0..9) {
        0 | 1 => Change::Edit,
        2 => Change::Delete,
        3 | 4 => react(emoji),
        5 => take_back(emoji),
        _ => return post(room, author, &key, &format!("said {n}")),
    };
    let mut post = amendment(room, author, &key, random.random_range(0..=head + 1).max(1), change);
    if let Some(amendment) = post.amends.as_mut().filter(|_| random.random_ratio(1, 4)) {
        amendment.by = Role::Moderator;
    }
    post
}

/// Plays the same random posts to both; fails unless both answer and show the same.
async fn decides_as_the_memory_does(redis: &Gateway, seed: u64) -> Result<()> {
    let memory: Gateway = Arc::new(MemoryBus::new(HISTORY));
    let mut random = StdRng::seed_from_u64(seed);
    let room = room(&format!("alike-{seed}"));
    let partition = Partition::of(&room);
    let mut head = 0;
    for n in (0..400).step_by(5) {
        let count = random.random_range(1..=5);
        let group: Vec<_> = (n..n + count).map(|n| any_post(&mut random, &room, head, n)).collect();
        // Within a group nobody can know the seqs that it will get.
        let known = |post: &Post| post.amends.as_ref().is_none_or(|amends| amends.seq <= head || amends.seq > head + 5);
        let group: Vec<_> = group.into_iter().filter(known).collect();
        let (ours, theirs) = (memory.append(partition, &group).await?, redis.append(partition, &group).await?);
        for ((post, ours), theirs) in group.iter().zip(&ours).zip(&theirs) {
            let seq =
                |fate: &Result<Appended, AppendError>| fate.clone().map(|appended| (appended.seq, appended.duplicate));
            ensure!(seq(ours) == seq(theirs), "seed {seed}: {ours:?}, {theirs:?} for {post:?}");
        }
        head = memory.head(&room).await?.seq;
    }
    for before in std::iter::once(None).chain((2..=head + 1).step_by(7).map(Some)) {
        for limit in [1, 10, 100] {
            let (ours, theirs) =
                (memory.history(&room, before, limit).await?, redis.history(&room, before, limit).await?);
            ensure!(ours.more == theirs.more, "seed {seed}: below {before:?}");
            for (ours, theirs) in ours.entries.iter().zip(&theirs.entries) {
                ensure!(shown(ours) == shown(theirs), "seed {seed}: {:?}, {:?}", shown(ours), shown(theirs));
            }
            ensure!(ours.entries.len() == theirs.entries.len(), "seed {seed}: below {before:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_decides_on_amendments_as_the_memory_does() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    for seed in 0..12 {
        decides_as_the_memory_does(&bus, seed).await?;
    }
    Ok(())
}

/// Whether any key but the streams that entries are carried in holds `text`.
fn kept(redis: &RedisNode, text: &str) -> Result<Vec<String>> {
    let Reply::List(keys) = redis.call(&["KEYS", "*"])? else { return Ok(Vec::new()) };
    let mut holding = Vec::new();
    for key in keys.iter().map(Reply::text).filter(|key| !key.ends_with(":log")) {
        let all = match redis.call(&["TYPE", key])?.text() {
            "stream" => redis.call(&["XRANGE", key, "-", "+"])?,
            "zset" => redis.call(&["ZRANGE", key, "0", "-1"])?,
            "hash" => redis.call(&["HGETALL", key])?,
            _ => continue,
        };
        if format!("{all:?}").contains(text) {
            holding.push(key.to_owned());
        }
    }
    Ok(holding)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_or_edited_over_is_gone_from_the_history() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("gone");
    say(&bus, &room, "u1", "first secret").await?;
    say(&bus, &room, "u1", "stays").await?;
    ensure!(!kept(&redis, "first secret")?.is_empty());
    amend(&bus, &amendment(&room, "u1", "second secret", 1, Change::Edit)).await?;
    ensure!(kept(&redis, "first secret\\\"")?.is_empty(), "{:?}", kept(&redis, "first secret\\\"")?);
    amend(&bus, &amendment(&room, "u1", "third secret", 1, Change::Edit)).await?;
    ensure!(kept(&redis, "second secret\\\"")?.is_empty());
    ensure!(!kept(&redis, "third secret\\\"")?.is_empty());
    amend(&bus, &amendment(&room, "u1", "deleted", 1, Change::Delete)).await?;
    ensure!(kept(&redis, "third secret\\\"")?.is_empty());
    ensure!(!kept(&redis, "stays")?.is_empty());
    let page = bus.history(&room, None, 50).await?;
    ensure!(texts(&page) == [None, some("stays"), None, None, Some("{}".to_owned())], "{:?}", texts(&page));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_messages_have_become_goes_with_their_history() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let room = room("trimmed");
    let mut seq = 0;
    for n in 0..900 {
        seq = say(&bus, &room, "u1", &format!("m{n}")).await?.seq;
        let change = if n % 3 == 0 { Change::Edit } else { react("👍") };
        seq = amend(&bus, &amendment(&room, "u1", &format!("a{n}"), seq, change)).await?.seq;
    }
    ensure!(seq == 1800);
    let key = format!("{}*:amended:trimmed", "ns/chat");
    let Reply::List(keys) = redis.call(&["KEYS", &key])? else { anyhow::bail!("no list") };
    let key = keys.first().context("nothing is kept")?.text();
    let kept = redis.call(&["ZCARD", key])?;
    ensure!(matches!(kept, Reply::Number(150..600)), "{kept:?} of 900 changes");
    ensure!(matches!(redis.call(&["PTTL", key])?, Reply::Number(1..)), "it expires");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amendments_wait_while_an_older_gateway_has_members() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let (room, elsewhere) = (room("mixed"), room("another room"));
    say(&bus, &room, "u1", "one").await?;
    bus.count(Partition::of(&elsewhere), &[(elsewhere.clone(), 1)]).await?;
    ensure!(append(&bus, &amendment(&room, "u1", "new", 1, Change::Edit)).await?.is_ok());
    // As the last release announces itself: by a name alone.
    let Reply::List(lists) = redis.call(&["KEYS", "*:gateways"])? else { anyhow::bail!("no list") };
    let list = lists.first().context("no gateway is listed")?.text();
    redis.call(&["ZADD", list, "9999999999999", "old"])?;
    redis.call(&["HSET", &list.replace(":gateways", ":counts:old"), "lobby", "1"])?;
    let other = connect(vec![redis.address()], "b").await?;
    let edit = amendment(&room, "u1", "newer", 1, Change::Edit);
    let group = [edit.clone(), post(&room, "u1", "meanwhile", "x")];
    let answers = other.append(Partition::of(&room), &group).await?;
    ensure!(answers[0] == Err(AppendError::OlderGateway) && answers[1].is_ok(), "{answers:?}");
    redis.call(&["DEL", &list.replace(":gateways", ":counts:old")])?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    ensure!(append(&other, &edit).await?.is_ok(), "it is listed still, but its lease has ended");
    Ok(())
}

/// A room in which everything has happened.
async fn eventful(bus: &Gateway, room: &RoomName) -> Result<()> {
    for key in ["one", "two", "three", "four"] {
        say(bus, room, "u1", key).await?;
    }
    let steps = [
        (1, "first", Change::Edit),
        (2, "deleted", Change::Delete),
        (3, "r1", react("👍")),
        (1, "second", Change::Edit),
        (3, "r2", react("❤")),
        (3, "r3", take_back("👍")),
        (4, "r4", react("👍")),
        (4, "r5", Change::Delete),
    ];
    for (seq, key, change) in steps {
        amend(bus, &amendment(room, "u1", key, seq, change)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_data_comes_back_as_it_was_changed() -> Result<()> {
    let redis = RedisNode::start()?;
    let bus = connect(vec![redis.address()], "a").await?;
    let (room, short) = (room("lost"), room("cut short"));
    eventful(&bus, &room).await?;
    eventful(&bus, &short).await?;
    let (before, other) = (bus.history(&room, None, 50).await?, bus.history(&short, None, 50).await?);
    redis.call(&["FLUSHALL"])?;
    let held = HeldRoom { room: room.clone(), head: before.head.seq, entries: before.entries.clone() };
    bus.restore(Partition::of(&room), &[held]).await?;
    let after = bus.history(&room, None, 50).await?;
    ensure!(all(&after) == all(&before), "{:?}", all(&after));
    ensure!(after.head.seq == before.head.seq + RESTORE_SKIP);
    // Of the other room the first messages are back already, as they were before they changed.
    let first: Vec<_> = ["one", "two", "three", "four"].iter().map(|key| post(&short, "u1", key, key)).collect();
    bus.append(Partition::of(&short), &first).await?;
    let known = bus.history(&short, None, 50).await?;
    let entries = other.entries.iter().enumerate().map(|(at, entry)| {
        let epoch = known.entries.get(at).map_or(entry.epoch, |known| known.epoch).max(entry.epoch);
        Arc::new(Entry { epoch, ..entry.as_ref().clone() })
    });
    let held = HeldRoom { room: short.clone(), head: other.head.seq, entries: entries.collect() };
    bus.restore(Partition::of(&short), &[held]).await?;
    let after = bus.history(&short, None, 50).await?;
    ensure!(all(&after) == all(&other), "{:?}", all(&after));
    ensure!(amend(&bus, &amendment(&short, "u1", "on", 3, Change::Edit)).await?.seq == other.head.seq + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_messages_have_become_outlives_a_failover() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let bus = connect(cluster.seeds(), "a").await?;
    let room = room("failover");
    eventful(&bus, &room).await?;
    let before = bus.history(&room, None, 50).await?;
    let primary = cluster.primary(parlor_gateway::redis::slot(Partition::of(&room)).number())?;
    cluster.nodes[primary].kill()?;
    let mut posted = None;
    for _ in 0..40 {
        let edit = amendment(&room, "u1", "after the failover", 3, Change::Edit);
        if let Ok(Ok(appended)) = append(&bus, &edit).await {
            posted = Some(appended);
            break;
        }
    }
    let edited = posted.context("no amendment was taken after the failover")?;
    ensure!(edited.seq == before.head.seq + 1, "{edited:?}");
    let after = connect(vec![cluster.nodes[(primary + 1) % 3].address()], "b").await?.history(&room, None, 50).await?;
    let (mut expected, mut found) = (all(&before), all(&after));
    ensure!(found.pop().is_some_and(|(seq, text, ..)| (seq, text) == (edited.seq, some("after the failover"))));
    (expected[2].1, expected[2].2) = (some("after the failover"), Some(1));
    ensure!(found == expected, "{found:?}");
    Ok(())
}
