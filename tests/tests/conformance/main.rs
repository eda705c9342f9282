//! The protocols to the letter, over real sockets: what clients send and what they must be shown, as tables. Each is
//! played against one gateway with memory, and again with its clients on two gateways of a Redis Cluster.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documented;
mod echo;
mod hostile;
mod matching;
mod multiperson;
mod native;
mod onlyone;
mod pressure;
mod relay;
mod rooms;
mod timers;
mod websocket;

use anyhow::{Context, Result};
use parlor_tests::{
    gateway::{Gateway, Setup},
    redis::RedisCluster,
    table::play,
};

const SPEC: &str = "
protocols:
  native: {}
  onlyone: {rooms: [onlyOne, side]}
  relay: {tokenKey: {secretRef: {name: relay, key: token}}}
  match: {reconnectGrace: 2s}
  multiperson: {}
limits: {messagesPerSecond: 1000}
replicas: 2
redis: {managed: {}}
";

/// The key of the relay's tokens in the tables.
const RELAY_KEY: &str = "a key for relay tests";

/// The gateways of one ChatRoom.
struct World {
    gateways: Vec<Gateway>,
}

impl World {
    /// One gateway with memory.
    async fn memory(spec: &str) -> Self {
        let setup = Setup::spec(spec).secret("relay/token", RELAY_KEY);
        Self { gateways: vec![Gateway::start(&setup).await.unwrap()] }
    }

    /// Two gateways of the ChatRoom `name`.
    async fn redis(redis: &RedisCluster, name: &str, spec: &str) -> Self {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        let head = format!("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {{name: {name}}}\nspec:\n");
        let setup = Setup::manifest(&(head + &spec)).secret("relay/token", RELAY_KEY).redis(&redis.seeds());
        Self { gateways: vec![Gateway::start(&setup).await.unwrap(), Gateway::start(&setup).await.unwrap()] }
    }

    /// Plays a table; clients called a, c, e… speak to the first gateway, b, d, f… to the last.
    async fn play(&self, what: &str, table: &str, room: &str, path: impl Fn(&str) -> &'static str) -> Result<()> {
        let url = |name: &str| {
            let first = name.bytes().next().is_none_or(|letter| letter % 2 == 1);
            let gateway = if first { self.gateways.first() } else { self.gateways.last() };
            gateway.map(|gateway| gateway.url(path(name))).unwrap_or_default()
        };
        play(table, room, url).await.with_context(|| what.to_owned())
    }
}

#[tokio::test]
async fn two_gateways_on_a_redis_cluster_speak_every_protocol_as_one_does() {
    let redis = tokio::task::spawn_blocking(|| RedisCluster::start(3, 1)).await.unwrap().unwrap();
    let world = World::redis(&redis, "letters", SPEC).await;
    let played = [
        native::speaks(&world).await,
        onlyone::speaks(&world).await,
        relay::speaks(&world).await,
        matching::speaks(&world).await,
        multiperson::speaks(&world).await,
        rooms::shared(&World::redis(&redis, "rooms", rooms::SPEC).await).await,
    ];
    let failed: Vec<_> = played.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    let logs = world.gateways.iter().map(Gateway::log).collect::<String>();
    assert!(failed.is_empty(), "{}\n{logs}", failed.join("\n"));
    let (_, metrics) = world.gateways[0].admin_get("/metrics").await.unwrap();
    for histogram in ["append", "wait"] {
        let name = format!("parlor_{histogram}_seconds_count ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
        assert!(count > Some(0_u64), "{histogram}: {metrics}");
    }
}
