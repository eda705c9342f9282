//! `multiperson`: one client that was written twice, and so speaks two dialects. In [`Dialect::Broadcast`] all talk in a
//! single room and see every frame; in [`Dialect::Blocks`] people write to each other and to groups, called blocks, with
//! confirmations. Frames are JSON, in TEXT or BINARY; the server answers in TEXT.
//!
//! Decides which dialect a connection speaks and what its messages mean ([`session`], [`blocks`], [`outgoing`]), and how
//! entries look to readers of either ([`encoding`]). People, blocks and what is kept for them are the directory's.
//!
//! [`Dialect::Broadcast`]: frame::Dialect::Broadcast
//! [`Dialect::Blocks`]: frame::Dialect::Blocks

mod blocks;
mod effects;
mod encoding;
mod endpoints;
mod frame;
mod outgoing;
mod session;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use settings::{BLOCK, BROADCAST, MultiPersonSettings};

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
pub struct MultiPerson {
    settings: Arc<MultiPersonSettings>,
}

impl MultiPerson {
    /// The protocol with `settings`.
    pub fn new(settings: MultiPersonSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for MultiPerson {
    fn id(&self) -> ProtocolId {
        ProtocolId::MultiPerson
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn resumes(&self) -> bool {
        false
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::MultiPersonSession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(BROADCAST, Arc::new(encoding::Broadcast)), (BLOCK, Arc::new(encoding::Block))]
    }

    fn routes(&self) -> axum::Router {
        endpoints::routes(&self.settings)
    }
}
