//! `match`: strangers talk in pairs, over TEXT JSON with a `cmd` in each frame. (`match` is a Rust keyword, so the
//! module has another name; manifests, metrics and paths say `match`.)
//!
//! Decides what its commands mean ([`session`]), who a connection acts for ([`accounts`]) and how they are written ([`wire`]). The directory decides, for the whole
//! ChatRoom at once, who holds an account and who talks with whom; what a person is to receive is posted into
//! their inbox, a private room.

mod accounts;
mod encoding;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

pub use settings::{ENCODING, Settings};

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{
    bus::{AppendError, Appended, Bus},
    directory::{
        keeper::Notices,
        pairs::{Exit, inbox},
    },
    fanout::{
        encoding::{Encoding, EncodingId},
        session::{OverRate, Session},
    },
    protocols::{Handshake, Protocol, Refusal},
    rooms::{Author, Origin, Partition, Post, ProtocolId},
};

/// The protocol as configured.
#[derive(Clone, Debug)]
pub struct Match {
    settings: Arc<Settings>,
}

impl Match {
    /// The protocol with `settings`.
    pub fn new(settings: Settings) -> Self {
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

    fn accept(&self, _: &Handshake<'_>) -> Result<Box<dyn Session>, Refusal> {
        Ok(Box::new(session::MatchSession::new(self.settings.clone())))
    }

    fn encodings(&self) -> Vec<(EncodingId, Arc<dyn Encoding>)> {
        vec![(ENCODING, Arc::new(encoding::InboxEncoding))]
    }
}

/// Tells people whom the directory found to be left, by a message in their inbox.
pub struct ExitNotices {
    bus: Arc<dyn Bus>,
}

impl ExitNotices {
    /// Posts through `bus`.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus }
    }

    async fn post(&self, exit: Exit) -> Result<Appended, AppendError> {
        let post = exit_notice(exit);
        let mut answers = self.bus.append(Partition::of(&post.room), std::slice::from_ref(&post)).await?;
        answers.pop().unwrap_or(Err(AppendError::Unavailable("the bus answered nothing".into())))
    }
}

impl Notices for ExitNotices {
    fn tell(&self, exit: Exit) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let posted = self.post(exit).await;
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
        durable: false,
        origin: Origin::default(),
    }
}
