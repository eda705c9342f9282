//! Who somebody is to Parlor: the person, what they may do, in which rooms, and until when.
//!
//! Decides which rooms an identity is good for and whether it has ended. Never reads a token: the doors of the protocols
//! make identities, and sessions keep one for as long as the connection lasts.

use std::sync::Arc;

use super::{Author, RoomName};

/// What a person may do beyond reading and writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Member,
    /// May change what others wrote, and keep people out.
    Moderator,
}

impl Role {
    /// As tokens and frames write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Member, Self::Moderator].into_iter().find(|role| role.name() == name)
    }
}

/// The rooms that somebody may use: all, or those that a list names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomsAllowed(Option<Arc<[Pattern]>>);

/// One entry of a list: a name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exactly(Box<str>),
    BeginningWith(Box<str>),
}

impl RoomsAllowed {
    /// Every room.
    pub fn all() -> Self {
        Self(None)
    }

    /// The rooms of a list. `*` at the end of an entry is for any ending; anywhere else it is a character of the name.
    pub fn listed<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let pattern = |entry: &str| match entry.strip_suffix('*') {
            Some(beginning) => Pattern::BeginningWith(beginning.into()),
            None => Pattern::Exactly(entry.into()),
        };
        Self(Some(entries.into_iter().map(pattern).collect()))
    }

    /// Whether `room` is among them.
    pub fn allows(&self, room: &RoomName) -> bool {
        let matches = |pattern: &Pattern| match pattern {
            Pattern::Exactly(name) => room.as_str() == &**name,
            Pattern::BeginningWith(beginning) => room.as_str().starts_with(&**beginning),
        };
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
    }
}

/// Who a connection acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As others see the person.
    pub person: Author,
    pub role: Role,
    pub rooms: RoomsAllowed,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
}

impl Identity {
    /// A person about whom nothing more is known: an ordinary member, in any room, for as long as the connection lasts.
    pub fn of(person: Author) -> Self {
        Self { person, role: Role::Member, rooms: RoomsAllowed::all(), expires: None }
    }

    /// Whether it has ended at `unix`, in milliseconds since the Unix epoch.
    pub fn has_expired(&self, unix: u64) -> bool {
        self.expires.is_some_and(|expires| unix >= expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rooms: &RoomsAllowed, room: &str) -> bool {
        rooms.allows(&RoomName::new(room).unwrap())
    }

    #[test]
    fn a_list_names_rooms_exactly_or_by_their_beginning() {
        let rooms = RoomsAllowed::listed(["lobby", "team-*"]);
        for (room, allowed) in
            [("lobby", true), ("lobby2", false), ("Lobby", false), ("team-", true), ("team-a", true), ("team", false)]
        {
            assert_eq!(allows(&rooms, room), allowed, "{room}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing_and_a_lone_star_everything() {
        assert!(!allows(&RoomsAllowed::listed([]), "lobby"));
        assert!(allows(&RoomsAllowed::listed(["*"]), "lobby"));
        assert!(allows(&RoomsAllowed::all(), "lobby"));
        let inner = RoomsAllowed::listed(["a*b"]);
        assert!(allows(&inner, "a*b") && !allows(&inner, "axb"));
    }

    #[test]
    fn an_identity_ends_at_its_time_and_not_before() {
        let ada = Author { id: "u1".into(), name: "ada".into(), extra: None };
        let ends = Identity { expires: Some(1_000), ..Identity::of(ada.clone()) };
        assert_eq!([999, 1_000, 1_001].map(|unix| ends.has_expired(unix)), [false, true, true]);
        assert!(!Identity::of(ada).has_expired(u64::MAX));
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in [Role::Member, Role::Moderator] {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("admin"), None);
    }
}
