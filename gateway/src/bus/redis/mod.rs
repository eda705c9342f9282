//! The bus of a fleet: Redis streams, one partition per hash tag, in a Redis Cluster or a single Redis.
//!
//! Decides how entries are written, read, replicated and survived. Called by the hub, through [`Bus`].

pub mod answers;
mod append;
mod dataset;
pub mod entry;
mod epoch_hints;
mod forget;
mod formats;
mod gc;
mod heads;
mod history;
mod lag;
mod listing;
mod presence;
mod present;
mod restore;
mod scripts;
mod shards;
pub mod signals;
pub mod stream_codec;
mod stream_reader;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use self::{
    append::Appending, epoch_hints::EpochHints, gc::GarbageCollector, presence::MemberCounts, signals::Signalling,
    stream_reader::StreamReader,
};
use super::{
    AppendError, Appended, Batch, Bus, Head, Health, HeldRoom, Histograms, History, KnownRooms, Offset, Page, Refusal,
    Shard, Task,
};
use crate::{
    redis::{Fault, Servers, StartError, connection::failed_to, health},
    rooms::{Epoch, Partition, Post, RoomName, Signal, Unavailable},
};

/// The bus on Redis.
#[derive(Debug)]
pub struct RedisBus {
    history: History,
    appending: Arc<Appending>,
    reading: Arc<StreamReader>,
    signalling: Arc<Signalling>,
    presence: Arc<MemberCounts>,
    histograms: Histograms,
    servers: Arc<Servers>,
    gc: Arc<GarbageCollector>,
    tasks: Mutex<JoinSet<()>>,
}

impl RedisBus {
    /// Checks that the data is fit for this release, and starts the background work. `gateway` names this incarnation of
    /// the gateway in the counts of members; unique in the ChatRoom.
    pub async fn open(servers: Arc<Servers>, history: History, gateway: String) -> Result<Self, StartError> {
        let gc = Arc::new(GarbageCollector::new(Arc::clone(&servers), history));
        let epoch_hints = Arc::<EpochHints>::default();
        let histograms = Histograms { wait: servers.wait.clone(), ..Histograms::default() };
        let signalling = Arc::new(Signalling::new(Arc::clone(&servers), Arc::clone(&epoch_hints)));
        let bus = Self {
            history,
            appending: Arc::new(Appending::new(
                Arc::clone(&servers),
                Arc::clone(&epoch_hints),
                Arc::clone(&gc),
                history,
            )),
            reading: Arc::new(StreamReader::new(Arc::clone(&servers), epoch_hints)),
            presence: Arc::new(MemberCounts::new(
                Arc::clone(&servers),
                Arc::clone(&signalling),
                formats::announced(&gateway),
            )),
            signalling,
            histograms,
            servers,
            gc,
            tasks: Mutex::default(),
        };
        bus.check().await?;
        bus.start();
        Ok(bus)
    }

    async fn check(&self) -> Result<(), StartError> {
        for partition in Partition::all() {
            let born = self.appending.check(partition).await?.born;
            self.appending.dataset(partition).accept(born);
        }
        Ok(())
    }

    /// True when a read found no data and an epoch was opened for it, so that readers of what was lost receive a gap:
    /// then it is worth reading again.
    async fn opened<T: Sync>(&self, partition: Partition, read: &Result<T, Fault>) -> Result<bool, Unavailable> {
        if !matches!(read, Err(Fault::Absent)) {
            return Ok(false);
        }
        match self.appending.check(partition).await {
            Err(Fault::Ask(ask)) => self.reading.follow(partition, &ask),
            other => {
                other.map_err(failed_to("open an epoch"))?;
            }
        }
        Ok(true)
    }

    fn start(&self) {
        let mut tasks = self.tasks.lock();
        let presence = Arc::clone(&self.presence);
        let (publishing, hearing) = (Arc::clone(&self.signalling), Arc::clone(&self.signalling));
        let gc = Arc::clone(&self.gc);
        let (reading, appending) = (Arc::clone(&self.reading), Arc::clone(&self.appending));
        tasks.spawn(async move { reading.watch_heads().await });
        tasks.spawn(appending.try_refused());
        tasks.spawn(async move { gc.run().await });
        tasks.spawn(async move { presence.renew().await });
        tasks.spawn(async move { publishing.publish().await });
        tasks.spawn(async move { hearing.hear().await });
    }
}

