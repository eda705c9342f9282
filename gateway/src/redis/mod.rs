//! Redis as everything in this gateway shares it: connections, topology, health, names of keys, server time.
//!
//! Decides which server is asked and whether its answer counts. Knows nothing of rooms' entries, of accounts or of any
//! protocol. Called by the bus and by the directory.

pub(crate) mod access;
pub(crate) mod cluster;
pub(crate) mod connection;
mod fault;
pub mod followers;
pub mod health;
pub(crate) mod keys;
pub(crate) mod lane;
pub(crate) mod prober;
pub(crate) mod refusals;
mod rights;
pub(crate) mod script;
pub(crate) mod server_time;
pub(crate) mod shared_key;
pub(crate) mod steady_time;
pub mod topology;

use std::{sync::Arc, time::Duration};

use parlor_redis::{Address, AddressError, Prefer};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio_util::task::AbortOnDropHandle;

use self::{access::Access, cluster::Cluster, connection::Command, keys::Keys, prober::Prober, refusals::Refusals};
pub use self::{
    access::{Password, Tls},
    fault::Fault,
    keys::slot,
};
use crate::rooms::Cause;

/// Where Redis is and how to speak to it.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `host:port`, at least one; a cluster names its other servers itself.
    pub seeds: Vec<String>,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub tls: Option<Tls>,
    /// Under which of the addresses that a cluster announces its servers are dialled.
    pub prefer: Prefer,
    /// Begins every key; without braces.
    pub prefix: String,
}

/// Why Redis could not be used at the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The settings will not do.
    #[error("cannot use the redis settings: {0}")]
    Settings(#[source] Cause),
    /// The data is of another release or another number of partitions; trying again does not help.
    #[error("cannot use the data in redis: {0}")]
    Unfit(#[source] Cause),
    /// Worth trying again.
    #[error("cannot reach redis: {0}")]
    Unavailable(#[source] Cause),
}

/// The Redis servers of one ChatRoom, and what is known of them.
#[derive(Debug)]
pub struct Servers {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) health: Arc<Prober>,
    pub(crate) refusals: Refusals,
    pub(crate) keys: Keys,
    /// Seconds from when a write was sent until a second copy held it.
    pub(crate) wait: Histogram,
    /// Asks the servers how they are, for as long as somebody uses them.
    _probes: AbortOnDropHandle<()>,
}

impl Servers {
    /// Asks the seeds who is there and asks every server once how it is. Needs a tokio runtime; for TLS, installs rustls' ring
    /// provider unless the process has one. Refuses a Redis that evicts
    /// keys, and a user that lacks rights.
    pub async fn connect(settings: RedisSettings) -> Result<Arc<Self>, StartError> {
        let seeds = seeds(&settings)?;
        let RedisSettings { seeds: _, username, password, tls, prefer, prefix } = settings;
        let access = Access { username, password, tls };
        // A file that cannot be read at all is a mistake in the settings, not a Redis that is away.
        access
            .present()
            .map_err(|fault| StartError::Settings(Cause::because("failed to read the credentials for Redis", fault)))?;
        let keys = Keys::new(&prefix);
        if let Some(lacking) = rights::lacking(&seeds, &access, &keys).await? {
            return Err(StartError::Settings(Cause::from(lacking)));
        }
        let cluster = Arc::new(Cluster::discover(seeds, access, prefer).await?);
        refuse_eviction(&cluster).await?;
        let health = Arc::new(Prober::new(Arc::clone(&cluster)));
        health.look().await;
        let probes = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&health).run()));
        let (refusals, wait) = (Refusals::default(), seconds());
        Ok(Arc::new(Self { cluster, health, refusals, keys, wait, _probes: probes }))
    }
}

/// How long requests to Redis take: 0.1 ms to 13 s, longer than any of them is waited for.
pub(crate) fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 18))
}

/// How long a server may take to name its eviction policy.
const POLICY: Duration = Duration::from_secs(2);

/// A Redis that evicts keys loses messages without telling anybody.
async fn refuse_eviction(cluster: &Cluster) -> Result<(), StartError> {
    for primary in cluster.topology().voters() {
        let info = match cluster.call(&primary.server, Command::new("INFO").arg("memory"), POLICY).await {
            Ok(info) => info.as_str().map(|info| info.to_string()).unwrap_or_default(),
            Err(fault) => {
                tracing::warn!(server = %primary.server, %fault, "failed to read maxmemory-policy; it must be noeviction");
                continue;
            }
        };
        let policy =
            info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map_or("noeviction", str::trim);
        if policy != "noeviction" {
            return Err(StartError::Settings(Cause::from(format!(
                "maxmemory-policy is {policy} on {}, which deletes messages when memory is short; set it to noeviction",
                primary.server
            ))));
        }
    }
    Ok(())
}

fn seeds(settings: &RedisSettings) -> Result<Vec<Address>, StartError> {
    if settings.prefix.contains(['{', '}']) {
        return Err(StartError::Settings("the key prefix holds a brace".into()));
    }
    let parse = |seed: &String| {
        seed.parse().map_err(|error: AddressError| {
            StartError::Settings(Cause::because("failed to read an address of Redis", error))
        })
    };
    settings.seeds.iter().map(parse).collect()
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unfit(reason) => Self::Unfit(reason),
            other => Self::Unavailable(Cause::because("failed to ask Redis", other)),
        }
    }
}
