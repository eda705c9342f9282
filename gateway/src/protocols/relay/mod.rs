//! `relay`: the protocol of the message relay: BINARY Protocol Buffers (`relay.proto`), and HTTP for servers that post.
//!
//! Decides what its frames mean ([`session`]), how entries are merged ([`encoding`]) and who signs in ([`token`]).
//! [`endpoints`] alone does I/O: it posts to the bus.

mod encoding;
mod endpoints;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod wire;

use std::sync::Arc;

pub use settings::{ENCODING, RelaySettings};

use crate::{
    fanout::{
        encoding::{Encoding, EncodingId},
        session::{OverRate, Session},
    },
    protocols::{Handshake, Protocol, Refusal},
    rooms::ProtocolId,
};

/// The protocol as configured.
#[derive(Clone, Debug)]
pub struct Relay {
    settings: Arc<RelaySettings>,
}

impl Relay {
    /// The protocol with `settings`.
    pub fn new(settings: RelaySettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Relay {
    fn id(&self) -> ProtocolId {
        ProtocolId::Relay
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn resumes(&self) -> bool {
        false
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::RelaySession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::RelayEncoding))]
    }

    fn routes(&self) -> axum::Router {
        endpoints::routes(self.settings.clone())
    }
}
