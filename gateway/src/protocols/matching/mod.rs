//! `match`: strangers talk in pairs, over TEXT JSON with a `cmd` in each frame. (`match` is a Rust keyword, so the
//! module has another name; manifests, metrics and paths say `match`.)
//!
//! Decides what its commands mean ([`session`]), who a connection acts for ([`accounts`]) and how they are written
//! ([`wire`]). The directory decides, for the whole ChatRoom at once, who holds an account and who talks with whom. What
//! a person receives is posted into their inbox, a private room.

mod accounts;
mod encoding;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use futures::future::BoxFuture;
pub use settings::{ENCODING, MatchSettings};

use crate::{
    directory::{
        keeper::Notices,
        pairs::{Exit, inbox},
    },
    fanout::{
        encoding::{Encoding, EncodingId},
        poster::Poster,
        session::{OverRate, Session},
    },
    protocols::{Handshake, Protocol, Refusal},
    rooms::{Author, Origin, Post, ProtocolId},
};

/// The protocol as configured.
#[derive(Clone, Debug)]
pub struct Match {
    settings: Arc<MatchSettings>,
}

impl Match {
    /// The protocol with `settings`.
    pub fn new(settings: MatchSettings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Protocol for Match {
    fn id(&self) -> ProtocolId {
        ProtocolId::Match
    }

    fn over_rate(&self) -> OverRate {
        OverRate::StopReading
    }

    fn resumes(&self) -> bool {
        true
    }

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::MatchSession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::InboxEncoding))]
    }
}

/// Tells people whom the directory found to be left, by a message in their inbox.
pub struct ExitNotices {
    poster: Poster,
}

impl ExitNotices {
    /// Posts through `poster`.
    pub fn new(poster: Poster) -> Self {
        Self { poster }
    }
}

impl Notices for ExitNotices {
    fn tell(&self, exit: Exit) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let posted = self.poster.try_once(&exit_notice(exit)).await;
            if let Err(error) = &posted {
                tracing::debug!(%error, "failed to post an exit notice; the next tick posts it");
            }
            posted.is_ok()
        })
    }
}

/// What `exit.partner` finds in their inbox.
fn exit_notice(exit: Exit) -> Post {
    Post {
        room: inbox(exit.partner),
        from: Author { id: "0".into(), name: "system".into(), extra: None },
        protocol: ProtocolId::Match,
        key: format!("exit-{}-{}", exit.session, exit.account).into(),
        content: wire::content(wire::partner_exit(exit.session, exit.partner, exit.account)),
        amends: None,
        durable: false,
        origin: Origin::default(),
    }
}
