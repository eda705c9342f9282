//! Actions of moderators, and the log of them: passed on, and answered to the connection that asked.
//!
//! Decides nothing. A connection has one question at a time, so there are at most as many under way as connections.

use std::sync::Arc;

use super::super::call::{BusAccess, BusCall, Failure};
use crate::{
    fanout::{messages::ConnectionId, moderating::Moderating, session::Answer},
    moderation::{Action, Actions, Refused},
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

/// What moderators did, that a connection asks for.
pub(crate) struct ActionsCall {
    pub(crate) from: ConnectionId,
    pub(crate) room: RoomName,
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
}

/// What the log said.
pub(crate) struct ActionsDone {
    from: ConnectionId,
    result: Result<Actions, Unavailable>,
}

impl ActionsDone {
    /// Who is answered what.
    pub(crate) fn answer(self) -> (ConnectionId, Answer) {
        (self.from, Answer::Actions(self.result))
    }
}

impl BusCall for ActionsCall {
    type Done = ActionsDone;

    async fn run(self, BusAccess { moderator, .. }: &BusAccess) -> ActionsDone {
        let Self { from, room, before, limit } = self;
        ActionsDone { from, result: moderator.actions_in(&room, before, limit).await }
    }
}

impl Failure for ActionsDone {
    fn failure(&self) -> Option<(&'static str, &Unavailable)> {
        self.result.as_ref().err().map(|error| ("failed to read the log of moderation", error))
    }
}
