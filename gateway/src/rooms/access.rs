//! Who may read and write what: one decision for every door.
//!
//! Decides about a room, a protocol and what is known of the one who comes through it. Never reads a credential: doors
//! say what they were shown. Called by the sessions and endpoints of every protocol; the table in SECURITY.md is this
//! file in words, and the tests below have a line for each of its cells.

use std::collections::HashSet;

use super::{Identity, PerProtocol, ProtocolId, RoomName};

/// What somebody wants with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its messages, its history, who is there.
    Read,
    /// To add to it; `member`: while being in it.
    Write { member: bool },
}

/// What a door knows of the one who comes.
#[derive(Clone, Copy, Debug)]
pub enum Visitor<'a> {
    /// Nothing.
    Stranger,
    /// A name, or a token that everybody gets.
    Anonymous,
    /// A token of the door's own that somebody was given.
    Holder,
    /// Who they are elsewhere.
    Person(&'a Identity),
}

/// The door of one protocol, as the ChatRoom sets it.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The rooms that may be used; None: any that nobody guards.
    pub rooms: Option<HashSet<RoomName>>,
    /// Strangers may not even read.
    pub asks: bool,
    /// Not everybody gets what it asks for, so that the rooms on its list are guarded: other doors show them only to
    /// those who are known, unless they list them as well.
    pub guards: bool,
    /// Only who is in a room writes to it.
    pub members_write: bool,
}

/// The doors of a ChatRoom; by default they are open, and nobody guards a room.
#[derive(Clone, Debug, Default)]
pub struct Access {
    doors: PerProtocol<Door>,
    guarded: HashSet<RoomName>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The room is none of this door's, or is guarded.
    Closed,
    /// Something has to be shown first.
    Unknown,
    /// The person's own list does not have the room.
    OutsideList,
    NotAMember,
}

impl Access {
    /// These doors. A protocol that is not among them is not served.
    pub fn new(doors: impl IntoIterator<Item = (ProtocolId, Door)>) -> Self {
        let mut given: Vec<_> = doors.into_iter().collect();
        let guards = given.iter().filter(|(_, door)| door.guards);
        let guarded = guards.flat_map(|(_, door)| door.rooms.iter().flatten()).cloned().collect();
        let doors = PerProtocol::from_fn(|protocol| {
            let at = given.iter().position(|(of, _)| *of == protocol);
            at.map(|at| given.swap_remove(at).1).unwrap_or_default()
        });
        Self { doors, guarded }
    }

