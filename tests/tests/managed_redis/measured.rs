//! What the changes of a managed Redis and of its gateways cost people, in numbers: each under the auditor.
//!
//! A measurement, no test: it prints rows for tests/cluster/RESULTS.md. It fails if anybody missed anything.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_crds::contract::REDIS_PASSWORD;
use parlor_operator::redis::{access::Access, client, connection::Connection, passwords::Passwords};
use parlor_redis::{Slot, SlotSet};
use parlor_tests::{
    audit::{self, Plan, Report, verdict::Kind},
    gateway::Gateway,
    stage::Stage,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::net::TcpStream;

use crate::{MANY_STEPS, audited::gateway, reshard};

const SECOND: Duration = Duration::from_secs(1);
/// Connections of people; half of them on each gateway.
const PEOPLE: u32 = 1000;
const ROOMS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for some minutes and prints; tests/cluster/RESULTS.md has the command"]
async fn what_changes_of_redis_and_of_gateways_cost_people() -> Result<()> {
    let stage = Stage::set("measured", 38).await?;
    let began = Instant::now();
    stage.create(json!({ "replicas": 1 })).await?;
    stage.until_ready().await?;
    println!("| from `kubectl apply` to a Redis Cluster of six, in sync | {} |", seconds(began.elapsed()));
    let people = People { gateways: [gateway(&stage).await?, gateway(&stage).await?], stage };
    people.during("a primary of three is killed, until its slots are served", 30, fail_over).await?;
    people.during("until its shard has a replica again", 40, heal).await?;
    people.during("another password, until the old one opens nothing", 40, rotate).await?;
    people.during("from three shards to four", 50, async |people| timed(reshard(&people.stage, 4)).await).await?;
    people.during("from four shards to three", 50, async |people| timed(reshard(&people.stage, 3)).await).await?;
    people.during("a gateway is drained of 500 people", 40, drain).await
}

/// The people, and what they are on.
struct People {
    stage: Stage,
    gateways: [Gateway; 2],
}

impl People {
    /// Lets something happen while people post for so many seconds, and prints how long it took and what they saw of it.
    async fn during(&self, what: &str, posting: u64, happens: impl AsyncFn(&Self) -> Result<Duration>) -> Result<()> {
        let plan = Plan {
            native: self.gateways.iter().map(|gateway| gateway.url("/chat")).collect(),
            rooms: (0..ROOMS).map(|n| format!("room{n}")).collect(),
            members: PEOPLE / ROOMS,
            rate: 100.0,
            duration: Duration::from_secs(posting),
            patience: 60 * SECOND,
            ..Plan::default()
        };
        let auditing = tokio::spawn(async move { audit::run(&plan).await });
        // They come within 2 s, and post for a while before anything happens.
        tokio::time::sleep(6 * SECOND).await;
        let took = happens(self).await?;
        ensure!(!auditing.is_finished(), "{what}: it took {} and nobody was there at its end", seconds(took));
        let report = auditing.await.context("the auditor's task ended")??;
        println!("| {what} | {}; {} |", seconds(took), seen(&report));
        let logs = || self.gateways.iter().map(Gateway::log).collect::<Vec<_>>().join("\n");
        ensure!(report.verdict.is_clean() && report.verdict.acknowledged > 0, "{what}: {report}\n{}", logs());
        Ok(())
    }

    async fn access(&self) -> Result<Access> {
        Ok(Access::plain(Passwords::settled(&self.stage.present_key("redis-password").await?)))
    }
}

/// What people saw.
fn seen(report: &Report) -> String {
    let count = |kind| report.verdict.count(kind);
    format!(
        "{} acknowledged, {} reconnects, lost {}, twice {}, out of order {}, gaps {}; the longest wait for a message {}",
        report.verdict.acknowledged,
        report.reconnects,
        count(Kind::Lost),
        count(Kind::Doubled),
        count(Kind::OutOfOrder),
        report.verdict.gaps,
        seconds(report.slowest.values().max().copied().unwrap_or_default()),
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

async fn timed(happens: impl Future<Output = Result<()>>) -> Result<Duration> {
    let began = Instant::now();
    happens.await?;
    Ok(began.elapsed())
}

/// A primary dies as it does when its node loses power.
async fn fail_over(people: &People) -> Result<Duration> {
    let access = people.access().await?;
    let views = people.stage.views(&access).await?;
    let primary = views.iter().find(|view| view.serves()).context("no primary")?.myself().clone();
    let stream = TcpStream::connect((&*primary.ip, client::PORT)).await.context("connect to the primary")?;
    let mut connection = Connection::new(stream);
    connection.ask(&["AUTH", &people.stage.present_key("redis-password").await?]).await?;
    let info = connection.ask(&["INFO", "server"]).await?;
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).context("no process_id")?;
    let pid = Pid::from_raw(pid.trim().parse()?).context("a process without number")?;
    kill_process(pid, Signal::KILL).context("kill the primary")?;
    let killed = Instant::now();
    loop {
        let mut served = SlotSet::empty();
        let views = people.stage.views(&access).await?;
        views.iter().filter(|view| view.serves()).for_each(|view| served.add(&view.myself().slots));
        if served.len() == Slot::COUNT {
            return Ok(killed.elapsed());
        }
        ensure!(killed.elapsed() < MANY_STEPS, "{} slots are served", served.len());
        tokio::time::sleep(SECOND / 10).await;
    }
}

/// The pod of the dead server goes, as its kubelet or a person would have it, and another comes without data.
async fn heal(people: &People) -> Result<Duration> {
    let access = people.access().await?;
    for pod in people.stage.pods("redis").await? {
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("a pod without address")?;
        if client::view(&ip, &access).await.is_err() {
            people.stage.end(&pod).await?;
        }
    }
    timed(people.stage.until_within(MANY_STEPS, async |stage| stage.resharding(3).await)).await
}

async fn rotate(people: &People) -> Result<Duration> {
    let old = people.stage.present_key("redis-password").await?;
    people.stage.rotate("1").await?;
    let over = people.stage.until_within(MANY_STEPS, async |stage| {
        let current = stage.present_key("redis-password").await?;
        people.gateways.iter().try_for_each(|gateway| gateway.remount(REDIS_PASSWORD, &current))?;
        stage.rotating(&old).await
    });
    timed(over).await
}

async fn drain(people: &People) -> Result<Duration> {
    let [leaving, _] = &people.gateways;
    let before = leaving.status().await?.connections;
    ensure!(before == PEOPLE / 2, "{before} people are on it");
    ensure!(leaving.admin("POST", "/drain").await?.0 == 202, "it does not drain");
    let began = Instant::now();
    while leaving.status().await?.connections > 0 {
        ensure!(began.elapsed() < MANY_STEPS, "people stay");
        tokio::time::sleep(SECOND / 10).await;
    }
    Ok(began.elapsed())
}
