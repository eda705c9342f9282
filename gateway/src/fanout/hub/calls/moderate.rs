//! Actions of moderators: passed on, and answered to the connection that asked.
//!
//! Decides nothing. A connection has one question at a time, so there are at most as many under way as connections.

use std::sync::Arc;

use super::super::call::{BusAccess, BusCall, Failure};
use crate::{
    fanout::{messages::ConnectionId, moderating::Moderating, session::Answer},
    moderation::{Action, Refused},
    rooms::{Author, ProtocolId, RoomName, Unavailable},
};

/// An action that a connection asks for.
pub(crate) struct ModerateCall {
    pub(crate) from: ConnectionId,
    pub(crate) room: RoomName,
    pub(crate) by: Author,
    pub(crate) protocol: ProtocolId,
    pub(crate) action: Action,
}

/// What became of it.
pub(crate) struct ModerateDone {
    from: ConnectionId,
    result: Result<(), Refused>,
}

impl ModerateDone {
    /// Who is answered what.
    pub(crate) fn answer(self) -> (ConnectionId, Answer) {
        (self.from, Answer::Moderated(self.result))
    }
}

impl BusCall for ModerateCall {
    type Done = ModerateDone;

    async fn run(self, BusAccess { moderator, bus, .. }: &BusAccess) -> ModerateDone {
        let Self { from, room, by, protocol, action } = self;
        let moderating = Moderating::new(moderator.clone(), Arc::clone(bus));
        ModerateDone { from, result: moderating.act(&by, protocol, &room, action).await }
    }
}

impl Failure for ModerateDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        match &self.result {
            Err(Refused::Unavailable(error)) => Some(("failed to moderate", error)),
            _ => None,
        }
    }
}