    /// Whether the door of `protocol` lets `visitor` have what they want with `room`.
    pub fn may(&self, protocol: ProtocolId, visitor: Visitor<'_>, want: Want, room: &RoomName) -> Result<(), Denied> {
        let Door { rooms, asks, guards: _, members_write } = &self.doors[protocol];
        let listed = rooms.as_ref().map(|rooms| rooms.contains(room));
        if listed == Some(false) {
            return Err(Denied::Closed);
        }
        match visitor {
            Visitor::Stranger if *asks => return Err(Denied::Unknown),
            Visitor::Stranger | Visitor::Anonymous if listed.is_none() && self.guarded.contains(room) => {
                return Err(Denied::Closed);
            }
            Visitor::Person(identity) if !identity.rooms.allows(room) => return Err(Denied::OutsideList),
            Visitor::Stranger | Visitor::Anonymous | Visitor::Holder | Visitor::Person(_) => {}
        }
        match want {
            Want::Write { member: false } if *members_write => Err(Denied::NotAMember),
            Want::Read | Want::Write { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Author, RoomsAllowed};

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    fn rooms(names: &[&str]) -> Option<HashSet<RoomName>> {
        Some(names.iter().map(|name| room(name)).collect())
    }

    /// Relay guards `staff`; OnlyOne lists `hall` and `staff`; the others list nothing.
    fn access(anonymous: bool) -> Access {
        let native = Door { asks: !anonymous, members_write: true, ..Door::default() };
        let onlyone = Door { rooms: rooms(&["hall", "staff"]), ..Door::default() };
        let relay = Door { rooms: rooms(&["staff"]), asks: true, guards: true, members_write: true };
        Access::new([(ProtocolId::Native, native), (ProtocolId::OnlyOne, onlyone), (ProtocolId::Relay, relay)])
    }

    const READ: Want = Want::Read;
    const SPEAK: Want = Want::Write { member: true };
    const SHOUT: Want = Want::Write { member: false };

    /// What a visitor may do with the rooms hall, staff and team: read, write as a member, write from outside.
    fn row(access: &Access, protocol: ProtocolId, visitor: Visitor<'_>) -> String {
        let cell = |name: &str| {
            let may = |(want, letter)| access.may(protocol, visitor, want, &room(name)).map_or('-', |()| letter);
            [(READ, 'r'), (SPEAK, 'w'), (SHOUT, 's')].map(may).iter().collect::<String>()
        };
        ["hall", "staff", "team"].map(cell).join(" ")
    }

    #[test]
    fn every_cell_of_the_table() {
        use ProtocolId::{MultiPerson, Native, OnlyOne, Relay};
        let ada = Author { id: "j:1".into(), name: "ada".into(), extra: None };
        let anywhere = Identity::of(ada);
        let team = Identity { rooms: RoomsAllowed::listed(["team"]), ..anywhere.clone() };
        let (anywhere, team) = (Visitor::Person(&anywhere), Visitor::Person(&team));
        let open = access(true);
        let closed = access(false);
        let table = [
            // Native, open to everybody: what relay guards is not for strangers.
            (&open, Native, Visitor::Stranger, "rw- --- rw-"),
            (&open, Native, Visitor::Anonymous, "rw- --- rw-"),
            (&open, Native, Visitor::Holder, "rw- rw- rw-"),
            (&open, Native, anywhere, "rw- rw- rw-"),
            (&open, Native, team, "--- --- rw-"),
            // Native for those who are known.
            (&closed, Native, Visitor::Stranger, "--- --- ---"),
            (&closed, Native, Visitor::Holder, "rw- rw- rw-"),
            (&closed, Native, anywhere, "rw- rw- rw-"),
            (&closed, Native, team, "--- --- rw-"),
            // OnlyOne lists a guarded room as well: that is how the ChatRoom opens it.
            (&open, OnlyOne, Visitor::Stranger, "rws rws ---"),
            (&open, OnlyOne, Visitor::Holder, "rws rws ---"),
            // Relay, with membership required.
            (&open, Relay, Visitor::Stranger, "--- --- ---"),
            (&open, Relay, Visitor::Anonymous, "--- rw- ---"),
            (&open, Relay, Visitor::Holder, "--- rw- ---"),
            // A protocol whose clients have no credential.
            (&open, MultiPerson, Visitor::Stranger, "rws --- rws"),
        ];
        for (access, protocol, visitor, cells) in table {
            assert_eq!(row(access, protocol, visitor), cells, "{} {visitor:?}", protocol.name());
        }
    }

    #[test]
    fn each_refusal_says_what_is_missing() {
        let (open, closed) = (access(true), access(false));
        let ada = Author { id: "j:1".into(), name: "ada".into(), extra: None };
        let team = Identity { rooms: RoomsAllowed::listed(["team"]), ..Identity::of(ada) };
        let table = [
            (&closed, ProtocolId::Native, Visitor::Stranger, READ, "hall", Denied::Unknown),
            (&open, ProtocolId::Native, Visitor::Anonymous, READ, "staff", Denied::Closed),
            (&open, ProtocolId::Native, Visitor::Person(&team), READ, "hall", Denied::OutsideList),
            (&open, ProtocolId::Native, Visitor::Anonymous, SHOUT, "hall", Denied::NotAMember),
            (&open, ProtocolId::OnlyOne, Visitor::Stranger, READ, "team", Denied::Closed),
        ];
        for (access, protocol, visitor, want, name, denied) in table {
            assert_eq!(access.may(protocol, visitor, want, &room(name)), Err(denied), "{visitor:?} {name}");
        }
    }
}
