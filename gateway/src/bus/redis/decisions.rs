//! The directory's scripts: their text, the keys that they name, and the limits that they keep.

use super::super::directory::{
    pairs::{ACCOUNTS, FIRST_ID, KEPT, SESSIONS_PER_ACCOUNT},
    people, social,
};

/// A script with its keys, in its order, and the settings that come before its operation.
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) limits: &'static [u64],
    pub(super) names: &'static [&'static str],
}

pub(super) const PAIRS: Script = Script {
    text: include_str!("pairs.lua"),
    keys: &["ids", "accounts", "sessions", "pool", "graces", "ended", "exits", "own", "holders", "leases"],
    limits: &[FIRST_ID, ACCOUNTS as u64, SESSIONS_PER_ACCOUNT as u64, KEPT],
    names: &[],
};

pub(super) const PEOPLE: Script =
    Script { text: concat!(include_str!("people_base.lua"), include_str!("people.lua")), ..SOCIAL };

pub(super) const SOCIAL: Script = Script {
    text: concat!(include_str!("people_base.lua"), include_str!("social.lua")),
    keys: &[
        "users", "names", "blocks", "members", "queued", "frames", "message", "recent", "order", "leases", "contacts",
        "groups", "spoken", "talks", "talked",
    ],
    limits: &[
        people::PEOPLE as u64,
        people::QUEUE as u64,
        people::RECENT,
        people::HOST,
        social::EVERYONE,
        social::CONTACTS as u64,
        social::MEMBERSHIPS as u64,
        social::BLOCKS as u64,
        social::CONVERSATIONS as u64,
        LOOKED_AT,
    ],
    names: &[people::HOST_NAME, social::EVERYONE_NAME],
};

/// Names that one call of a search looks at: well under a millisecond of Redis.
const LOOKED_AT: u64 = 500;
