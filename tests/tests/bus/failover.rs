//! The bus while its Redis Cluster loses, freezes and changes servers: nothing that was acknowledged is lost, doubled
//! or out of order, and what readers were shown stays true.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    bus::{AppendError, Appended, Health, HeldRoom, Offset, RESTORE_SKIP, Record},
    rooms::{Epoch, Partition, Post, RoomName},
};
use parlor_tests::{
    bus::connect,
    redis::{RedisCluster, RedisNode, eventually},
};
use tokio::{task::JoinHandle, time::sleep};

use super::{Gateway, post};

/// A room whose partition lies in the first shard's third of the slots, which the tests hit.
pub(crate) fn hit_room(n: usize) -> RoomName {
    let first_third = |room: &RoomName| Partition::of(room).index() < 21;
    let names = (0..).map(|n: usize| RoomName::new(&format!("room-{n}")).expect("a valid name"));
    names.filter(first_third).nth(n).expect("names do not end")
}

/// One writer and one reader of a room, and what they received.
pub(crate) struct Witness {
    room: RoomName,
    writer: JoinHandle<Written>,
    reader: JoinHandle<Result<Vec<(Instant, Record)>>>,
    done: Arc<AtomicBool>,
    head: Arc<AtomicU64>,
}

/// What a writer received.
#[derive(Default)]
struct Written {
    /// By key: when it was posted first, and where it went.
    acknowledged: BTreeMap<String, (Instant, Appended)>,
    /// Groups that had to be sent again, because the bus gave them up.
    refused: usize,
    /// The longest wait for an acknowledgement.
    longest: Duration,
}

/// What witnesses saw, of several the worst.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// New generations, at least.
    pub(crate) generations: usize,
    pub(crate) refused: usize,
    /// The longest wait for an acknowledgement.
    acknowledged: Duration,
    /// The longest way of a message from its writer to its reader.
    shown: Duration,
}

/// Posts groups of three under keys of their own, the same group again until it is acknowledged.
async fn write(bus: Gateway, room: RoomName, done: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    for group in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let posts: Vec<_> = (0..3).map(|n| post(&room, "u1", &format!("{group}-{n}"), "x")).collect();
        let start = Instant::now();
        let answers = loop {
            if let Ok(answers) = bus.append(Partition::of(&room), &posts).await
                && let Ok(answers) = answers.into_iter().collect::<Result<Vec<_>, _>>()
            {
                break answers;
            }
            written.refused += 1;
        };
        written.longest = written.longest.max(start.elapsed());
        let told = posts.iter().zip(answers).map(|(post, answer)| (post.key.to_string(), (start, answer)));
        written.acknowledged.extend(told);
        sleep(Duration::from_millis(2)).await;
    }
    written
}

