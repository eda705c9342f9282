//! `onlyone`: the protocol of OnlyOne's web client: requests, responses and pushes as TEXT JSON.
//!
//! Decides what its routes mean ([`session`]), how entries look ([`encoding`]), and who may connect ([`token`]). Never
//! does I/O; what `getRoomInfo` tells of the process is measured elsewhere ([`ProcessStats`]).

mod avatar;
mod encoding;
mod envelope;
mod identity;
mod names;
mod process_stats;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

pub use process_stats::{ProcessStats, Usage};
pub use settings::{ENCODING, OnlyOneSettings};
pub use token::{TokenKey, TokenKeyError};

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
pub struct OnlyOne {
    settings: Arc<OnlyOneSettings>,
}

impl OnlyOne {
    /// The protocol with `settings`.
    pub fn new(settings: OnlyOneSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for OnlyOne {
    fn id(&self) -> ProtocolId {
        ProtocolId::OnlyOne
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn resumes(&self) -> bool {
        false
    }

    fn accept(&self, handshake: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        token::check_origin(&self.settings.allowed_origins, handshake.headers)?;
        if let Some(key) = &self.settings.token_key {
            token::check_token(key, handshake.target)?;
        }
        Ok(Box::new(session::OnlyOneSession::new(self.settings.clone(), handshake.public_url)))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::OnlyOneEncoding { base: self.settings.public_url.clone() }))]
    }

    fn routes(&self) -> axum::Router {
        avatar::routes()
    }
}
