//! The protocols: one folder each, one line each in the registry.
//!
//! A protocol decides what bytes mean. It holds no socket, no Redis and no clock of its own: sessions are driven by
//! the reactors, encodings by the hub, handshakes and HTTP endpoints by `http`.

pub mod canonical;
#[cfg(any(test, feature = "echo"))]
pub mod echo;
mod json;
mod jwt;
pub mod matching;
pub mod multiperson;
pub mod native;
pub mod onlyone;
mod registry;
pub mod relay;
#[cfg(test)]
pub(crate) mod script;

use std::sync::Arc;

pub use registry::{ProtocolSettings, registry};

use crate::{
    fanout::{
        encoding::{Encoding, EncodingId},
        session::{OverRate, Session},
    },
    rooms::ProtocolId,
};

/// One wire protocol, configured by the ChatRoom.
pub trait Protocol: Send + Sync {
    fn id(&self) -> ProtocolId;

    /// What happens to messages above the rate.
    fn over_rate(&self) -> OverRate;

    /// Whether its clients miss nothing when they reconnect to another gateway.
    fn resumes(&self) -> bool;

    /// Decides about an upgrade request and makes the connection's session.
    fn accept(&self, handshake: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal>;

    /// The encodings that its sessions join rooms with, numbered by [`EncodingId::of`]. Empty for a protocol whose
    /// sessions join none.
    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)>;

    /// Its HTTP endpoints, served on the shared port's root and on its own port.
    fn routes(&self) -> axum::Router {
        axum::Router::new()
    }
}

/// What a protocol may know of an upgrade request.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// Path and query as they came, not decoded.
    pub target: &'a str,
    pub headers: &'a http::HeaderMap,
    /// `route.publicURL`, else `http://` and the request's Host; without a slash at the end.
    pub public_url: &'a str,
    /// Milliseconds since the Unix epoch.
    pub unix: u64,
}

/// The time, for HTTP endpoints; sessions receive it with every input.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn unix(&self) -> u64;

    /// Microseconds on a monotonic clock, more than zero.
    fn monotonic(&self) -> u64;
}

/// Goes as an extension with an endpoint's answer that refuses something: the label of the refusals metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// An upgrade that is refused with a plain HTTP answer: `Connection: close`, `Content-Type: text/html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: http::StatusCode,
    pub body: &'static str,
    /// Label of the refusals metric.
    pub reason: &'static str,
    /// What the client needs to do better, where its protocol has such a header.
    pub header: Option<(http::HeaderName, http::HeaderValue)>,
}
