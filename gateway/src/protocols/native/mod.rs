//! `native`: Parlor's own protocol, TEXT frames of one JSON object each, with positions, acknowledgements and gaps.
//!
//! Decides what its operations mean ([`request`], [`session`]), which posts wait for others ([`order`]) and how entries look to its readers ([`encoding`]).
//! Never does I/O; the reactors drive its sessions, the hub its encoding. The server API has the same rules and shapes.

mod answer;
mod bounds;
mod credential;
mod encoding;
mod fate;
mod identity;
mod item;
mod moderate;
mod order;
mod page;
mod reply;
mod request;
mod session;
mod settings;
mod sign_in;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use bounds::{Problem, check_body, check_id, check_key, check_name, check_room};
pub(crate) use identity::issue;
pub(crate) use item::{Item, Person, people};
pub(crate) use moderate::code_of;
pub(crate) use page::fitting;
pub(crate) use reply::{Code, epoch};
pub(crate) use request::action;
pub use settings::{ENCODING, NativeSettings};

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
pub struct Native {
    settings: Arc<NativeSettings>,
}

impl Native {
    /// The protocol with `settings`.
    pub fn new(settings: NativeSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Native {
    fn id(&self) -> ProtocolId {
        ProtocolId::Native
    }

    fn over_rate(&self) -> OverRate {
        OverRate::Answer
    }

    fn resumes(&self) -> bool {
        true
    }

    fn accept(&self, handshake: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        let token = credential::bearer(&self.settings, handshake.headers);
        let shown = token.map(|token| credential::read(&self.settings, token, handshake.unix)).transpose();
        let shown = shown.map_err(|not_shown| not_shown.refusal())?;
        Ok(Box::new(session::NativeSession::new(self.settings.clone(), shown)))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::NativeEncoding))]
    }
}
