//! The bus of a fleet: Redis streams, one partition a hash tag, in a Redis Cluster or a single Redis.
//!
//! Decides how entries are written, read, replicated and survived. Called by the hub, through [`Bus`].

mod accounts;
mod append;
mod cluster;
mod decisions;
pub mod entry;
mod history;
mod known;
mod node;
mod opened;
pub mod pair;
pub mod person;
mod presence;
pub mod record;
pub mod replication;
pub mod script;
mod seeding;
mod server_time;
pub mod signals;
pub mod social;
mod tags;
mod tail;
pub mod topology;
mod upkeep;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fred::types::config::{TlsConfig, TlsConnector};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{task::JoinSet, time::timeout};

use self::{
    accounts::Accounts, append::Appending, cluster::Cluster, node::Access, opened::Opened, presence::Presence,
    replication::Replication, signals::Signalling, tags::Keys, tail::Reading, upkeep::Upkeep,
};
pub use self::{
    node::{Fault, Server},
    tags::slot,
};
use super::{
    AppendError, Appended, Away, Batch, Bus, Head, Health, History, Offset, Page, Partition, Seed, Task,
    directory::Directory,
};
use crate::rooms::{Epoch, Post, RoomName, Signal};

/// Where Redis is and how to speak to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port`, at least one; a cluster names its other servers itself.
    pub seeds: Vec<String>,
    pub username: Option<String>,
    /// The password itself, as read from its file.
    pub password: Option<String>,
    pub tls: Option<Tls>,
    /// Begins every key; without braces.
    pub prefix: String,
    pub history: History,
    /// Names this gateway's incarnation in the counts of members; unique in the ChatRoom.
    pub gateway: String,
}

/// How servers prove who they are.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file of the authorities to trust; absent: those of the system.
    pub roots: Option<PathBuf>,
}

/// Why the bus could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The settings will not do.
    #[error("cannot use the redis settings: {0}")]
    Settings(String),
    /// The data is of another release or another number of partitions; trying again does not help.
    #[error("cannot use the data in redis: {0}")]
    Unfit(String),
    /// Worth trying again.
    #[error("cannot reach redis: {0}")]
    Away(String),
}

/// The bus on Redis.
#[derive(Debug)]
pub struct Redis {
    history: History,
    appending: Appending,
    reading: Reading,
    signalling: Arc<Signalling>,
    presence: Arc<Presence>,
    accounts: Accounts,
    replication: Arc<Replication>,
    upkeep: Arc<Upkeep>,
    tasks: Mutex<JoinSet<()>>,
}

