//! The auditor is worth something only if it catches broken code: the gateway is broken on purpose, in one way at a
//! time, under faults that the same gateway survives unbroken.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use parlor_gateway::{
    redis::slot,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    audit::{self, Plan, Report, verdict::Kind},
    gateway::{Gateway, Setup},
    link::{Link, State},
    mutants::mutate,
    redis::RedisNode,
};
use tokio::{task::block_in_place, time::sleep};

use super::{ALONE, lost::lose_both_copies, world::World};

/// Fast enough that something is always on its way, below the limit of a member.
fn plan(native: Vec<String>, rooms: Vec<String>, seconds: u64) -> Plan {
    let duration = Duration::from_secs(seconds);
    Plan { native, rooms, members: 8, rate: 100.0, duration, patience: Duration::from_secs(20), ..Plan::default() }
}

/// Whose connections are cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Everyone,
    /// The others post and delete meanwhile.
    Half,
}

/// One gateway with memory, whose clients lose the answers to their posts, then their connections, three times.
async fn clients_cut_off(number: u8, who: Who, mistake: &str) -> Result<Report> {
    let setup = Setup::spec("protocols: {native: {}}\nreplicas: 1\nredis: {memory: {}}");
    let gateway = Gateway::start(&block_in_place(|| mutate(setup, mistake))?).await?;
    let link = Link::open(number, vec![gateway.address("shared")?.port()]).await?;
    let cut_off = format!("ws://{}/chat", link.seeds()[0]);
    let urls = match who {
        Who::Everyone => vec![cut_off],
        Who::Half => vec![cut_off, gateway.url("/chat")],
    };
    let plan = Plan { deletes: 3, ..plan(urls, vec!["mutants".into()], 4) };
    let audit = tokio::spawn(async move { audit::run(&plan).await });
    for _ in 0..3 {
        for (state, milliseconds) in [(State::Open, 700), (State::Mute, 300), (State::Cut, 200)] {
            link.set(state);
            sleep(Duration::from_millis(milliseconds)).await;
        }
    }
    link.set(State::Open);
    audit.await?
}

/// A write that is more than the kernel takes for a connection, sent but for its end: with it, the way to a frozen replica
/// is full at once, and nothing that is written from then on reaches it. Groups that are written before would, and hold
/// up all others of their partition.
struct Flood(TcpStream);

