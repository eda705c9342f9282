//! Gateway processes, each with its own link to a Redis Cluster of three shards with a replica each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use parlor_crds::contract::BusStatus;
use parlor_gateway::{
    redis::slot,
    rooms::{Partition, RoomName},
};
use parlor_tests::{
    audit::Plan,
    gateway::{Gateway, Setup},
    link::Link,
    mutants::mutate,
    redis::{RedisCluster, USER, free_port},
};
use tokio::task::block_in_place;

const SHARDS: usize = 3;
/// Rooms of each shard.
const ROOMS: usize = 2;
/// Where gateways find the password of their Redis.
const PASSWORD: &str = "redis/password";
/// Everything is well again within this time of a fault's end.
const WELL_WITHIN: Duration = Duration::from_secs(30);

/// One gateway: its place stays when its process goes.
pub(crate) struct Seat {
    setup: Setup,
    pub(crate) link: Link,
    process: Option<Gateway>,
}

impl Seat {
    async fn take(number: u8, ports: Vec<(u16, u16)>, rooms: &[String], mistake: Option<&str>) -> Result<Self> {
        let link = Link::announced(number, ports).await?;
        let (secret, key) = PASSWORD.split_once('/').context("a path without a key")?;
        let spec = format!(
            "protocols: {{native: {{}}, onlyone: {{rooms: [{}]}}}}\nreplicas: 3\n\
             redis: {{external: {{seeds: ['{}'], username: {USER}, \
                     passwordSecretRef: {{name: {secret}, key: {key}}}}}}}\n\
             drain: {{rate: 1000, deadline: 30s}}",
            rooms.join(", "),
            link.seeds()[0]
        );
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = std::env::var("CHAOS_LOG").unwrap_or_else(|_| "info".into());
        let setup = Setup::spec(&spec).redis(&link.seeds()).argument("--listen").argument(address);
        let setup = setup.env("PARLOR_LOG", &log).secret(PASSWORD, "first");
        let setup = mistake.map_or_else(|| Ok(setup.clone()), |mistake| mutate(setup.clone(), mistake))?;
        let process = Some(Gateway::start(&setup).await?);
        Ok(Self { setup, link, process })
    }

    pub(crate) fn gateway(&self) -> Result<&Gateway> {
        self.process.as_ref().context("the gateway does not run")
    }

    /// The password of its Redis is this one from now on, as the kubelet writes it.
    pub(crate) fn set_password(&mut self, password: &str) -> Result<()> {
        self.setup = self.setup.clone().secret(PASSWORD, password);
        self.gateway()?.remount(PASSWORD, password)
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.as_mut().context("the gateway does not run")?.kill()
    }

    /// Starts it on the same port, and waits until it is ready.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.process = Some(Gateway::start(&self.setup).await?);
        Ok(())
    }

    /// SIGTERM, and its successor on the same port once it has ended.
    pub(crate) async fn replace(&mut self) -> Result<()> {
        let gateway = self.process.as_mut().context("the gateway does not run")?;
        let status = gateway.terminate(Duration::from_secs(60)).await?;
        ensure!(status.success(), "a drained gateway ended with {status}\n{}", gateway.log());
        self.restart().await
    }
}

/// Everything that may break.
pub(crate) struct World {
    pub(crate) redis: RedisCluster,
    pub(crate) seats: Vec<Seat>,
    pub(crate) rooms: Vec<RoomName>,
}

/// Rooms that lie evenly on the shards.
fn rooms() -> Vec<RoomName> {
    let of_shard = |shard| {
        let names = (0..).map(|n: u32| RoomName::new(&format!("chaos-{n}")).expect("a valid name"));
        let lies_there =
            move |room: &RoomName| usize::from(slot(Partition::of(room)).number()) * SHARDS / 16384 == shard;
        names.filter(lies_there).take(ROOMS)
    };
    (0..SHARDS).flat_map(of_shard).collect()
}

impl World {
    /// Starts everything; `durable` servers keep their data over a restart. With a `mistake` the gateways are mutants.
    pub(crate) async fn start(gateways: u8, durable: bool, mistake: Option<&str>) -> Result<Self> {
        let redis = RedisCluster::breakable(SHARDS, 1, durable).await?;
        let rooms = rooms();
        let names: Vec<_> = rooms.iter().map(|room| room.as_str().to_owned()).collect();
        let mut seats = Vec::new();
        for number in 0..gateways {
            seats.push(Seat::take(number, redis.announced(), &names, mistake).await?);
        }
        Ok(Self { redis, seats, rooms })
    }

    /// What the auditor does in this world; `onlyone` for half of the members.
    pub(crate) fn plan(&self, duration: Duration, onlyone: bool) -> Result<Plan> {
        let urls = |path: &str| self.seats.iter().map(|seat| Ok(seat.gateway()?.url(path))).collect::<Result<_>>();
        Ok(Plan {
            native: urls("/chat")?,
            onlyone: if onlyone { urls("/onlyone")? } else { Vec::new() },
            rooms: self.rooms.iter().map(|room| room.as_str().to_owned()).collect(),
            members: 6,
            rate: 60.0,
            duration,
            patience: Duration::from_secs(60),
            ..Plan::default()
        })
    }

    /// Waits until every shard has two copies, every gateway knows, and all are ready.
    pub(crate) async fn well(&self) -> Result<()> {
        block_in_place(|| self.redis.replicated())?;
        for seat in &self.seats {
            let gateway = seat.gateway()?;
            gateway.ready().await?;
            let deadline = Instant::now() + WELL_WITHIN;
            while gateway.status().await?.bus != BusStatus::Replicated {
                ensure!(Instant::now() < deadline, "a gateway does not see that all is well:\n{}", gateway.log());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// The last lines of every gateway.
    pub(crate) fn logs(&self) -> String {
        let logs = self.seats.iter().filter_map(|seat| seat.gateway().ok()).map(Gateway::log);
        logs.enumerate().map(|(n, log)| format!("--- gateway {n}\n{log}")).collect()
    }
}