async fn read(
    bus: Gateway,
    room: RoomName,
    from: Offset,
    done: Arc<AtomicBool>,
    head: Arc<AtomicU64>,
) -> Result<Vec<(Instant, Record)>> {
    let (mut at, mut records, mut seen) = (from, Vec::new(), 0);
    let mut finished: Option<Instant> = None;
    loop {
        match bus.tail(Partition::of(&room), at, 1000).await {
            Ok(batch) => {
                at = batch.next;
                let now = Instant::now();
                records.extend(batch.records.into_iter().map(|record| (now, record)));
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
        if let Some((_, Record::Entry(newest))) =
            records.iter().rfind(|(_, record)| matches!(record, Record::Entry(r) if r.room == room))
        {
            seen = newest.entry.seq;
        }
        if done.load(Ordering::Relaxed) && head.load(Ordering::Relaxed) > 0 {
            let since = *finished.get_or_insert_with(Instant::now);
            if seen >= head.load(Ordering::Relaxed) {
                return Ok(records);
            }
            ensure!(
                since.elapsed() < Duration::from_secs(20),
                "{room}: read up to {seen} of {}",
                head.load(Ordering::Relaxed)
            );
        }
    }
}

impl Witness {
    pub(crate) async fn start(writer: &Gateway, reader: &Gateway, room: RoomName) -> Result<Self> {
        let from = reader.end(Partition::of(&room)).await?;
        let (done, head) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        Ok(Self {
            writer: tokio::spawn(write(Arc::clone(writer), room.clone(), Arc::clone(&done))),
            reader: tokio::spawn(read(Arc::clone(reader), room.clone(), from, Arc::clone(&done), Arc::clone(&head))),
            room,
            done,
            head,
        })
    }

    /// Stops, and checks that what was read is what was acknowledged.
    async fn verdict(self, bus: &Gateway) -> Result<Seen> {
        self.done.store(true, Ordering::Relaxed);
        let Written { acknowledged, refused, longest } = self.writer.await?;
        let newest = acknowledged.values().map(|(_, answer)| answer.seq).max().context("nothing was acknowledged")?;
        self.head.store(newest, Ordering::Relaxed);
        let records = self.reader.await??;
        let (mut epochs, mut seqs, mut next) = (Vec::<Epoch>::new(), HashMap::new(), 1);
        for (at, record) in &records {
            match record {
                Record::Boundary { epoch, lost } => {
                    ensure!(!lost, "{}: something that was shown is gone", self.room);
                    epochs.push(*epoch);
                }
                Record::Trimmed => anyhow::bail!("{}: a hole in the stream", self.room),
                Record::Entry(routed) if routed.room == self.room => {
                    ensure!(routed.entry.seq == next, "{}: {} instead of {next}", self.room, routed.entry.seq);
                    next += 1;
                    let place = (routed.entry.seq, routed.entry.epoch);
                    let first = seqs.insert(routed.entry.key.to_string(), (*at, place));
                    ensure!(first.is_none(), "{}: {} was written twice", self.room, routed.entry.key);
                }
                Record::Entry(_) => {}
            }
        }
        let mut shown = Duration::ZERO;
        for (key, (posted, answer)) in &acknowledged {
            let (at, read) =
                seqs.get(key).with_context(|| format!("{}: {key} was acknowledged and is lost", self.room))?;
            shown = shown.max(at.saturating_duration_since(*posted));
            ensure!(*read == (answer.seq, answer.epoch), "{}: {key} is {read:?}, was {answer:?}", self.room);
        }
        let page = bus.history(&self.room, None, 50).await?;
        ensure!(page.head.seq >= newest && page.entries.len() == 50);
        ensure!(page.entries.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
        ensure!(epochs.is_sorted(), "{}: {epochs:?}", self.room);
        Ok(Seen { generations: epochs.len(), refused, acknowledged: longest, shown })
    }
}

async fn witnesses(writer: &Gateway, reader: &Gateway) -> Result<Vec<Witness>> {
    let mut witnesses = Vec::new();
    for n in 0..4 {
        witnesses.push(Witness::start(writer, reader, hit_room(n)).await?);
    }
    sleep(Duration::from_millis(500)).await;
    Ok(witnesses)
}

pub(crate) async fn verdicts(witnesses: Vec<Witness>, bus: &Gateway) -> Result<Seen> {
    let mut all = Seen { generations: usize::MAX, ..Seen::default() };
    for witness in witnesses {
        let Seen { generations, refused, acknowledged, shown } = witness.verdict(bus).await?;
        all.generations = all.generations.min(generations);
        all.refused += refused;
        all.acknowledged = all.acknowledged.max(acknowledged);
        all.shown = all.shown.max(shown);
    }
    println!("{all:?}");
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_primary_is_killed() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
    let witnesses = witnesses(&a, &b).await?;
    let killed = cluster.primary(0)?;
    cluster.nodes[killed].kill()?;
    sleep(Duration::from_secs(8)).await;
    // Back without its data: it copies from the server that took over.
    cluster.nodes[killed].restart()?;
    sleep(Duration::from_secs(3)).await;
    let seen = verdicts(witnesses, &a).await?;
    ensure!(seen.generations >= 1 && seen.acknowledged < Duration::from_secs(8), "{seen:?}");
    eventually("that both copies are there", || a.health() == Health::Replicated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_primary_takes_when_it_thaws_was_never_acknowledged() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
    let witnesses = witnesses(&a, &b).await?;
    let frozen = cluster.primary(0)?;
    cluster.nodes[frozen].pause()?;
    sleep(Duration::from_secs(8)).await;
    cluster.nodes[frozen].resume()?;
    sleep(Duration::from_secs(3)).await;
    let seen = verdicts(witnesses, &b).await?;
    ensure!(seen.generations >= 1, "the failover opened no generation");
    eventually("that both copies are there", || a.health() == Health::Replicated)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_loses_and_refuses_nothing() -> Result<()> {
    let cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
    let witnesses = witnesses(&a, &b).await?;
    for _ in 0..2 {
        cluster.failover(cluster.replica(cluster.primary(0)?)?)?;
        sleep(Duration::from_secs(2)).await;
        cluster.healthy()?;
    }
    let seen = verdicts(witnesses, &a).await?;
    ensure!(seen.generations >= 2 && seen.refused == 0, "{seen:?} of two failovers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_without_its_replica_continues_and_reports_it() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
    let witnesses = witnesses(&a, &b).await?;
    let killed = cluster.replica(cluster.primary(0)?)?;
    cluster.nodes[killed].kill()?;
    eventually("that one copy is reported", || a.health() == Health::Unreplicated)?;
    let durable = Post { durable: true, ..post(&hit_room(0), "u1", "durable", "x") };
    let answers = a.append(Partition::of(&durable.room), std::slice::from_ref(&durable)).await?;
    ensure!(answers == [Err(AppendError::NotDurable)], "{answers:?}");
    cluster.nodes[killed].restart()?;
    cluster.healthy()?;
    eventually("that both copies are there", || a.health() == Health::Replicated)?;
    let answers = a.append(Partition::of(&durable.room), std::slice::from_ref(&durable)).await?;
    ensure!(matches!(answers[..], [Ok(_)]), "{answers:?}");
    sleep(Duration::from_secs(2)).await;
    let seen = verdicts(witnesses, &b).await?;
    ensure!(seen.generations == 0 && seen.acknowledged < Duration::from_secs(8), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_receive_a_gap_when_all_copies_are_gone() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let bus = connect(cluster.seeds(), "a").await?;
    let room = hit_room(0);
    let partition = Partition::of(&room);
    let first = bus.append(partition, &[post(&room, "u1", "1", "x"), post(&room, "u1", "2", "x")]).await?.remove(0)?;
    let at = bus.end(partition).await?;
    let primary = cluster.primary(0)?;
    let replica = cluster.replica(primary)?;
    cluster.nodes[replica].kill()?;
    cluster.nodes[primary].restart()?;
    cluster.nodes[replica].restart()?;
    cluster.healthy()?;
    let again = loop {
        if let Ok(mut answers) = bus.append(partition, &[post(&room, "u1", "3", "x")]).await {
            break answers.remove(0)?;
        }
    };
    ensure!(again.seq == 1 && again.epoch > first.epoch, "{again:?}");
    let boundary = loop {
        match bus.tail(partition, at, 10).await {
            Ok(batch) if !batch.records.is_empty() => break batch.records[0].clone(),
            _ => sleep(Duration::from_millis(50)).await,
        }
    };
    ensure!(matches!(boundary, Record::Boundary { lost: true, .. }), "{boundary:?}");
    ensure!(bus.head(&room).await?.seq == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_rooms_gives_them_back_before_it_posts_into_an_emptied_cluster() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 1)?;
    let (a, b) = (connect(cluster.seeds(), "a").await?, connect(cluster.seeds(), "b").await?);
    let room = hit_room(0);
    let partition = Partition::of(&room);
    let posts: Vec<_> = (1..=3).map(|n| post(&room, "u1", &n.to_string(), "x")).collect();
    a.append(partition, &posts).await?;
    let seeds = [HeldRoom { room: room.clone(), head: 3, entries: b.history(&room, None, 10).await?.entries }];
    for bus in [&a, &b] {
        bus.watch(partition, true).await;
    }
    cluster.nodes.iter_mut().try_for_each(RedisNode::kill)?;
    cluster.nodes.iter_mut().try_for_each(RedisNode::restart)?;
    cluster.healthy()?;
    cluster.replicated()?;
    let append = async |bus: &Gateway, key: &str| loop {
        match bus.append(partition, &[post(&room, "u1", key, "x")]).await {
            Err(AppendError::Unavailable(_)) => {}
            answers => break answers,
        }
    };
    for bus in [&a, &b] {
        ensure!(append(bus, "4").await == Err(AppendError::Lost), "posted over what is held");
    }
    let given = async |bus: &Gateway| loop {
        if let Ok(epoch) = bus.restore(partition, &seeds).await {
            break epoch;
        }
    };
    let (epoch, same) = tokio::join!(given(&a), given(&b));
    ensure!(epoch == same, "{epoch:?} and {same:?}");
    let again = append(&b, "3").await?.remove(0)?;
    ensure!((again.seq, again.duplicate) == (3, true), "{again:?}");
    let next = append(&a, "4").await?.remove(0)?;
    ensure!((next.seq, next.epoch, next.duplicate) == (4 + RESTORE_SKIP, epoch, false), "{next:?}");
    let page = b.history(&room, None, 10).await?;
    ensure!(page.entries.iter().map(|entry| entry.seq).eq([1, 2, 3, next.seq]), "{page:?}");
    Ok(())
}

/// The replica at `nodes[index]` is the primary of the first slot.
fn took_over(cluster: &RedisCluster, index: usize) -> Result<()> {
    eventually("that the replica took over", || cluster.primary(0).is_ok_and(|primary| primary == index))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_replicas_nothing_acknowledged_is_lost_whichever_of_them_takes_over() -> Result<()> {
    let mut cluster = RedisCluster::start(3, 2)?;
    let bus = connect(cluster.seeds(), "a").await?;
    let room = hit_room(0);
    let partition = Partition::of(&room);
    bus.append(partition, &[post(&room, "u1", "before", "x")]).await?;
    let primary = cluster.primary(0)?;
    let (held_back, other) = (cluster.replica(primary)?, primary + 6);
    let other = if held_back == other { primary + 3 } else { other };
    cluster.nodes[held_back].pause()?;
    let acknowledged = {
        let (bus, room) = (Arc::clone(&bus), room.clone());
        tokio::spawn(async move { bus.append(partition, &[post(&room, "u1", "during", "x")]).await })
    };
    sleep(Duration::from_millis(800)).await;
    // The primary dies, and the replica that has everything is away: the one that was held back is elected.
    let early = acknowledged.is_finished();
    cluster.nodes[primary].kill()?;
    cluster.nodes[other].pause()?;
    cluster.nodes[held_back].resume()?;
    took_over(&cluster, held_back)?;
    cluster.nodes[other].resume()?;
    let answers = acknowledged.await?;
    let told = matches!(&answers, Ok(answers) if matches!(answers[..], [Ok(_)]));
    cluster.nodes[primary].restart()?;
    cluster.healthy()?;
    let kept = loop {
        if let Ok(page) = bus.history(&room, None, 10).await {
            break page.entries.iter().any(|entry| *entry.key == *"during");
        }
    };
    ensure!(kept || !told, "acknowledged (early: {early}) and lost: {answers:?}");
    ensure!(!early, "acknowledged before every replica that may be elected had it");
    Ok(())
}
