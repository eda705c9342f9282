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

/// Pages of the log that are looked through for the actions in one room: some milliseconds of Redis.
const PAGES: usize = 10;

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

/// Some of what was done in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    /// Newest first.
    pub records: Vec<Record>,
    /// Older ones may be found below this number.
    pub before: Option<u64>,
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

    /// What was done in `room`, newest first: at most `limit` actions below number `before`. The addresses of banned people
    /// are for the server API alone.
    pub async fn actions_in(&self, room: &RoomName, before: Option<u64>, limit: u32) -> Result<Actions, Unavailable> {
        let mut actions = Actions { records: Vec::new(), before };
        for _ in 0..PAGES {
            let page = self.log(actions.before, PAGE).await?;
            let Some(oldest) = page.last().map(|record| record.number) else {
                return Ok(Actions { before: None, ..actions });
            };
            let of_room =
                |record: &Record| record.act.room == *room && !matches!(record.act.action, Action::BanAddress { .. });
            for record in page.into_iter().filter(of_room) {
                if actions.records.len() == limit as usize {
                    let before = actions.records.last().map(|last| last.number);
                    return Ok(Actions { before, ..actions });
                }
                actions.records.push(record);
            }
            actions.before = Some(oldest);
        }
        Ok(actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    #[tokio::test]
    async fn the_actions_in_a_room_are_found_page_by_page_among_those_in_others() {
        let moderator = Moderator::new(Moderation::in_memory(Clock::start(), Arc::default()));
        let by = Author { id: "m".into(), name: "mod".into(), extra: None };
        for n in 0..2_500 {
            let of = room(if n % 250 == 0 { "lobby" } else { "other" });
            moderator.act(&by, &of, Action::Kick { person: "bob".into() }).await.unwrap();
        }
        let address = Action::BanAddress { person: "bob".into(), address: [192, 0, 2, 1].into(), seconds: 0 };
        moderator.act(&by, &room("lobby"), address).await.unwrap();
        let (mut numbers, mut before, mut asked) = (Vec::new(), None, 0);
        loop {
            let actions = moderator.actions_in(&room("lobby"), before, 3).await.unwrap();
            numbers.extend(actions.records.iter().map(|record| record.number));
            before = actions.before;
            asked += 1;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(numbers, [2251, 2001, 1751, 1501, 1251, 1001, 751, 501, 251, 1], "none twice, none left out");
        assert!(asked <= 6, "{asked} requests");
    }
}
