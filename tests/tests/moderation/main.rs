//! Moderation over memory, a single Redis and a Redis Cluster: the same behaviours of all three, on two gateways.

mod behaviour;
mod filters;
mod fleet;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use parlor_gateway::{
    clock::Clock,
    moderation::{Action, Moderation, Moderator, News, keeper, memory::MemoryModeration, store::Store},
    rooms::{Author, RoomName},
};
use parlor_tests::{
    bus::moderation as open,
    redis::{RedisCluster, RedisNode},
};
use tokio::{
    sync::{Mutex, mpsc},
    task::AbortHandle,
    time::timeout,
};

/// News that may wait unread: more than all behaviours make.
const NEWS: usize = 30_000;

/// Moderation as one gateway has it, and whom it would tell.
struct Gateway {
    moderation: Arc<Moderation>,
    moderator: Moderator,
    news: Mutex<mpsc::Receiver<News>>,
    keeper: AbortHandle,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Gateway {
    async fn start(store: Arc<dyn Store>) -> Result<Arc<Self>> {
        let moderation = Moderation::open(store, Arc::default()).await?;
        let (told, news) = mpsc::channel(NEWS);
        let keeper = tokio::spawn(keeper::keep(moderation.clone(), move |news| {
            let told = told.clone();
            async move { told.send(news).await.unwrap_or_default() }
        }));
        let moderator = Moderator::new(moderation.clone());
        Ok(Arc::new(Self { moderation, moderator, news: Mutex::new(news), keeper: keeper.abort_handle() }))
    }

    async fn act(&self, room: &RoomName, action: Action) -> Result<()> {
        let by = Author { id: "m".into(), name: "mod".into(), extra: None };
        Ok(self.moderator.act(&by, room, action).await?)
    }

    /// The next news about `room`.
    async fn hear(&self, room: &RoomName) -> Result<News> {
        let mut news = self.news.lock().await;
        loop {
            let next = timeout(Duration::from_secs(5), news.recv()).await.context("no news came")?;
            let next = next.context("the keeper ended")?;
            if next.room == *room {
                return Ok(next);
            }
        }
    }
}

type Two = (Arc<Gateway>, Arc<Gateway>, Arc<dyn Store>);

/// What two gateways of one ChatRoom do, over a store that a third may open; and its name.
type Behaviour = (&'static str, fn(Two) -> Pin<Box<dyn Future<Output = Result<()>>>>);

async fn all(a: Arc<dyn Store>, b: Arc<dyn Store>) -> Result<()> {
    let (first, second) = (Gateway::start(a.clone()).await?, Gateway::start(b).await?);
    for (name, behaviour) in behaviour::ALL {
        behaviour((first.clone(), second.clone(), a.clone())).await.map_err(|error| error.context(name))?;
    }
    Ok(())
}

#[tokio::test]
async fn moderation_in_memory_behaves() -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(MemoryModeration::new(Clock::start()));
    all(store.clone(), store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn moderation_in_a_single_redis_behaves() -> Result<()> {
    let redis = RedisNode::start()?;
    all(open(vec![redis.address()]).await?, open(vec![redis.address()]).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn moderation_in_a_cluster_behaves() -> Result<()> {
    let cluster = RedisCluster::start(3, 1)?;
    all(open(cluster.seeds()).await?, open(cluster.seeds()).await?).await
}