impl Bus for RedisBus {
    fn append<'a>(
        &'a self,
        partition: Partition,
        group: &'a [Post],
    ) -> Task<'a, Result<Vec<Result<Appended, AppendError>>, AppendError>> {
        Box::pin(async move {
            let began = Instant::now();
            let answers = self.appending.append(partition, group).await?;
            self.histograms.append.observe(began.elapsed().as_secs_f64());
            Ok(answers)
        })
    }

    fn restore<'a>(&'a self, partition: Partition, rooms: &'a [HeldRoom]) -> Task<'a, Result<Epoch, Unavailable>> {
        Box::pin(async move { self.appending.restore(partition, rooms).await.map_err(failed_to("restore rooms")) })
    }

    fn end(&self, partition: Partition) -> Task<'_, Result<Offset, Unavailable>> {
        Box::pin(async move {
            let mut read = self.reading.end(partition).await;
            if self.opened(partition, &read).await? {
                read = self.reading.end(partition).await;
            }
            read.map_err(failed_to("find the end of a stream"))
        })
    }

    fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Task<'_, Result<Batch, Unavailable>> {
        Box::pin(async move {
            let mut read = self.reading.tail(partition, from, limit).await;
            if self.opened(partition, &read).await? {
                read = self.reading.tail(partition, from, limit).await;
            }
            let batch = read.map_err(failed_to("read a stream"))?;
            self.appending.dataset(partition).see(batch.next);
            Ok(batch)
        })
    }

    fn head<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<Head, Unavailable>> {
        Box::pin(async move {
            let mut read = self.reading.room(room).await;
            if self.opened(Partition::of(room), &read).await? {
                read = self.reading.room(room).await;
            }
            read.map_err(failed_to("read the head of a room"))
        })
    }

    fn history<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        limit: u32,
    ) -> Task<'a, Result<Page, Unavailable>> {
        Box::pin(async move {
            let mut read = self.reading.page(room, before, limit, self.history).await;
            if self.opened(Partition::of(room), &read).await? {
                read = self.reading.page(room, before, limit, self.history).await;
            }
            read.map_err(failed_to("read a page of history"))
        })
    }

    fn rooms<'a>(&'a self, partition: Partition, after: Option<&'a str>) -> Task<'a, Result<KnownRooms, Unavailable>> {
        Box::pin(async move {
            let listed = listing::rooms(&self.servers, partition, after).await;
            listed.map_err(failed_to("list rooms"))
        })
    }

    fn signal<'a>(&'a self, room: &'a RoomName, signal: &'a Signal) -> Task<'a, ()> {
        Box::pin(async move { self.signalling.say(room, signal) })
    }

    fn signals(&self) -> Task<'_, Vec<(RoomName, Signal)>> {
        Box::pin(self.signalling.heard.take())
    }

    fn watch(&self, partition: Partition, on: bool) -> Task<'_, ()> {
        self.appending.dataset(partition).hold(on);
        self.reading.watch(partition, on);
        Box::pin(self.signalling.watch(partition, on))
    }

    fn count<'a>(&'a self, partition: Partition, counts: &'a [(RoomName, u32)]) -> Task<'a, Result<(), Unavailable>> {
        Box::pin(self.presence.count(partition, counts))
    }

    fn members<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<u64, Unavailable>> {
        Box::pin(self.presence.members(room))
    }

    fn now(&self) -> u64 {
        self.servers.health.time().unwrap_or(0)
    }

    fn health(&self) -> Health {
        match self.servers.health.overall() {
            health::Health::Replicated => Health::Replicated,
            health::Health::Unreplicated => Health::Unreplicated,
            health::Health::Unavailable => Health::Unavailable,
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        let refusal = self.servers.refusals.oldest()?;
        Some(Refusal { reason: refusal.reason, since: refusal.since })
    }

    fn shards(&self) -> Vec<Shard> {
        shards::shards(&self.servers, &self.reading)
    }

    fn histograms(&self) -> Histograms {
        self.histograms.clone()
    }

    fn close(&self, limit: Duration) -> Task<'_, ()> {
        Box::pin(async move {
            let mut tasks = std::mem::take(&mut *self.tasks.lock());
            let all = async {
                tasks.shutdown().await;
                self.presence.close().await;
                self.signalling.flush().await;
                self.appending.close().await;
                self.reading.close().await;
            };
            if timeout(limit, all).await.is_err() {
                tracing::debug!("the bus did not close in time");
            }
        })
    }
}
