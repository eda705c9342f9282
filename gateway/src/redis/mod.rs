//! Redis as everything in this gateway shares it: connections, topology, health, names of keys, server time.
//!
//! Decides which server is asked and whether its answer counts. Knows nothing of rooms' entries, of accounts or of any
//! protocol. Called by the bus and by the directory.

pub(crate) mod cluster;
pub(crate) mod connection;
pub mod health;
pub(crate) mod keys;
pub(crate) mod lane;
pub(crate) mod prober;
pub(crate) mod refusals;
pub(crate) mod script;
pub(crate) mod server_time;
pub mod topology;

use std::{path::PathBuf, sync::Arc};

use fred::types::config::{TlsConfig, TlsConnector};
use parlor_redis::{Address, AddressError, Prefer};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_util::task::AbortOnDropHandle;

use self::{cluster::Cluster, connection::Access, keys::Keys, prober::Prober, refusals::Refusals};
pub use self::{connection::Fault, keys::slot};

/// Where Redis is and how to speak to it.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `host:port`, at least one; a cluster names its other servers itself.
    pub seeds: Vec<String>,
    pub username: Option<String>,
    /// The password itself, as read from its file.
    pub password: Option<String>,
    pub tls: Option<Tls>,
    /// Under which of the addresses that a cluster announces its servers are dialled.
    pub prefer: Prefer,
    /// Begins every key; without braces.
    pub prefix: String,
}

/// How servers prove who they are.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM file of the authorities to trust; absent: those of the system.
    pub roots: Option<PathBuf>,
}

/// Why Redis could not be used at the start.
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
    Unavailable(String),
}

/// The Redis servers of one ChatRoom, and what is known of them.
#[derive(Debug)]
pub struct Servers {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) health: Arc<Prober>,
    pub(crate) refusals: Refusals,
    pub(crate) keys: Keys,
    /// Asks the servers how they are, for as long as somebody uses them.
    _probes: AbortOnDropHandle<()>,
}

impl Servers {
    /// Asks the seeds who is there and asks every server once how it is. Needs a tokio runtime; for TLS, installs rustls' ring
    /// provider unless the process has one.
    pub async fn connect(settings: RedisSettings) -> Result<Arc<Self>, StartError> {
        let seeds = seeds(&settings)?;
        let RedisSettings { seeds: _, username, password, tls: secured, prefer, prefix } = settings;
        let access = Access { username, password, tls: secured.as_ref().map(tls).transpose()? };
        let cluster = Arc::new(Cluster::discover(seeds, access, prefer).await?);
        let health = Arc::new(Prober::new(Arc::clone(&cluster)));
        health.look().await;
        let probes = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&health).run()));
        let keys = Keys::new(&prefix);
        Ok(Arc::new(Self { cluster, health, refusals: Refusals::default(), keys, _probes: probes }))
    }
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

fn seeds(settings: &RedisSettings) -> Result<Vec<Address>, StartError> {
    if settings.prefix.contains(['{', '}']) {
        return Err(StartError::Settings("the key prefix holds a brace".into()));
    }
    let parse = |seed: &String| seed.parse().map_err(|error: AddressError| StartError::Settings(error.to_string()));
    settings.seeds.iter().map(parse).collect()
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unfit(reason) => Self::Unfit(reason),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