fn tls(tls: &Tls) -> Result<TlsConfig, StartError> {
    // An error says that the process has a provider already, which will do.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let refused = |error: &dyn std::fmt::Display| StartError::Settings(format!("cannot read the tls roots: {error}"));
    let Some(path) = &tls.roots else {
        return Ok(TlsConnector::default_rustls().map_err(|error| refused(&error))?.into());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(&error))? {
        let certificate = certificate.map_err(|error| refused(&error))?;
        roots.add(certificate).map_err(|error| refused(&error))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

fn seeds(settings: &Settings) -> Result<Vec<Server>, StartError> {
    if settings.prefix.contains(['{', '}']) {
        return Err(StartError::Settings("the key prefix holds a brace".into()));
    }
    let parse =
        |seed: &String| Server::parse(seed).ok_or_else(|| StartError::Settings(format!("{seed:?} is not host:port")));
    settings.seeds.iter().map(parse).collect()
}

impl From<node::Fault> for StartError {
    fn from(fault: node::Fault) -> Self {
        match fault {
            node::Fault::Unfit(reason) => Self::Unfit(reason),
            other => Self::Away(other.to_string()),
        }
    }
}

impl Redis {
    /// Connects, checks that the data is fit for this release, and starts the background work. Needs a tokio runtime;
    /// for TLS, installs rustls' ring provider unless the process has one.
    pub async fn connect(settings: Settings) -> Result<Self, StartError> {
        let seeds = seeds(&settings)?;
        let Settings { seeds: _, username, password, tls: secured, prefix, history, gateway } = settings;
        let access = Access { username, password, tls: secured.as_ref().map(tls).transpose()? };
        let cluster = Arc::new(Cluster::discover(seeds, access).await?);
        let keys = Keys::new(&prefix);
        let replication = Arc::new(Replication::new(Arc::clone(&cluster)));
        replication.look().await;
        let upkeep = Arc::new(Upkeep::new(Arc::clone(&cluster), keys.clone(), history));
        let opened = Arc::<Opened>::default();
        let following = (Arc::clone(&cluster), Arc::clone(&replication), Arc::clone(&opened));
        let writing = (Arc::clone(&cluster), Arc::clone(&replication), Arc::clone(&opened), Arc::clone(&upkeep));
        let redis = Self {
            history,
            appending: Appending::new(writing, keys.clone(), history),
            reading: Reading::new(following, keys.clone()),
            signalling: Arc::new(Signalling::new(Arc::clone(&cluster), opened, keys.clone())),
            accounts: Accounts::new(Arc::clone(&cluster), Arc::clone(&replication), keys.clone()),
            presence: Arc::new(Presence::new(cluster, keys, gateway)),
            replication,
            upkeep,
            tasks: Mutex::default(),
        };
        redis.check().await?;
        redis.start();
        Ok(redis)
    }

    async fn check(&self) -> Result<(), StartError> {
        for partition in Partition::all() {
            let born = self.appending.check(partition).await?.born;
            self.appending.known(partition).accept(born);
        }
        Ok(())
    }

    /// True when a read found no data and a generation was opened for it, so that readers of what was lost are told:
    /// then it is worth reading again.
    async fn opened<T: Sync>(&self, partition: Partition, read: &Result<T, node::Fault>) -> Result<bool, Away> {
        if !matches!(read, Err(node::Fault::Absent)) {
            return Ok(false);
        }
        match self.appending.check(partition).await {
            Err(node::Fault::Ask(ask)) => self.reading.follow(partition, &ask),
            other => {
                other?;
            }
        }
        Ok(true)
    }

    fn start(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let (replication, presence) = (Arc::clone(&self.replication), Arc::clone(&self.presence));
        let (publishing, hearing) = (Arc::clone(&self.signalling), Arc::clone(&self.signalling));
        let upkeep = Arc::clone(&self.upkeep);
        tasks.spawn(async move { upkeep.run().await });
        tasks.spawn(async move { replication.watch().await });
        tasks.spawn(async move { presence.renew().await });
        tasks.spawn(async move { publishing.publish().await });
        tasks.spawn(async move { hearing.hear().await });
    }
}

impl Bus for Redis {
    fn append<'a>(
        &'a self,
        partition: Partition,
        group: &'a [Post],
    ) -> Task<'a, Result<Vec<Result<Appended, AppendError>>, AppendError>> {
        Box::pin(self.appending.append(partition, group))
    }

    fn seed<'a>(&'a self, partition: Partition, seeds: &'a [Seed]) -> Task<'a, Result<Epoch, Away>> {
        Box::pin(async move { Ok(self.appending.seed(partition, seeds).await?) })
    }

    fn end(&self, partition: Partition) -> Task<'_, Result<Offset, Away>> {
        Box::pin(async move {
            let mut read = self.reading.end(partition).await;
            if self.opened(partition, &read).await? {
                read = self.reading.end(partition).await;
            }
            Ok(read?)
        })
    }

    fn tail(&self, partition: Partition, from: Offset, limit: u32) -> Task<'_, Result<Batch, Away>> {
        Box::pin(async move {
            let mut read = self.reading.tail(partition, from, limit).await;
            if self.opened(partition, &read).await? {
                read = self.reading.tail(partition, from, limit).await;
            }
            Ok(read?)
        })
    }

    fn head<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<Head, Away>> {
        Box::pin(async move {
            let mut read = self.reading.room(room).await;
            if self.opened(Partition::of(room), &read).await? {
                read = self.reading.room(room).await;
            }
            Ok(read?)
        })
    }

    fn history<'a>(&'a self, room: &'a RoomName, before: Option<u64>, limit: u32) -> Task<'a, Result<Page, Away>> {
        Box::pin(async move {
            let mut read = self.reading.page(room, before, limit, self.history).await;
            if self.opened(Partition::of(room), &read).await? {
                read = self.reading.page(room, before, limit, self.history).await;
            }
            Ok(read?)
        })
    }

    fn signal<'a>(&'a self, room: &'a RoomName, signal: &'a Signal) -> Task<'a, ()> {
        Box::pin(async move { self.signalling.say(room, signal) })
    }

    fn signals(&self) -> Task<'_, Vec<(RoomName, Signal)>> {
        Box::pin(self.signalling.heard.take())
    }

    fn watch(&self, partition: Partition, on: bool) -> Task<'_, ()> {
        self.appending.known(partition).hold(on);
        Box::pin(self.signalling.watch(partition, on))
    }

    fn count<'a>(&'a self, partition: Partition, counts: &'a [(RoomName, u32)]) -> Task<'a, Result<(), Away>> {
        Box::pin(self.presence.count(partition, counts))
    }

    fn members<'a>(&'a self, room: &'a RoomName) -> Task<'a, Result<u64, Away>> {
        Box::pin(self.presence.members(room))
    }

    fn directory(&self) -> &dyn Directory {
        &self.accounts
    }

    fn health(&self) -> Health {
        self.replication.health()
    }

    fn close(&self, limit: Duration) -> Task<'_, ()> {
        Box::pin(async move {
            let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
            let all = async {
                tasks.shutdown().await;
                self.presence.close().await;
                self.accounts.close().await;
                self.appending.close().await;
                self.reading.close().await;
            };
            if timeout(limit, all).await.is_err() {
                tracing::debug!("the bus was left before it had closed");
            }
        })
    }
}
