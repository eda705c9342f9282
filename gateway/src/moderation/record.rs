//! An action that was carried out: its number, when, how long it is in force, and what it was.
//!
//! Decides how it is stored. The same text is a row of what is in force and an item of the audit log:
//! `<number> <time> <until> <JSON>`; the script adds the first three, and `until` 0 is no end. Pure.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::action::{Act, Action};
use crate::rooms::{Author, RoomName};

/// An action that was carried out. Times are the Redis server's, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3, … in the ChatRoom.
    pub number: u64,
    pub time: u64,
    /// When it ends; None until it is undone, or for what is over at once.
    pub until: Option<u64>,
    pub act: Act,
}

impl Record {
    /// Whether it has not ended at `now`.
    pub fn is_in_force(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What is stored of an [`Act`].
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    room: std::borrow::Cow<'a, str>,
    by: Author,
    #[serde(flatten)]
    action: StoredAction,
}

/// Also reads what gateways write themselves, which nobody can ask for.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredAction {
    Asked(Action),
    Address(AddressAction),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum AddressAction {
    BanAddress { person: Arc<str>, address: IpAddr, seconds: u64 },
}

impl From<Action> for StoredAction {
    fn from(action: Action) -> Self {
        match action {
            Action::BanAddress { person, address, seconds } => {
                Self::Address(AddressAction::BanAddress { person, address, seconds })
            }
            asked => Self::Asked(asked),
        }
    }
}

impl From<StoredAction> for Action {
    fn from(stored: StoredAction) -> Self {
        match stored {
            StoredAction::Asked(action) => action,
            StoredAction::Address(AddressAction::BanAddress { person, address, seconds }) => {
                Self::BanAddress { person, address, seconds }
            }
        }
    }
}

/// The JSON of an act.
pub(super) fn write(act: &Act) -> String {
    let Act { by, room, action } = act;
    // The picture of an author is nothing to the log.
    let by = Author { extra: None, ..by.clone() };
    let stored = Stored { room: room.as_str().into(), by, action: action.clone().into() };
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads what is stored; None for what this release does not know.
pub fn read(text: &str) -> Option<Record> {
    let mut parts = text.splitn(4, ' ');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (number, time, until) = (number()?, number()?, number()?);
    let Stored { room, by, action } = serde_json::from_str(parts.next()?).ok()?;
    let room = RoomName::stored(&room).ok()?;
    Some(Record { number, time, until: (until > 0).then_some(until), act: Act { by, room, action: action.into() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_read_back_as_it_was_written() {
        let person: Arc<str> = "u2".into();
        let actions = [
            Action::Mute { person: person.clone(), seconds: 5 },
            Action::Unmute { person: person.clone() },
            Action::Kick { person: person.clone() },
            Action::Ban { person: person.clone(), seconds: 0, address: true },
            Action::Unban { person: person.clone() },
            Action::Slow { seconds: 3 },
            Action::Readonly { on: false, seconds: 0 },
            Action::Delete { seq: 7 },
            Action::Purge { person: person.clone() },
            Action::BanAddress { person, address: "2001:db8::".parse().unwrap(), seconds: 9 },
        ];
        for action in actions {
            let by = Author { id: "m".into(), name: "mod erator".into(), extra: None };
            let act = Act { by, room: RoomName::new("a b").unwrap(), action };
            let text = format!("3 1795172464819 0 {}", write(&act));
            assert_eq!(read(&text), Some(Record { number: 3, time: 1_795_172_464_819, until: None, act }), "{text}");
        }
    }

    #[test]
    fn what_a_later_release_wrote_is_no_record() {
        for text in ["", "1 2 3", "1 2 3 {}", r#"1 2 3 {"room":"a","by":{"id":"m","name":"m"},"action":"hug"}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
