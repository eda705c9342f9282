//! The directory's scripts: their text, the keys that they name, and the limits that they keep.

use super::{
    pairs::{ACCOUNTS, FIRST_ID, KEPT, SESSIONS, SESSIONS_PER_ACCOUNT},
    people::{self, message_id, social},
};
use crate::redis::script::Script;

/// A script with its keys, in its order, and the settings that come before its operation.
pub(super) struct Decision {
    pub(super) source: Script,
    pub(super) keys: &'static [&'static str],
    pub(super) limits: &'static [u64],
    pub(super) names: &'static [&'static str],
}

pub(super) static PAIRS: Decision = Decision {
    source: Script::new(include_str!("pairs/pairs.lua")),
    keys: &[
        "ids", "accounts", "sessions", "pool", "graces", "ended", "exits", "own", "holders", "leases", "over", "reads",
    ],
    limits: &[FIRST_ID, ACCOUNTS as u64, SESSIONS_PER_ACCOUNT as u64, KEPT.as_millis() as u64, SESSIONS as u64],
    names: &[],
};

pub(super) static PEOPLE: Decision =
    among_people(concat!(include_str!("people/people_base.lua"), include_str!("people/people.lua")));

pub(super) static SOCIAL: Decision =
    among_people(concat!(include_str!("people/people_base.lua"), include_str!("people/social/social.lua")));

/// A script that begins with `people_base.lua`, and so takes what that does.
const fn among_people(text: &'static str) -> Decision {
    Decision {
        source: Script::new(text),
        keys: &[
            "users", "names", "blocks", "members", "queued", "frames", "rank", "recent", "order", "leases", "contacts",
            "groups", "spoken", "talks", "talked", "early", "readers", "read", "used", "alive", "also",
        ],
        limits: &[
            people::PEOPLE as u64,
            people::QUEUE as u64,
            RECENT_MILLIS,
            people::HOST,
            social::EVERYONE,
            social::CONTACTS as u64,
            social::MEMBERSHIPS as u64,
            social::BLOCKS as u64,
            social::CONVERSATIONS as u64,
            LOOKED_AT,
            message_id::START,
            message_id::LANES,
            people::LATE as u64,
            KEPT_FOR,
            people::ONLY_MADE,
        ],
        names: &[people::HOST_NAME, social::EVERYONE_NAME],
    }
}

/// [`people::RECENT`] as the scripts take it.
const RECENT_MILLIS: u64 = people::RECENT.as_millis() as u64;

/// Names that one call of a search looks at: well under a millisecond of Redis.
const LOOKED_AT: u64 = 500;

/// People for whom one call keeps a message to a block: two milliseconds of Redis or so.
const KEPT_FOR: u64 = 200;
