//! What every bus does: one suite, run over all of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use parlor_gateway::{
    bus::{AppendError, Appended, Batch, Head, Health, HeldRoom, Offset, RESTORE_SKIP, Record, memory::MemoryBus},
    rooms::{Entry, Epoch, Partition, Post, RoomName, Signal},
};
use parlor_tests::{
    bus::{HISTORY, connect},
    redis::{RedisCluster, RedisNode},
};
use tokio::time::{sleep, timeout};

use super::{Gateway, amendments, post, room, say};

/// Reads on from `from` until `enough`, over calls that bring nothing or fail.
async fn follow(
    bus: &Gateway,
    partition: Partition,
    mut from: Offset,
    limit: Duration,
    mut enough: impl FnMut(&[Record]) -> bool,
) -> Result<(Vec<Record>, Offset)> {
    let (start, mut records) = (Instant::now(), Vec::new());
    while !enough(&records) {
        if start.elapsed() > limit {
            bail!("{} records after {limit:?}", records.len());
        }
        match bus.tail(partition, from, 100).await {
            Ok(Batch { records: more, next }) => {
                records.extend(more);
                from = next;
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    Ok((records, from))
}

fn entries(records: &[Record]) -> impl Iterator<Item = (&RoomName, &Arc<Entry>)> {
    records.iter().filter_map(|record| match record {
        Record::Entry(routed) => Some((&routed.room, &routed.entry)),
        _ => None,
    })
}

/// Fails unless every room's seqs are 1, 2, 3, …
fn contiguous(records: &[Record]) -> Result<BTreeMap<RoomName, u64>> {
    let mut heads = BTreeMap::new();
    for (room, entry) in entries(records) {
        let head: &mut u64 = heads.entry(room.clone()).or_default();
        ensure!(entry.seq == *head + 1, "{room}: {} after {head}", entry.seq);
        *head = entry.seq;
    }
    Ok(heads)
}

async fn seqs_are_contiguous_while_two_gateways_post_to_many_rooms(a: &Gateway, b: &Gateway) -> Result<()> {
    let rooms: Vec<_> = (0..40).map(|n| room(&format!("many-{n}"))).collect();
    let mut by_partition: HashMap<_, Vec<_>> = HashMap::new();
    for room in &rooms {
        by_partition.entry(Partition::of(room)).or_default().push(room.clone());
    }
    let starts: HashMap<_, _> = try_join_all(by_partition.keys().map(async |p| anyhow::Ok((*p, a.end(*p).await?))))
        .await?
        .into_iter()
        .collect();
    let write = async |bus: &Gateway, author: &str, partition: Partition, rooms: &[RoomName]| {
        let mut answers = Vec::new();
        for group in 0..10 {
            let posts: Vec<_> = (0..5)
                .flat_map(|n| rooms.iter().map(move |room| (n, room)))
                .map(|(n, room)| post(room, author, &format!("{group}-{n}"), "hi"))
                .collect();
            for (post, answer) in posts.iter().zip(bus.append(partition, &posts).await?) {
                answers.push((post.room.clone(), author.to_owned(), post.key.clone(), answer?.seq));
            }
        }
        anyhow::Ok(answers)
    };
    let writers = by_partition
        .iter()
        .flat_map(|(partition, rooms)| [write(a, "a", *partition, rooms), write(b, "b", *partition, rooms)]);
    let answers: Vec<_> = try_join_all(writers).await?.into_iter().flatten().collect();
    for (partition, rooms) in &by_partition {
        let number = rooms.len() * 100;
        let mut orders = Vec::new();
        for bus in [a, b] {
            let whole = |records: &[Record]| entries(records).count() >= number;
            let (records, _) = follow(bus, *partition, starts[partition], Duration::from_secs(10), whole).await?;
            ensure!(contiguous(&records)?.values().all(|head| *head == 100));
            for (room, entry) in entries(&records) {
                let answered = (room.clone(), entry.from.id.to_string(), Arc::clone(&entry.key), entry.seq);
                ensure!(answers.contains(&answered), "{answered:?} was answered otherwise");
            }
            orders.push(entries(&records).map(|(room, entry)| (room.clone(), entry.seq)).collect::<Vec<_>>());
        }
        ensure!(orders[0] == orders[1], "two gateways read different orders");
    }
    Ok(())
}

async fn a_key_is_written_once_whichever_gateway_brings_it(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("dedupe");
    let first = say(a, &room, "u1", "k").await?;
    ensure!((first.seq, first.duplicate) == (1, false));
    let again = say(b, &room, "u1", "k").await?;
    ensure!(again == Appended { duplicate: true, ..first }, "{again:?}");
    ensure!(say(b, &room, "u2", "k").await?.seq == 2, "another person's key is another");
    let group = [post(&room, "u1", "twice", "x"), post(&room, "u1", "twice", "x"), post(&room, "u1", "k", "x")];
    let answers = a.append(Partition::of(&room), &group).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let seqs: Vec<_> = answers.iter().map(|answer| (answer.seq, answer.duplicate)).collect();
    ensure!(seqs == [(3, false), (3, true), (1, true)], "{seqs:?}");
    ensure!(b.head(&room).await?.seq == 3);
    Ok(())
}

async fn a_reader_resumes_where_it_stood_and_gets_every_byte(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("resume");
    let partition = Partition::of(&room);
    let start = b.end(partition).await?;
    let first = say(a, &room, "u1", "1").await?;
    let (records, middle) = follow(b, partition, start, Duration::from_secs(5), |r| entries(r).count() == 1).await?;
    let (read, entry) = entries(&records).next().context("no entry")?;
    let sent = post(&room, "u1", "1", "1");
    ensure!((read, entry.seq, entry.epoch, entry.time) == (&room, 1, first.epoch, first.time));
    ensure!(entry.content.body.get() == sent.content.body.get() && entry.content.verbatim == sent.content.verbatim);
    ensure!((&entry.from, entry.origin, entry.protocol) == (&sent.from, sent.origin, sent.protocol));
    for key in ["2", "3"] {
        say(a, &room, "u1", key).await?;
    }
    let (records, _) = follow(b, partition, middle, Duration::from_secs(5), |r| entries(r).count() == 2).await?;
    ensure!(entries(&records).map(|(_, entry)| entry.seq).eq([2, 3]));
    Ok(())
}

async fn an_inbox_is_read_like_any_room(a: &Gateway, b: &Gateway) -> Result<()> {
    let inbox = RoomName::private("pairs", 7);
    let partition = Partition::of(&inbox);
    let start = b.end(partition).await?;
    b.watch(partition, true).await;
    say(a, &inbox, "u1", "1").await?;
    let (records, _) = follow(b, partition, start, Duration::from_secs(5), |r| entries(r).count() == 1).await?;
    ensure!(entries(&records).all(|(room, _)| *room == inbox));
    ensure!(b.history(&inbox, None, 10).await?.entries.len() == 1);
    a.signal(&inbox, &Signal::Count).await;
    let signals = timeout(Duration::from_secs(3), b.signals()).await?;
    b.watch(partition, false).await;
    ensure!(signals == [(inbox, Signal::Count)], "{signals:?}");
    Ok(())
}

async fn a_waiting_reader_wakes_at_once(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("wakes");
    let partition = Partition::of(&room);
    let start = b.end(partition).await?;
    let reader = {
        let b = Arc::clone(b);
        tokio::spawn(async move { b.tail(partition, start, 10).await.map(|batch| (batch, Instant::now())) })
    };
    sleep(Duration::from_millis(200)).await;
    say(a, &room, "u1", "1").await?;
    let acknowledged = Instant::now();
    let (batch, read) = reader.await??;
    ensure!(batch.records.len() == 1);
    ensure!(read < acknowledged + Duration::from_millis(200), "{:?} late", read - acknowledged);
    Ok(())
}

async fn history_pages_backwards_to_its_bound(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("history");
    for group in 0..10 {
        let posts: Vec<_> = (0..100).map(|n| post(&room, "u1", &format!("{group}-{n}"), "x")).collect();
        a.append(Partition::of(&room), &posts).await?;
    }
    let (mut before, mut seqs) = (None, Vec::new());
    loop {
        let page = b.history(&room, before, 70).await?;
        ensure!(page.head.seq == 1000);
        let read: Vec<_> = page.entries.iter().map(|entry| entry.seq).collect();
        ensure!(read.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{read:?}");
        ensure!(read.last().copied() == Some(before.unwrap_or(1001) - 1), "{before:?}: {read:?}");
        before = read.first().copied();
        seqs.extend(read);
        if !page.more {
            break;
        }
    }
    let oldest = before.context("no history")?;
    // At least what was asked for; at most a trim's distance more.
    ensure!((1000 - 299 - 128..=1000 - 299).contains(&oldest), "the oldest is {oldest}");
    ensure!(b.history(&room, Some(oldest), 10).await?.entries.is_empty());
    let unknown = b.history(&unused_room(), None, 10).await?;
    ensure!((unknown.entries.len(), unknown.more, unknown.head.seq) == (0, false, 0));
    Ok(())
}

fn unused_room() -> RoomName {
    room("nobody was ever here")
}

async fn a_reader_that_fell_out_of_the_stream_receives_a_gap(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("trimmed");
    let partition = Partition::of(&room);
    let start = b.end(partition).await?;
    say(a, &room, "u1", "first").await?;
    let big = "x".repeat(1 << 20);
    for n in 0..12 {
        a.append(partition, &[post(&room, "u1", &n.to_string(), &big)]).await?;
    }
    let told = |records: &[Record]| records.iter().any(|record| matches!(record, Record::Trimmed));
    let (records, next) = follow(b, partition, start, Duration::from_secs(10), told).await?;
    ensure!(matches!(records[0], Record::Trimmed), "the hole comes first");
    let end = a.end(partition).await?;
    let (_, next) = if next < end {
        follow(b, partition, next, Duration::from_secs(10), |r| r.len() as u64 == end.offset - next.offset).await?
    } else {
        (Vec::new(), next)
    };
    ensure!(next == end && b.head(&room).await?.seq == 13);
    Ok(())
}

async fn signals_reach_every_gateway_that_watches(a: &Gateway, b: &Gateway) -> Result<()> {
    let (heard, other) = (room("signals"), room("signals elsewhere"));
    ensure!(Partition::of(&heard) != Partition::of(&other));
    for bus in [a, b] {
        bus.watch(Partition::of(&heard), true).await;
    }
    let typing = Signal::Typing { from: post(&heard, "u1", "", "").from };
    b.signal(&other, &Signal::Count).await;
    b.signal(&heard, &typing).await;
    let gateways: Vec<_> = if Arc::ptr_eq(a, b) { vec![a] } else { vec![a, b] };
    for bus in gateways {
        let signals = timeout(Duration::from_secs(3), bus.signals()).await?;
        ensure!(signals == [(heard.clone(), typing.clone())], "{signals:?}");
    }
    Ok(())
}

async fn members_are_counted(a: &Gateway, b: &Gateway) -> Result<()> {
    let room = room("members");
    let partition = Partition::of(&room);
    ensure!(a.members(&room).await? == 0);
    a.count(partition, &[(room.clone(), 2)]).await?;
    if !Arc::ptr_eq(a, b) {
        b.count(partition, &[(room.clone(), 3)]).await?;
        ensure!(a.members(&room).await? == 5 && b.members(&room).await? == 5);
        b.count(partition, &[(room.clone(), 0)]).await?;
    }
    ensure!(b.members(&room).await? == 2);
    a.count(partition, &[(room.clone(), 0)]).await?;
    ensure!(b.members(&room).await? == 0);
    Ok(())
}

/// What a gateway holds of a room: seqs 5 to `head`, of an older life.
fn held(room: &RoomName, author: &str, head: u64) -> HeldRoom {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let entry = |seq: u64| {
        let Post { from, protocol, key, content, amends, origin, .. } = post(room, author, &format!("k{seq}"), "x");
        Arc::new(Entry { seq, epoch: Epoch(1), time, from, protocol, key, content, origin, amends, present: None })
    };
    HeldRoom { room: room.clone(), head, entries: (5..=head).map(entry).collect() }
}

async fn a_room_that_is_not_known_takes_its_past_back_from_the_first(a: &Gateway, b: &Gateway) -> Result<()> {
    let (room, living) = (room("given back"), room("living"));
    let partition = Partition::of(&room);
    let (one, other) = ([held(&room, "one", 8)], [held(&room, "other", 9)]);
    let (epoch, same) = tokio::try_join!(a.restore(partition, &one), b.restore(partition, &other))?;
    ensure!(epoch == same && epoch > Epoch(1));
    let page = b.history(&room, None, 50).await?;
    let winner = if page.entries.len() == 4 { &one[0] } else { &other[0] };
    let shown = |entries: &[Arc<Entry>]| -> Vec<_> {
        entries.iter().map(|e| (e.seq, e.epoch, e.time, e.from.id.to_string(), e.content.verbatim.clone())).collect()
    };
    ensure!(shown(&page.entries) == shown(&winner.entries), "{page:?}");
    ensure!(page.head == Head { epoch, seq: winner.head + RESTORE_SKIP } && !page.more, "{page:?}");
    ensure!(a.head(&room).await? == page.head);
    let author = winner.entries[0].from.id.to_string();
    let again = say(a, &room, &author, "k8").await?;
    ensure!((again.seq, again.epoch, again.duplicate) == (8, Epoch(1), true), "{again:?}");
    let next = say(b, &room, &author, "new").await?;
    ensure!((next.seq, next.epoch, next.duplicate) == (winner.head + RESTORE_SKIP + 1, epoch, false), "{next:?}");
    let page = a.history(&room, Some(next.seq + 1), 2).await?;
    let seqs: Vec<_> = page.entries.iter().map(|entry| entry.seq).collect();
    ensure!((seqs, page.more) == (vec![winner.head, next.seq], true));
    // What is known stays as it is.
    let first = say(a, &living, "u1", "1").await?;
    b.restore(Partition::of(&living), &[held(&living, "u1", 7)]).await?;
    ensure!(b.head(&living).await?.seq == first.seq && b.history(&living, None, 9).await?.entries.len() == 1);
    Ok(())
}

async fn behaves_as_a_bus(a: Gateway, b: Gateway) -> Result<()> {
    let (a, b) = (&a, &b);
    seqs_are_contiguous_while_two_gateways_post_to_many_rooms(a, b).await.context("contiguous seqs")?;
    a_key_is_written_once_whichever_gateway_brings_it(a, b).await.context("dedupe")?;
    a_reader_resumes_where_it_stood_and_gets_every_byte(a, b).await.context("resume")?;
    an_inbox_is_read_like_any_room(a, b).await.context("inbox")?;
    a_waiting_reader_wakes_at_once(a, b).await.context("wakes")?;
    history_pages_backwards_to_its_bound(a, b).await.context("history")?;
    a_reader_that_fell_out_of_the_stream_receives_a_gap(a, b).await.context("trimmed")?;
    signals_reach_every_gateway_that_watches(a, b).await.context("signals")?;
    members_are_counted(a, b).await.context("members")?;
    a_room_that_is_not_known_takes_its_past_back_from_the_first(a, b).await.context("given back")?;
    amendments::amendments_are_entries_and_change_what_the_history_shows(a, b).await.context("amendments")?;
    amendments::amendments_of_what_is_not_there_or_of_another_are_refused(a, b).await.context("refusals")?;
    amendments::a_message_bears_so_many_emoji(a, b).await.context("emoji")
}

#[tokio::test]
async fn memory_behaves_as_a_bus() -> Result<()> {
    let bus: Gateway = Arc::new(MemoryBus::new(HISTORY));
    behaves_as_a_bus(Arc::clone(&bus), bus).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_redis_behaves_as_a_bus() -> Result<()> {
    let redis = RedisNode::start()?;
    let (a, b) = (connect(vec![redis.address()], "a").await?, connect(vec![redis.address()], "b").await?);
    ensure!(a.health() == Health::Unreplicated);
    let durable = Post { durable: true, ..post(&room("durable"), "u1", "k", "x") };
    let answers = a.append(Partition::of(&durable.room), std::slice::from_ref(&durable)).await?;
    ensure!(answers == [Err(AppendError::NotDurable)]);
    behaves_as_a_bus(a, b).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behaves_as_a_bus() -> Result<()> {
    let cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(vec![cluster.nodes[0].address()], "b").await?);
    ensure!(a.health() == Health::Replicated, "{:?}", a.health());
    behaves_as_a_bus(a, b).await
}
