//! The directory over memory, a single Redis and a Redis Cluster: the same behaviours of all three.

mod full;
mod pairs;
mod people;
mod social;

use std::{future::Future, pin::Pin, sync::Arc};

use anyhow::Result;
use parlor_gateway::{
    directory::{Directory, memory::MemoryDirectory},
    rooms::Origin,
};
use parlor_tests::{
    bus::directory as open,
    redis::{RedisCluster, RedisNode},
};

type Gateway = Arc<dyn Directory>;

/// What two gateways of one ChatRoom see of its directory, and its name.
type Behaviour = (&'static str, fn(Gateway, Gateway) -> Pin<Box<dyn Future<Output = Result<()>>>>);

macro_rules! behaviours {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), |a, b| Box::pin($name(a, b)))),*] };
}
use behaviours;

fn origin(gateway: u64, connection: u64) -> Origin {
    Origin { gateway, connection }
}

async fn all(a: Gateway, b: Gateway) -> Result<()> {
    for (name, behaviour) in pairs::BEHAVIOURS.into_iter().chain(people::BEHAVIOURS).chain(social::BEHAVIOURS) {
        behaviour(a.clone(), b.clone()).await.map_err(|error| error.context(name))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_memory_directory_behaves() -> Result<()> {
    let directory: Gateway = Arc::new(MemoryDirectory::default());
    all(directory.clone(), directory).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_a_single_redis_behaves() -> Result<()> {
    let redis = RedisNode::start()?;
    all(open(vec![redis.address()]).await?, open(vec![redis.address()]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_a_cluster_behaves() -> Result<()> {
    let cluster = RedisCluster::start(3, 1)?;
    all(open(cluster.seeds()).await?, open(cluster.seeds()).await?).await
}