impl Flood {
    fn gather(primary: &RedisNode) -> Result<Self> {
        let own = |n: &u32| primary.call(&["SET", &format!("junk-{n}"), "x"]).is_ok();
        let key = format!("junk-{}", (0..1000).find(own).context("a primary without slots")?);
        let value = "x".repeat(32 << 20);
        let mut stream = TcpStream::connect(("127.0.0.1", primary.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}", key.len(), value.len())?;
        Ok(Self(stream))
    }

    fn release(mut self) -> Result<()> {
        self.0.write_all(b"\r\n")?;
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer)?;
        ensure!(&answer == b"+OK\r\n", "redis says {:?}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

/// Rooms of the first shard, each in a partition of its own, and so with a connection of its own.
fn rooms_of_a_shard() -> Vec<RoomName> {
    let of_partition = |wanted: usize| {
        let mut names = (0..).map(|n: u32| RoomName::new(&format!("mutants-{n}")).expect("a valid name"));
        names.find(|room| Partition::of(room).index() == wanted).expect("names do not end")
    };
    (0..16).map(of_partition).collect()
}

/// Runs that a mistake has to show in, where it takes a race.
const RUNS: u32 = 3;

/// Whether the gateway dies with the primary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gateways {
    Live,
    /// A gateway that lives gives back what it has shown, also what a replica never got.
    Die,
}

/// One gateway on a cluster: a primary takes posts that do not reach its replica, and dies; the replica takes over.
async fn primary_dies_ahead_of_its_replica(mistake: &str, gateways: Gateways) -> Result<Report> {
    /// Later, the replica would count as failed, and one copy would do.
    const SOON: Duration = Duration::from_millis(1400);
    let mut world = World::start(1, false, Some(mistake)).await?;
    let url = world.seats[0].gateway()?.url("/chat");
    let rooms = rooms_of_a_shard();
    let slot = slot(Partition::of(&rooms[0])).number();
    let names = rooms.iter().map(|room| room.as_str().to_owned()).collect();
    let plan = Plan { members: 2, ..plan(vec![url], names, 8) };
    let audit = tokio::spawn(async move { audit::run(&plan).await });
    sleep(Duration::from_secs(2)).await;
    let redis = &mut world.redis;
    let primary = block_in_place(|| redis.primary(slot))?;
    let replica = block_in_place(|| redis.replica(primary))?;
    let flood = block_in_place(|| Flood::gather(&redis.nodes[primary]))?;
    let began = Instant::now();
    redis.nodes[replica].pause()?;
    block_in_place(|| flood.release())?;
    sleep(Duration::from_millis(600)).await;
    redis.nodes[primary].kill()?;
    if gateways == Gateways::Die {
        world.seats[0].kill()?;
    }
    redis.nodes[replica].resume()?;
    ensure!(began.elapsed() < SOON, "this machine is too slow: the replica was away for {:?}", began.elapsed());
    if gateways == Gateways::Die {
        world.seats[0].restart().await?;
    }
    audit.await?
}

fn caught(mistake: &str, report: &Report, kinds: &[Kind]) -> Result<()> {
    println!("| {mistake:?}: {:?}, {} gaps", report.verdict.faults.first(), report.verdict.gaps);
    ensure!(kinds.iter().any(|kind| report.verdict.count(*kind) > 0), "{mistake:?} went unnoticed\n{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_delivery_is_caught() -> Result<()> {
    let _alone = ALONE.lock().await;
    let runs = [
        ("", Who::Everyone, &[][..]),
        ("", Who::Half, &[][..]),
        ("drop one entry", Who::Everyone, &[Kind::Lost]),
        ("swap two entries", Who::Everyone, &[Kind::OutOfOrder]),
        ("forget dedupe", Who::Everyone, &[Kind::Doubled]),
        ("resume one entry late", Who::Everyone, &[Kind::Lost]),
        ("show what was deleted in a resume", Who::Half, &[Kind::Revealed]),
    ];
    let all = runs.iter().zip(3..).map(|((mistake, who, _), number)| clients_cut_off(number, *who, mistake));
    for ((mistake, who, kinds), report) in runs.iter().zip(futures::future::join_all(all).await) {
        let report = report?;
        if kinds.is_empty() {
            ensure!(
                report.verdict.is_clean() && report.reconnects > if *who == Who::Half { 3 } else { 8 },
                "the unbroken one fails as well: {report}"
            );
        } else {
            caught(mistake, &report, kinds)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_replication_is_caught() -> Result<()> {
    let _alone = ALONE.lock().await;
    for gateways in [Gateways::Live, Gateways::Die] {
        let unbroken = primary_dies_ahead_of_its_replica("", gateways).await?;
        ensure!(unbroken.verdict.is_clean(), "the unbroken one fails as well: {unbroken}");
    }
    for (mistake, gateways, kinds) in [
        ("acknowledge without WAIT", Gateways::Live, &[Kind::Lost, Kind::Misplaced]),
        ("WAIT on another connection", Gateways::Live, &[Kind::Lost, Kind::Misplaced]),
        ("read from the primary", Gateways::Die, &[Kind::Doubled, Kind::Misplaced]),
    ] {
        // Something must be written in the moment before the primary dies: on a busy machine it may be nothing.
        let mut runs = 1;
        while let Err(unnoticed) = caught(mistake, &primary_dies_ahead_of_its_replica(mistake, gateways).await?, kinds)
        {
            ensure!(runs < RUNS, "in {runs} runs: {unnoticed:#}");
            runs += 1;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_generation_is_caught() -> Result<()> {
    let _alone = ALONE.lock().await;
    let mistake = "adopt without a new epoch";
    let (report, ..) = lose_both_copies(Some(mistake)).await?;
    caught(mistake, &report, &[Kind::Lost, Kind::Misplaced, Kind::Clash, Kind::OutOfOrder])
}
