//! Three gateways on a Redis Cluster, faults from a printed seed, and the auditor watching: nothing that was
//! acknowledged may be missing, doubled or out of order for anyone who was promised it.
//!
//! `CHAOS_SECONDS` (600) says how long, `CHAOS_SEED` repeats a schedule. Faults of Redis come only when every shard is
//! replicated again; schedules that destroy both copies of a shard are another matter.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use parlor_tests::audit::{self, Plan};
use parlor_tests::gateway::{Gateway, Setup};
use parlor_tests::redis::{RedisCluster, free_port};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::task::block_in_place;
use tokio::time::sleep;

const GATEWAYS: usize = 3;
/// The end of a run without faults, in which everybody must catch up.
const CALM: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Fault {
    GatewayKilled,
    GatewayFrozen,
    GatewayDrained,
    PrimaryKilled,
    PrimaryFrozen,
    ReplicaKilled,
    PlannedFailover,
    GatewayAndPrimaryKilled,
}

const FAULTS: [Fault; 8] = [
    Fault::GatewayKilled,
    Fault::GatewayFrozen,
    Fault::GatewayDrained,
    Fault::PrimaryKilled,
    Fault::PrimaryFrozen,
    Fault::ReplicaKilled,
    Fault::PlannedFailover,
    Fault::GatewayAndPrimaryKilled,
];

/// Everything that can be broken.
struct Stage {
    redis: RedisCluster,
    setups: Vec<Setup>,
    gateways: Vec<Gateway>,
    random: StdRng,
}

impl Stage {
    async fn start(seed: u64) -> Self {
        let redis = block_in_place(|| RedisCluster::start(3, 1)).unwrap();
        let ports: Vec<u16> = (0..GATEWAYS).map(|_| free_port().unwrap()).collect();
        let spec = "protocols: {native: {}, onlyone: {}}\nreplicas: 3\nlimits: {messagesPerSecond: 1000}\n\
                    drain: {rate: 100, deadline: 10m}";
        let setup = |port: &u16| {
            Setup::spec(spec).redis(&redis.seeds()).argument("--listen").argument(format!("127.0.0.1:{port}"))
        };
        let setups: Vec<Setup> = ports.iter().map(setup).collect();
        let mut gateways = Vec::new();
        for setup in &setups {
            gateways.push(Gateway::start(setup).await.unwrap());
        }
        Self { redis, setups, gateways, random: StdRng::seed_from_u64(seed) }
    }

    fn urls(&self, path: &str) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.url(path)).collect()
    }

    /// Breaks one thing, mends it, and waits until all is well again.
    async fn fault(&mut self) {
        let fault = *FAULTS.choose(&mut self.random).unwrap();
        let gateway = self.random.random_range(0..GATEWAYS);
        let slot = self.random.random_range(0..16384_u16);
        let pause = Duration::from_millis(self.random.random_range(1000..6000));
        println!("{fault:?}, gateway {gateway}, slot {slot}, for {pause:?}");
        match fault {
            Fault::GatewayKilled => {
                self.gateways[gateway].kill().unwrap();
                sleep(pause).await;
                self.restart(gateway).await;
            }
            Fault::GatewayFrozen => {
                self.gateways[gateway].freeze().unwrap();
                sleep(pause * 2).await;
                self.gateways[gateway].thaw().unwrap();
            }
            Fault::GatewayDrained => {
                assert_eq!(self.gateways[gateway].admin("POST", "/drain").await.unwrap().0, 202);
                sleep(pause * 2).await;
                assert_eq!(self.gateways[gateway].admin("DELETE", "/drain").await.unwrap().0, 200);
            }
            Fault::PrimaryKilled => self.primary_killed(slot, pause).await,
            Fault::PrimaryFrozen => {
                let primary = block_in_place(|| self.redis.primary(slot)).unwrap();
                block_in_place(|| self.redis.nodes[primary].pause()).unwrap();
                sleep(pause).await;
                block_in_place(|| self.redis.nodes[primary].resume()).unwrap();
            }
            Fault::ReplicaKilled => {
                let primary = block_in_place(|| self.redis.primary(slot)).unwrap();
                let replica = block_in_place(|| self.redis.replica(primary)).unwrap();
                block_in_place(|| self.redis.nodes[replica].kill()).unwrap();
                sleep(pause).await;
                block_in_place(|| self.redis.nodes[replica].restart()).unwrap();
            }
            Fault::PlannedFailover => {
                let primary = block_in_place(|| self.redis.primary(slot)).unwrap();
                let replica = block_in_place(|| self.redis.replica(primary)).unwrap();
                block_in_place(|| self.redis.failover(replica)).unwrap();
            }
            Fault::GatewayAndPrimaryKilled => {
                self.gateways[gateway].kill().unwrap();
                self.primary_killed(slot, pause).await;
                self.restart(gateway).await;
            }
        }
        block_in_place(|| self.redis.healthy()).unwrap();
        for gateway in &self.gateways {
            gateway.ready().await.unwrap();
        }
    }

    /// The primary comes back only after its replica has taken over, else its shard would be empty.
    async fn primary_killed(&mut self, slot: u16, pause: Duration) {
        let primary = block_in_place(|| self.redis.primary(slot)).unwrap();
        block_in_place(|| self.redis.nodes[primary].kill()).unwrap();
        let died = Instant::now();
        while block_in_place(|| self.redis.primary(slot)).is_ok_and(|now| now == primary)
            || block_in_place(|| self.redis.primary(slot)).is_err()
        {
            assert!(died.elapsed() < Duration::from_secs(30), "no replica took over");
            sleep(Duration::from_millis(100)).await;
        }
        sleep(pause).await;
        block_in_place(|| self.redis.nodes[primary].restart()).unwrap();
    }

    async fn restart(&mut self, gateway: usize) {
        self.gateways[gateway] = Gateway::start(&self.setups[gateway]).await.unwrap();
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_loses_doubles_or_reorders_what_was_acknowledged() {
    let seed = number("CHAOS_SEED", rand::random::<u32>().into());
    let duration = Duration::from_secs(number("CHAOS_SECONDS", 600));
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={}", duration.as_secs());
    let mut stage = Stage::start(seed).await;
    let plan = Plan {
        native: stage.urls("/chat"),
        onlyone: stage.urls("/onlyone"),
        rooms: vec!["onlyOne".into()],
        members: 24,
        rate: 48.0,
        duration,
        patience: Duration::from_secs(60),
        ..Plan::default()
    };
    // OnlyOne has its one room; the others see what happens to rooms of other partitions.
    let rooms = Plan {
        onlyone: Vec::new(),
        rooms: (1..=6).map(|n| format!("chaos-{n}")).collect(),
        members: 6,
        ..plan.clone()
    };
    let audits = tokio::spawn(async move { tokio::join!(audit::run(&plan), audit::run(&rooms)) });
    let began = Instant::now();
    while began.elapsed() + CALM < duration {
        let pause = Duration::from_millis(stage.random.random_range(500..3000));
        sleep(pause).await;
        stage.fault().await;
    }
    let (one, many) = audits.await.unwrap();
    for report in [one.unwrap(), many.unwrap()] {
        println!("{report}");
        assert!(report.verdict.is_clean(), "CHAOS_SEED={seed}\n{report}\n{}", stage.gateways[0].log());
    }
}
