//! What a moderator can do, as the native protocol, the server API and the audit log write it.
//!
//! Decides which actions are within their bounds. Never whether somebody may moderate: that is for who reads the request.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::rooms::{Author, RoomName};

/// Longest time that an action may last: a leap year. What is to last longer has no end.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest pause that a slow room may ask for: six hours.
pub const SLOWEST: Duration = Duration::from_secs(6 * 3600);
/// Longest id of a person, in bytes.
const PERSON_BYTES: usize = 512;

/// One action in one room. `seconds` is how long it lasts, and 0 until it is undone; of a slow room it is the pause between
/// two messages of a person, and 0 ends it. A person is the id that messages show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    Mute {
        person: Arc<str>,
        #[serde(default, skip_serializing_if = "is_zero")]
        seconds: u64,
    },
    Unmute {
        person: Arc<str>,
    },
    /// Closes the person's connections in the room. They may come back.
    Kick {
        person: Arc<str>,
    },
    Ban {
        person: Arc<str>,
        #[serde(default, skip_serializing_if = "is_zero")]
        seconds: u64,
        /// Also the addresses that the person is connected from.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        address: bool,
    },
    /// Ends a ban, and those of the addresses that came with it.
    Unban {
        person: Arc<str>,
    },
    Slow {
        seconds: u64,
    },
    Readonly {
        on: bool,
        #[serde(default, skip_serializing_if = "is_zero")]
        seconds: u64,
    },
    /// Deletes a message.
    Delete {
        seq: u64,
    },
    /// Deletes every message of the person that the room's history has.
    Purge {
        person: Arc<str>,
    },
    /// Written by a gateway that a banned person was connected to. Nobody can ask for it.
    #[serde(skip_deserializing)]
    BanAddress {
        person: Arc<str>,
        address: IpAddr,
        seconds: u64,
    },
}

fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

impl Action {
    /// What is wrong with it: names the field, and says what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        let person_fits =
            |person: &str| (1..=PERSON_BYTES).contains(&person.len()) && !person.contains(char::is_control);
        if !self.person().is_none_or(|person| person_fits(person)) {
            return Err("person is an id of 1 to 512 bytes without control characters");
        }
        match *self {
            Self::Mute { seconds, .. } | Self::Ban { seconds, .. } | Self::Readonly { seconds, .. }
                if seconds > LONGEST.as_secs() =>
            {
                Err("seconds is at most 31622400; 0 or none lasts until it is undone")
            }
            Self::Delete { seq: 0 } => Err("seq is that of a message, from 1"),
            Self::Slow { seconds } if seconds > SLOWEST.as_secs() => Err("seconds is at most 21600; 0 ends slow mode"),
            _ => Ok(()),
        }
    }

    /// On whom it is, if it is on somebody.
    pub fn person(&self) -> Option<&Arc<str>> {
        match self {
            Self::Mute { person, .. }
            | Self::Unmute { person }
            | Self::Kick { person }
            | Self::Ban { person, .. }
            | Self::Unban { person }
            | Self::Purge { person }
            | Self::BanAddress { person, .. } => Some(person),
            Self::Slow { .. } | Self::Readonly { .. } | Self::Delete { .. } => None,
        }
    }

    /// As the log names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mute { .. } => "mute",
            Self::Unmute { .. } => "unmute",
            Self::Kick { .. } => "kick",
            Self::Ban { .. } => "ban",
            Self::Unban { .. } => "unban",
            Self::Slow { .. } => "slow",
            Self::Readonly { .. } => "readonly",
            Self::Delete { .. } => "delete",
            Self::Purge { .. } => "purge",
            Self::BanAddress { .. } => "ban_address",
        }
    }

    /// How long it lasts, in seconds; 0 without an end.
    pub(super) fn lasts(&self) -> u64 {
        match *self {
            Self::Mute { seconds, .. }
            | Self::Ban { seconds, .. }
            | Self::BanAddress { seconds, .. }
            | Self::Readonly { on: true, seconds } => seconds,
            _ => 0,
        }
    }
}

/// An action, who did it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub by: Author,
    pub room: RoomName,
    pub action: Action,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_as_the_protocol_writes_them() {
        let person: Arc<str> = "u2".into();
        let table = [
            (r#"{"action":"mute","person":"u2","seconds":600}"#, Action::Mute { person: person.clone(), seconds: 600 }),
            (r#"{"action":"mute","person":"u2"}"#, Action::Mute { person: person.clone(), seconds: 0 }),
            (r#"{"action":"unmute","person":"u2"}"#, Action::Unmute { person: person.clone() }),
            (r#"{"action":"kick","person":"u2"}"#, Action::Kick { person: person.clone() }),
            (
                r#"{"action":"ban","person":"u2","address":true}"#,
                Action::Ban { person: person.clone(), seconds: 0, address: true },
            ),
            (r#"{"action":"unban","person":"u2"}"#, Action::Unban { person: person.clone() }),
            (r#"{"action":"delete","seq":7}"#, Action::Delete { seq: 7 }),
            (r#"{"action":"purge","person":"u2"}"#, Action::Purge { person }),
            (r#"{"action":"slow","seconds":0}"#, Action::Slow { seconds: 0 }),
            (r#"{"action":"readonly","on":true}"#, Action::Readonly { on: true, seconds: 0 }),
        ];
        for (text, action) in table {
            assert_eq!(serde_json::from_str::<Action>(text).unwrap(), action, "{text}");
            assert_eq!(serde_json::to_string(&action).unwrap(), text);
            assert_eq!(action.check(), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_by_the_name_of_its_field() {
        let long: Arc<str> = "x".repeat(513).into();
        let table = [
            (Action::Kick { person: "".into() }, "person"),
            (Action::Kick { person: long }, "person"),
            (Action::Mute { person: "a\u{1}b".into(), seconds: 0 }, "person"),
            (Action::Mute { person: "a".into(), seconds: LONGEST.as_secs() + 1 }, "seconds"),
            (Action::Slow { seconds: SLOWEST.as_secs() + 1 }, "seconds"),
            (Action::Readonly { on: true, seconds: u64::MAX }, "seconds"),
            (Action::Delete { seq: 0 }, "seq"),
            (Action::Purge { person: "".into() }, "person"),
        ];
        for (action, field) in table {
            assert!(action.check().unwrap_err().starts_with(field), "{action:?}");
        }
    }

    #[test]
    fn nobody_can_ask_for_what_gateways_write_themselves() {
        let text = r#"{"action":"ban_address","person":"u2","address":"192.0.2.1","seconds":0}"#;
        assert!(serde_json::from_str::<Action>(text).is_err());
    }
}
