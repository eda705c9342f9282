//! Why a gateway did not start or had to end, and the exit code that says so.

use std::{io, net::SocketAddr, path::PathBuf};

use parlor_crds::{ManifestError, contract};

use crate::{
    fanout::reactor,
    http::{api::TokensError, web::BundleError},
    moderation::FileError,
    probe::ProbeError,
    protocols::onlyone::TokenKeyError,
    redis,
    rooms::RoomNameError,
    run::secrets::SecretError,
    tokens::KeysError,
};

/// `EX_USAGE` of sysexits.h: what was given is wrong.
const EX_USAGE: u8 = 64;
/// `EX_NOINPUT` of sysexits.h: what was given cannot be read.
const EX_NOINPUT: u8 = 66;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("failed to read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is refused:\n{source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("spec.api.tokensRef: {0}")]
    ApiTokens(#[from] TokensError),
    #[error("{field}: {source}")]
    Room { field: &'static str, source: RoomNameError },
    #[error("spec.protocols.onlyone.token: {0}")]
    TokenKey(#[from] TokenKeyError),
    #[error("{field}: {source}")]
    TokenKeys { field: &'static str, source: KeysError },
    #[error("{field}: not an address: {source}")]
    Address { field: &'static str, source: http::uri::InvalidUri },
    #[error("spec.redis.managed: in a pod the operator passes --redis, and it is missing")]
    NoSeeds,
    #[error("failed to prepare the page: {0}")]
    Page(#[from] BundleError),
    #[error("failed to start the runtime: {0}")]
    Runtime(#[source] io::Error),
    #[error("failed to start the reactors: {0}")]
    Reactors(#[from] reactor::StartError),
    #[error(transparent)]
    Redis(#[from] redis::StartError),
    #[error("{field}: {source}")]
    Words { field: &'static str, source: FileError },
    #[error("{field}: not an address that can receive requests")]
    NoUrl { field: &'static str },
    #[error(
        "spec.redis.managed.tls: no certificate of an authority in {}, below --secrets DIR; without TLS, leave tls out",
        contract::REDIS_AUTHORITY
    )]
    NoRedisAuthority,
    #[error("{field}: not UTF-8")]
    NotText { field: &'static str },
    #[error("failed to listen on {address} for {what}: {source}")]
    Listen { what: &'static str, address: SocketAddr, source: io::Error },
    #[error("failed to hear signals: {0}")]
    Signals(#[source] io::Error),
    #[error("a reactor ended unexpectedly")]
    ReactorEnded,
    #[error("a partition's actor ended unexpectedly")]
    ActorEnded,
    #[error("probe: {0}")]
    Probe(#[from] ProbeError),
    #[error("a task of the gateway ended unexpectedly{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    TaskEnded(Option<tokio::task::JoinError>),
}

impl RunError {
    /// 64: what was given is wrong; 66: it cannot be read; 1: the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Manifest { .. }
            | Self::Secret(_)
            | Self::TokenKey(_)
            | Self::ApiTokens(_)
            | Self::Room { .. }
            | Self::TokenKeys { .. }
            | Self::Address { .. }
            | Self::NoSeeds
            | Self::Words { .. }
            | Self::NoUrl { .. }
            | Self::NoRedisAuthority
            | Self::NotText { .. } => EX_USAGE,
            Self::Unreadable { .. } => EX_NOINPUT,
            Self::Page(_)
            | Self::Runtime(_)
            | Self::Reactors(_)
            | Self::Redis(_)
            | Self::Listen { .. }
            | Self::Signals(_)
            | Self::ReactorEnded
            | Self::ActorEnded
            | Self::Probe(_)
            | Self::TaskEnded(_) => 1,
        }
    }
}
