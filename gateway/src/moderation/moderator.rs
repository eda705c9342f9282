//! Puts an action into force and into the log, for the native protocol's `moderate` and the server API.
//!
//! Decides whether an action is within its bounds, and what stops it. The caller has made sure that `by` is a
//! moderator. Messages are deleted by who knows rooms, before it is written here.

use std::sync::Arc;

use super::{
    action::{Act, Action},
    in_force::Moderation,
    record::Record,
    store::{ActError, PAGE},
};
use crate::rooms::{Author, RoomName, Unavailable};

/// Why an action was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Names the field, and what would be right.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The room's history has no such message.
    #[error("the room's history has no such message")]
    NotFound,
    /// The ChatRoom has as many restrictions as it can have.
    #[error(transparent)]
    Full(ActError),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Moderates the ChatRoom. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Moderator {
    moderation: Arc<Moderation>,
}

impl Moderator {
    /// Moderates with `moderation`.
    pub fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    /// What is in force.
    pub fn moderation(&self) -> &Arc<Moderation> {
        &self.moderation
    }

    /// Puts `action` into force in `room`, for every gateway, and writes it into the log.
    pub async fn act(&self, by: &Author, room: &RoomName, action: Action) -> Result<(), Refused> {
        action.check().map_err(Refused::BadRequest)?;
        let act = Act { by: by.clone(), room: room.clone(), action };
        self.moderation.carry_out(act).await.map_err(|error| match error {
            ActError::Unavailable(error) => Refused::Unavailable(error),
            full @ ActError::Full(_) => Refused::Full(full),
        })
    }

    /// What was done, newest first: at most `limit` and [`PAGE`] actions below number `before`. Reaches back as far as
    /// [`super::store::LOG`] actions.
    pub async fn log(&self, before: Option<u64>, limit: u32) -> Result<Vec<Record>, Unavailable> {
        self.moderation.store.log(before, limit.clamp(1, PAGE)).await
    }
}
