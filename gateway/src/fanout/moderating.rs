//! The one way to moderate a room: what the native protocol's `moderate` and the server API call.
//!
//! Decides which messages an action deletes, and that the log has it afterwards. The caller has made sure that `by` is a
//! moderator. What is in force is decided in `moderation`.

use std::sync::Arc;

use super::{poster::Poster, recent::Recent};
use crate::{
    bus::{AppendError, Bus},
    moderation::{Action, Moderator, Record, Refused},
    rooms::{Author, Entry, ProtocolId, RoomName, Unavailable, amendments},
};

/// Entries that are looked at, and messages that are deleted, at once.
const PAGE: u32 = 100;

/// Moderates the rooms of a ChatRoom. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Moderating {
    moderator: Moderator,
    poster: Poster,
    recent: Recent,
}

impl Moderating {
    /// Moderates with `moderator` what `bus` keeps.
    pub fn new(moderator: Moderator, bus: Arc<dyn Bus>) -> Self {
        let poster = Poster::new(Arc::clone(&bus), Arc::clone(moderator.moderation()));
        Self { moderator, poster, recent: Recent::new(bus) }
    }

    /// Carries `action` out in `room`, for every gateway; `by` speaks `protocol`. What failed may be tried again: a message is deleted once.
    pub async fn act(&self, by: &Author, protocol: ProtocolId, room: &RoomName, action: Action) -> Result<(), Refused> {
        action.check().map_err(Refused::BadRequest)?;
        match &action {
            Action::Delete { seq } => self.delete(by, protocol, room, *seq).await?,
            Action::Purge { person } => self.purge(by, protocol, room, person).await?,
            _ => {}
        }
        self.moderator.act(by, room, action).await
    }

    /// What was done, as [`Moderator::log`] tells it.
    pub async fn log(&self, before: Option<u64>, limit: u32) -> Result<Vec<Record>, Unavailable> {
        self.moderator.log(before, limit).await
    }

    async fn delete(&self, by: &Author, protocol: ProtocolId, room: &RoomName, seq: u64) -> Result<(), Refused> {
        let fates = self.poster.delete(room, by, protocol, &[seq]).await;
        fates.into_iter().try_for_each(|fate| fate.map(drop)).map_err(refused)
    }

    /// Deletes what the person has said until now, page by page from the newest one.
    async fn purge(&self, by: &Author, protocol: ProtocolId, room: &RoomName, person: &str) -> Result<(), Refused> {
        let mut before = None;
        loop {
            let page = self.recent.page(room, before, PAGE).await?;
            let theirs = |entry: &&Arc<Entry>| entry.is_message() && *entry.from.id == *person;
            let seqs: Vec<_> = page.entries.iter().filter(theirs).map(|entry| entry.seq).collect();
            for fate in self.poster.delete(room, by, protocol, &seqs).await {
                match fate {
                    // Somebody else deleted it meanwhile, or the history has no place for it any longer.
                    Ok(_) | Err(AppendError::Amendment(amendments::Refused::NotFound)) => {}
                    Err(error) => return Err(refused(error)),
                }
            }
            before = page.entries.first().map(|oldest| oldest.seq);
            if !page.more || before.is_none() {
                return Ok(());
            }
        }
    }
}

fn refused(error: AppendError) -> Refused {
    match error {
        AppendError::Amendment(amendments::Refused::NotFound) => Refused::NotFound,
        error => Refused::Unavailable(Unavailable(error.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::value::RawValue;

    use super::*;
    use crate::{
        bus::{History, memory::MemoryBus},
        fanout::poster::Message,
        moderation::Moderation,
        rooms::Content,
    };

    struct World {
        moderating: Moderating,
        poster: Poster,
        recent: Recent,
        room: RoomName,
    }

    fn author(id: &str) -> Author {
        Author { id: id.into(), name: id.into(), extra: None }
    }

    impl World {
        fn new() -> Self {
            let memory = MemoryBus::new(History { messages: 1000, age: Duration::from_secs(60) });
            let moderation = Moderation::in_memory(memory.clock(), Arc::default());
            let bus: Arc<dyn Bus> = Arc::new(memory);
            let poster = Poster::new(Arc::clone(&bus), Arc::clone(&moderation));
            let moderating = Moderating::new(Moderator::new(moderation), Arc::clone(&bus));
            Self { moderating, poster, recent: Recent::new(bus), room: RoomName::new("lobby").unwrap() }
        }

        async fn say(&self, person: &str, protocol: ProtocolId) -> u64 {
            let body = RawValue::from_string(r#"{"text":"hi"}"#.into()).unwrap();
            let content = Content { body, verbatim: None };
            let (room, from) = (self.room.clone(), author(person));
            let message = Message { room, protocol, from, key: None, content, amends: None };
            self.poster.post(message).await.unwrap().seq
        }

        async fn act(&self, action: Action) -> Result<(), Refused> {
            self.moderating.act(&author("m"), ProtocolId::Native, &self.room, action).await
        }

        /// Who wrote the messages that are left.
        async fn left(&self) -> Vec<String> {
            let left = self.recent.messages(&self.room, 1000).await.unwrap();
            left.iter().map(|entry| entry.from.id.to_string()).collect()
        }

        async fn log(&self) -> Vec<&'static str> {
            let log = self.moderating.log(None, 10).await.unwrap();
            log.iter().map(|record| record.act.action.name()).collect()
        }
    }

    #[tokio::test]
    async fn a_message_is_deleted_once_and_what_is_no_message_is_not_found() {
        let world = World::new();
        let seq = world.say("bob", ProtocolId::Relay).await;
        world.say("ada", ProtocolId::Native).await;
        assert_eq!(world.act(Action::Delete { seq: 9 }).await, Err(Refused::NotFound));
        assert!(world.log().await.is_empty(), "nothing was done");
        assert_eq!(world.act(Action::Delete { seq }).await, Ok(()));
        assert_eq!(world.left().await, ["ada"]);
        assert_eq!(world.log().await, ["delete"]);
        assert_eq!(world.act(Action::Delete { seq }).await, Ok(()), "sent again");
        let other =
            world.moderating.act(&author("other"), ProtocolId::Native, &world.room, Action::Delete { seq }).await;
        assert_eq!(other, Err(Refused::NotFound), "it is deleted");
        assert_eq!(world.act(Action::Delete { seq: 3 }).await, Err(Refused::NotFound), "that is the deletion");
    }

    #[tokio::test]
    async fn all_of_a_person_goes_over_many_pages_and_nothing_of_others() {
        let world = World::new();
        for n in 0..330 {
            world.say(if n % 3 == 0 { "ada" } else { "bob" }, ProtocolId::OnlyOne).await;
        }
        world.act(Action::Delete { seq: 2 }).await.unwrap();
        assert_eq!(world.act(Action::Purge { person: "bob".into() }).await, Ok(()));
        assert_eq!(world.left().await, vec!["ada"; 110]);
        let head = world.recent.page(&world.room, None, 1).await.unwrap().head.seq;
        assert_eq!(head, 330 + 220, "each message was deleted once");
        assert_eq!(world.act(Action::Purge { person: "bob".into() }).await, Ok(()), "nothing is left to delete");
        assert_eq!(world.log().await, ["purge", "purge", "delete"]);
    }
}
